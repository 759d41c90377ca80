"""Lists the readers of foreign files, each with a valid input and with what is done with a changed one.

A reader may refuse with an error of ours, which is one line; anything else that it raises is a defect.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

from benchmarks.robustness.fuzz_mutations import Reader, as_json, content, value
from benchmarks.robustness.fuzz_trainer import OF_THE_TRAINER
from katib.errors import SepsweepError
from trainer.errors import TrainerError

REFUSALS = (SepsweepError, TrainerError)
ROOT = Path(__file__).parents[2]


def _text(file: Path) -> Callable[[Random], bytes]:
    return lambda draw: content(draw, file.read_bytes())


# --- the run folder ---------------------------------------------------------------------------------------------


@cache
def _search() -> Path:
    """Returns a search of three trials on this machine, with everything that a run writes about itself."""
    from tests.katib.attacks.hostile import TRIALS, run_folder

    folder = run_folder(Path(mkdtemp()))
    for trial in TRIALS:
        (folder / trial / "summary.json").write_text(json.dumps(SUMMARY))
        (folder / trial / "config.json").write_text(json.dumps(CONFIG))
        (folder / trial / "output.log").write_bytes(LOG)
        (folder / trial / "wandb").mkdir()
        (folder / trial / "wandb/url").write_text("https://wandb.ai/a/b/runs/c")
    return folder


SUMMARY: dict[str, Any] = {
    "state": "finished",
    "epoch": 2,
    "mixture_val_si_snr": -1.5,
    "history": [
        {"epoch": epoch, "time": "2026-11-28T21:00:00.5+00:00", "val_si_snr": 1.0, "loss": 2.0,
        "variants": {"SER": 1.0}}
        for epoch in (1, 2)
    ],
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "x": 1.5,
    "device": "cpu",
    "validation_variants": ["SER", "SE"],
    "model": "convtasnet",
}
LOG = b"trainer: begins\n2026-11-28T21:00:00.123456Z val_si_snr=1.0\n2026-11-28T21:01:00Z val_si_snr=-2.5\nerror: bad\n"
VERDICT: dict[str, Any] = {
    "configuration": {"x": "1.5"}, "seeds": {"42": 1.0, "123": 1.5}, "baseline": {"42": 0.5}, "difference": 0.5,
    "low": 0.1, "high": 0.9, "p_value": 0.1, "sentence": "It is better.", "unseen": [123], "outcome": "better",
}  # fmt: skip


def _concluded(folder: Path) -> None:
    """Returns all that is shown of a search, as text."""
    from katib.backend.local.store import Store
    from katib.backend.local.table import read_table
    from katib.conclude.confirmation import find_verdict
    from katib.errors import EngineError
    from katib.report.log import entry
    from katib.report.summary import conclude
    from katib.report.tables import failures, stop_decisions
    from katib.table.formats import text

    with suppress(EngineError):
        store = Store(folder)
        for trial in store.trials():
            store.close_trial(trial)
        store.close()
    table = read_table(folder.parent, folder.name)
    for format in ("json", "csv", "markdown"):
        for piece in text(table, format):
            piece.encode()
    verdict = find_verdict(folder.parent, table)
    entry(table, "0" * 40, verdict).encode()
    conclude(table, verdict)
    failures(table), stop_decisions(table)
    assert all(len(row.values) < 10**7 for row in table.rows)


def _beside(name: str, change: Callable[[Random], bytes]) -> Reader:
    """Returns a reader of one file of a run folder, whose other files are valid."""

    def read(data: bytes, folder: Path) -> None:
        place = folder / _search().name
        shutil.copytree(_search(), place)
        for file in place.glob(name):
            file.write_bytes(data)
        if "*" not in name:
            (place / name).write_bytes(data)
        _concluded(place)

    return Reader(change, read)


def _change_table(draw: Random) -> bytes:
    from katib.backend.local.table import read_table
    from katib.table import export

    folder = Path(mkdtemp())
    try:
        export.write(read_table(_search().parent, _search().name), folder)
        return as_json(draw, json.loads((folder / export.JSON).read_text()))
    finally:
        shutil.rmtree(folder)


def _read_table(data: bytes, folder: Path) -> None:
    from katib.table import export

    place = folder / _search().name
    place.mkdir()
    (place / export.JSON).write_bytes(data)
    _concluded(place)


def _change_study(draw: Random) -> bytes:
    """Returns the database with other attributes, other values in other tables, or other bytes."""
    whole = (_search() / "study.db").read_bytes()
    if draw.randrange(3) == 0:
        return content(draw, whole)
    folder = Path(mkdtemp())
    try:
        (folder / "study.db").write_bytes(whole)
        with sqlite3.connect(folder / "study.db") as database:
            for _ in range(1 + draw.randrange(3)):
                _change_row(draw, database)
        database.close()
        return (folder / "study.db").read_bytes()
    finally:
        shutil.rmtree(folder)


def _change_row(draw: Random, database: sqlite3.Connection) -> None:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    table = draw.choice(tables)
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    column = draw.choice(columns)
    rows = database.execute(f'SELECT rowid, "{column}" FROM {table}').fetchall()
    if not rows:
        return
    number, before = draw.choice(rows)
    after: Any = value(draw)
    if column == "value_json" and draw.randrange(4):
        with suppress(ValueError):  # an earlier change of this very row may have left no JSON in it
            after = as_json(draw, json.loads(before)).decode(errors="replace")
    if isinstance(after, dict | list | float | int) and not isinstance(after, float):
        after = json.dumps(after) if not isinstance(after, int) or abs(after) >= 2**63 else after
    if isinstance(after, str):
        after = after.encode(errors="replace").decode()
    try:
        database.execute(f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?', (after, number))
    except sqlite3.IntegrityError:
        return


# --- manifests, specs, sites, kubeconfigs -----------------------------------------------------------------------


@cache
def _manifest() -> bytes:
    from katib.manifest.render import render
    from katib.site import load_site
    from katib.spec import load_spec

    return render(load_spec("demo"), load_site()).encode()


def _read_manifest(data: bytes, folder: Path) -> None:
    from katib.check.manifest import check_text
    from katib.manifest.experiment import load_experiment

    text = data.decode(errors="replace")
    for found in check_text(text, "fuzzed"):
        f"{found.problem} {found.effect} {found.fix} {found.path}".encode()
    experiment = load_experiment(text, "fuzzed")
    experiment.trial("test-aaaaaaaa", {parameter.name: "1" for parameter in experiment.search.parameters})


def _read_spec(data: bytes, folder: Path) -> None:
    from katib.document import load
    from katib.errors import SpecError
    from katib.manifest.render import render
    from katib.site import load_site
    from katib.spec import Spec

    (folder / "spec.yaml").write_bytes(data)
    render(load(folder / "spec.yaml", Spec, SpecError), load_site())


def _read_site(data: bytes, folder: Path) -> None:
    from katib.manifest.render import render
    from katib.site import load_site
    from katib.spec import load_spec

    (folder / "site.yaml").write_bytes(data)
    render(load_spec("demo"), load_site(folder / "site.yaml"))


KUBECONFIG = b"""\
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: one, user: me, namespace: sepsweep}}]
clusters: [{name: one, cluster: {server: "https://127.0.0.1:1", insecure-skip-tls-verify: true}}]
users: [{name: me, user: {token: abc}}]
"""


def _read_kubeconfig(data: bytes, folder: Path) -> None:
    from katib.backend.cluster.client import Cluster

    if b"exec" in data or b"auth-provider" in data:  # a program that its owner has asked for
        return
    (folder / "config").write_bytes(data)
    Cluster("sepsweep", config_file=folder / "config")


# --- what a pod prints ------------------------------------------------------------------------------------------


def _read_lines(data: bytes, folder: Path) -> None:
    from katib.backend.cluster import causes
    from katib.metrics import DEFAULT_FILTER, MetricParser, metric_filter
    from katib.table.run_folder import points

    text = data.decode(errors="replace")
    parser = MetricParser([metric_filter("val_si_snr"), DEFAULT_FILTER], ["val_si_snr"])
    points(report for line in text.splitlines() for report in parser.parse(line))
    for line in text.splitlines():
        assert causes.clean(line).isprintable() or not line.isprintable()


def _change_listing(draw: Random) -> bytes:
    import base64
    import zlib

    found = {"trial": "test-aaaaaaaa", "bytes": 10, "summary": SUMMARY, "problem": ""}
    line = base64.b64encode(zlib.compress(as_json(draw, found)))
    whole = line + b"\n1 directories"
    return content(draw, whole) if draw.randrange(3) == 0 else whole


def _read_listing(data: bytes, folder: Path) -> None:
    from katib.backend.cluster.run_directories import directories
    from katib.table.run_folder import history

    for found in directories(data.decode(errors="replace"), "fuzzed"):
        history(found.summary, "val_si_snr")
        f"{found.trial} {found.epochs} {found.state} {found.bytes:d}".encode()


READERS: dict[str, Reader] = {
    "study": _beside("study.db", _change_study),
    "summary": _beside("*/summary.json", lambda draw: as_json(draw, SUMMARY)),
    "config": _beside("*/config.json", lambda draw: as_json(draw, CONFIG)),
    "output": _beside("*/output.log", lambda draw: content(draw, LOG)),
    "wandb": _beside("*/wandb/url", lambda draw: content(draw, b"https://wandb.ai/a/b/runs/c")),
    "verdict": _beside("verdict.json", lambda draw: as_json(draw, VERDICT)),
    "table": Reader(_change_table, _read_table),
    "manifest": Reader(lambda draw: content(draw, _manifest()), _read_manifest),
    "spec": Reader(_text(ROOT / "katib/specs/sepformer.yaml"), _read_spec),
    "site": Reader(_text(ROOT / "k8s/site.yaml"), _read_site),
    "kubeconfig": Reader(lambda draw: content(draw, KUBECONFIG), _read_kubeconfig),
    "lines": Reader(lambda draw: content(draw, LOG), _read_lines),
    "listing": Reader(_change_listing, _read_listing),
    **OF_THE_TRAINER,
}
"""By the name that `python -m benchmarks.robustness.fuzz` takes."""
