"""Runs a search on this machine; the same command resumes it."""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.local.backend import LocalBackend
from katib.backend.local.corpus import mixtures
from katib.backend.local.devices import cores, gpus
from katib.backend.local.ending import Halt
from katib.backend.local.launch import launcher
from katib.backend.local.pace import pace
from katib.backend.local.sharing import sharing
from katib.backend.local.table import read_table
from katib.check.manifest import require_sound
from katib.cli._bundles import Changes, bundled
from katib.cli.options import Notify, Out, SiteFile, Slots, Trackers, Yes, recipient_of, trackers_of
from katib.cli.searches import confirm
from katib.conclude.stages import due, require_mixtures
from katib.errors import CostError, ManifestError, SepsweepError, SpecError, nearest
from katib.manifest.experiment import load_experiment
from katib.manifest.render import Overrides, render
from katib.program import as_typed, out_variable
from katib.site import Site, load_site
from katib.spec import is_spec, load_spec, specs
from katib.table.formats import print_table
from katib.terminal import output, print_words, say
from katib.text import difference, settings_text, with_unit
from katib.untrusted import given_text, why_unread


@bundled
def local(
    changes: Changes,
    search: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE",
            help="convtasnet, dprnn, sepformer, spmamba, dpmamba, tfgridnet or demo; "
            "or a spec or an Experiment manifest, x.yaml",
        ),
    ],
    data: Annotated[Path | None, typer.Option(help="folder of the corpus, with train/ and val/ in it")] = None,
    out: Out = Path("runs"),
    site: SiteFile = None,
    slots: Slots = 1,
    notify: Notify = None,
    trackers: Trackers = None,
    yes: Yes = False,
) -> int:
    """Runs the Experiment of MODEL, or that of a spec or manifest FILE, on this machine.

    Run the same command to resume a search that was stopped.
    """
    from katib.backend.local.run import is_begun, run  # loads Optuna

    told, tracked = recipient_of(notify), trackers_of(trackers)
    text = _text(search)
    if text is not None and not is_spec(text):
        manifest, source, then = _unchanged(text, search, changes.overrides, site), search, ""
    else:
        manifest, then = _rendered(search, changes.overrides, site, data, out)
        source = f"the Experiment of {search}"
    require_sound(manifest, source, f"python -m katib check {search}")
    start = replace(launcher(load_experiment(manifest, source), data, out, slots), trackers=tracked)
    if tracked and not start.ours:
        raise ManifestError(f"--trackers {trackers}: only our trainer has them; {source} runs another program")
    if (shared := sharing(start)) is not None and shared.fits:
        say(f"note: {shared}")
    elif shared is not None:
        _ask(str(shared), yes)
    elif slots > 1:
        say(f"note: SLOTS={slots}: none share a GPU: each of the {len(start.slots)} at a time (PARALLEL=) has its own")
    if not is_begun(start) and (found := pace(start)) is not None:
        _ask(f"{found}; PRESET=debug trains a small model", yes)
    halt = run(start, manifest, told)
    code = _close(out, start.experiment.name, halt)
    print_words("" if halt else then)
    return code


def _text(search: str) -> str | None:
    """Returns the text of the file that `search` names; None of a model. Raises SpecError where it is neither.

    It is read once, because it may be a pipe. Raises ManifestError.
    """
    if search in specs():
        return None
    if "." not in search and "/" not in search and not Path(search).exists():
        raise SpecError(f"unknown model '{search}', and no file of that name: {nearest(search, specs())}")
    try:
        return given_text(Path(search))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{search}: cannot be read ({why_unread(error)})") from None


def _ask(cost: str, yes: bool) -> None:
    """Prints what the search costs, and what costs less, and asks. Raises CostError where nobody can answer."""
    if not yes and not sys.stdin.isatty():
        raise CostError(f"{cost}, YES=1 (--yes) starts it all the same")
    say(cost)
    confirm("Start it?", yes)


def _rendered(model: str, overrides: Overrides, site: Path | None, data: Path | None, out: Path) -> tuple[str, str]:
    """Returns the manifest in a form that suits this machine, and what follows where another stage does."""
    spec = load_spec(model)
    wanted = due(LocalBackend(out), spec, overrides)
    if spec.stages and data is not None:
        require_mixtures(spec, mixtures(data), model)
    print_words(wanted.note)
    return render(wanted.spec, here(load_site(site)), wanted.overrides, model), wanted.then


def here(site: Site) -> Site:
    """Returns the site as this machine.

    The corpus is the folder itself, no more trials run at a time than the machine can hold, and no trial waits for disk
    space: the engine ends the search with a message when the disk is full.
    """
    most = site.parallel_trials if gpus() else min(site.parallel_trials, cores())
    own = {"data_folder": "", "room_minutes": 0, "parallel_trials": most, "secret_environment": {}}
    return site.model_copy(update=own)


def _unchanged(text: str, source: str, overrides: Overrides, site: Path | None) -> str:
    """Returns the text of a manifest. Raises ManifestError where an option would change it."""
    given = [name for name, value in (asdict(overrides) | {"site": site}).items() if value is not None]
    if given:
        raise ManifestError(f"{source}: --{given[0]} changes a rendered manifest; in a file, change the file")
    return text


def _close(out: Path, experiment: str, halt: Halt | None) -> int:
    """Prints the table, what ended the search, and the next commands; returns the exit code."""
    try:
        table = read_table(out, experiment)
    except SepsweepError:
        # What ended the search may have taken its record, too, and is what has to be said.
        if halt is None:
            raise
        print(f"error: {as_typed(str(halt))}", file=sys.stderr)
        return halt.code or 1
    if table.rows:
        print_table(table, output())
    print_words(table.counted)
    if halt is not None:
        code = "error: " if halt.code in (1, 2) else ""
        print(f"{code}{as_typed(str(halt))}", file=sys.stderr)
        if halt.code:
            return halt.code
    if table.best:
        metric, gained = table.identity.measure, table.best.gain
        gain = "" if gained is None else f" ({difference(gained, metric)} over the unprocessed mixture)"
        value = with_unit(table.best.value or 0.0, metric)
        print_words(f"best: {table.best.trial}, {metric} {value}{gain}", indent=6)
        print_words(f"      {settings_text(table.best.assignments)}", indent=6)
    named = f"EXPERIMENT={experiment}{out_variable(out)}"
    print_words(f"next: make report {named} · make results {named} · make ui {named}")
    return 0
