"""Takes a trained model home: weights, configuration, evaluation and a README in one folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.base import Backend
from katib.backend.choice import choose_backend
from katib.cli._bundles import Where, bundled
from katib.cli.options import MOST, Data
from katib.cli.tables import tell, trial_table
from katib.conclude.stages import search_of
from katib.errors import ClusterError, SepsweepError
from katib.report.model_export import check_form, export
from katib.report.model_folder import Model, choose, of_directory, require_ours, write
from katib.spec import ENDINGS
from katib.table.trial_table import TrialTable


@bundled
def fetch(
    where: Where,
    experiment: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT", help="name of the experiment, its spec x.yaml, or a run directory ./run"),
    ],
    top: Annotated[int | None, typer.Option(help="place of the trial (default: 1, the best)", min=1, max=MOST)] = None,
    trial: Annotated[str | None, typer.Option(help="name of the trial")] = None,
    to: Annotated[Path | None, typer.Option(help="folder to write (default: models/TRIAL)")] = None,
    form: Annotated[str | None, typer.Option("--export", help="another form, checked: torchscript or onnx")] = None,
    data: Data = None,
) -> None:
    """Writes best.pt, config.json, the evaluations and a README of the best trial of EXPERIMENT into one folder."""
    if form is not None:
        check_form(form)
    if top is not None and trial is not None:
        raise SepsweepError("TOP= (--top) and TRIAL= (--trial) both choose a trial; give one of them")
    with _model(where, experiment, top, trial) as model:
        target = to or Path("models", model.trial)
        extra = partial(export, run=model.run, data=data, form=form) if form else None
        tell(write(model, target, extra))
    print(f"model: {target}")


def _table(backend: Backend, runs: Path, experiment: str) -> TrialTable:
    """Returns the table; of a search that was deleted from the cluster, the one that was saved here."""
    saved = choose_backend(runs, cluster=False)
    name = search_of(saved, experiment)
    gone = backend.error is ClusterError and not backend.has(name) and saved.has(name)
    return trial_table(saved if gone else backend, experiment)


@contextmanager
def _model(where: Where, experiment: str, top: int | None, trial: str | None) -> Iterator[Model]:
    """Yields the run that is meant: one of an experiment, or a run directory."""
    if "/" not in experiment or experiment.endswith(ENDINGS):
        backend = where.backend
        table = _table(backend, where.out, experiment)
        name, chosen = table.place, choose(table, top, trial).trial
        require_ours(table, chosen)
        with backend.run_directory(name, chosen) as run:
            yield Model(run, chosen, name)
        return
    if top is not None or trial is not None:
        raise SepsweepError(f"TOP= and TRIAL= choose a trial of an experiment; {experiment} is one run directory")
    yield of_directory(Path(experiment))
