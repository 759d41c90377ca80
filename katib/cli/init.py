"""Writes the spec of a trainer of your own, after it has run its command for an epoch and seen its metric."""

import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Annotated, Literal, TypeAlias, TypeVar

import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from katib.backend.local.first_epoch import first_epoch
from katib.backend.local.launch import launcher
from katib.check.manifest import require_sound
from katib.cli.local import here
from katib.cli.options import MOST
from katib.defects import hyphenated, worded
from katib.document import read_yaml
from katib.errors import FolderError, SpecError, UnansweredError, nearest
from katib.manifest.experiment import load_experiment
from katib.manifest.from_sweep import Sweep, read_sweep
from katib.manifest.render import render
from katib.ranges import Range, text_of
from katib.site import load_site
from katib.spec import ENDINGS, LONGEST_NAME, load_spec
from katib.spec_command import BUILT_IN, SEED, Command, Metric, placeholders
from katib.terminal import print_words, say
from katib.text import number_or_text, short
from katib.yaml_reader import resolve

Kind = TypeVar("Kind")
Searched: TypeAlias = tuple[str, Range]
TRIALS, EPOCHS, FAILED, LEAST_HOURS = 20, 10, 3, 0.01
FORM = "lr=1e-4:1e-2:log, layers=1:8:int, norm=gLN,cLN or bias=bool"
ONCE = "print it once per epoch, or say with --regexp which line counts"
WHY = "write here why these values"
WORDS: TypeAdapter[list[str]] = TypeAdapter(Command)
DIRECTION: TypeAdapter[str] = TypeAdapter(Literal["maximize", "minimize"])
METRIC, RANGE = TypeAdapter(Metric), TypeAdapter(Range)
COMMAND = "the command of one training, such as 'python3 train.py --lr={lr} --epochs={epochs} --out={run_dir}'"

METRICS = "the metric that it prints once an epoch, as NAME=VALUE"
DIRECTIONS = "which values are better, maximize or minimize"


def init(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="the spec to write, x.yaml")] = None,
    command: Annotated[str | None, typer.Option(help=COMMAND)] = None,
    metric: Annotated[str | None, typer.Option(help=METRICS)] = None,
    direction: Annotated[str | None, typer.Option(help=DIRECTIONS)] = None,
    ranges: Annotated[
        list[str] | None, typer.Option("--range", metavar="NAME=VALUES", help=f"for each placeholder: {FORM}")
    ] = None,
    regexp: Annotated[str | None, typer.Option(help=r"how else the metric's line looks: 'loss: (\S+)'")] = None,
    unit: Annotated[str | None, typer.Option(help="that of the metric's values: %, m/s")] = None,
    epochs: Annotated[int | None, typer.Option(help="epochs of each trial (default: 10)", min=1, max=MOST)] = None,
    sweep: Annotated[Path | None, typer.Option(help="a W&B sweep file, which answers what no option does")] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data, where the command has {data}")] = None,
) -> None:
    """Runs a command for an epoch in the middle of its ranges, and writes a spec once it has printed its metric.

    On a terminal it asks for what is missing.
    """
    path = _answer(file, "FILE", "the spec to write, x.yaml", _new_file)
    known = _known(sweep, ranges or [])
    words = _answer(command or known.command, "--command", COMMAND, _command)
    name = _answer(
        metric or known.metric, "--metric", "the metric that it prints once an epoch, as NAME=VALUE", _metric
    )
    better = _answer(
        direction or known.direction, "--direction", "which values are better, maximize or minimize", _direction
    )
    metric_keys = {"name": name, "direction": better} | ({"regexp": regexp} if regexp else {})
    _valid(METRIC, metric_keys, "--regexp", "regexp: ")
    metric_keys |= {"unit": unit} if unit else {}
    _valid(METRIC, metric_keys, "--unit")
    searched = _searched(words, ranges or [], known.ranges)
    keys = _keys(path, words, metric_keys, searched, replace(known, epochs=epochs or known.epochs))
    try:
        remark, keys["hours_per_run"] = _tried(keys, path, data)
    except OSError as error:
        raise FolderError(f"{gettempdir()}: the command cannot be tried in this folder ({error.strerror})") from None
    _write(path, f"# Written by `sepsweep init`: {remark}\n{_yaml(keys)}")
    say(f"{path}: written, {remark}")
    print_words(f"next: make local FILE={shlex.quote(str(path))}")
    print_words("on a cluster: an image in the spec, and your cluster's names in k8s/site.yaml")


def _keys(
    path: Path, command: str, metric: dict[str, str], searched: dict[str, Range], known: Sweep
) -> dict[str, object]:
    """Returns the keys of the spec; what no one has said has the value that most searches want."""
    # Katib's bayesianoptimization takes no value of zero or below.
    positive = all(one.texts or one.bounds[0] > 0 for one in searched.values())
    learning = {"name": "bayesianoptimization", "settings": {"n_initial_points": "5"}} if positive else {"name": "tpe"}
    trials, epochs = known.trials or TRIALS, known.epochs or EPOCHS
    return {
        "name": hyphenated(LONGEST_NAME, "a-z")(path.stem) or "search",
        "command": command,
        "metric": metric,
        "trials": trials,
        "epochs": epochs,
        "hours_per_run": LEAST_HOURS,
        "max_failed_trials": min(FAILED, trials),
        "algorithm": learning if known.method == "bayes" else {"name": known.method},
        "early_stopping": {"name": "medianstop", "min_trials_required": 3, "start_step": min(3, epochs)},
        "search": {key: _dumped(one) for key, one in searched.items()},
    } | ({} if known.seed is None else {"fixed": {SEED: known.seed}})


def _known(path: Path | None, ranges: list[str]) -> Sweep:
    """Returns what a sweep file says beside the `ranges` that are given, and tells what it says in vain."""
    if path is None:
        return Sweep()
    found = read_sweep(read_yaml(path, SpecError), str(path), {text.partition("=")[0] for text in ranges})
    if found.left_out:
        say(f"note: {path}: left out: {', '.join(found.left_out)}; its early_stopping is medianstop")
    return found


def _answer(given: str | None, option: str, question: str, check: Callable[[str], Kind]) -> Kind:
    """Returns what `check` makes of an option, or of the answer to a question; asks again after a wrong answer."""
    if given is not None:
        return check(given)
    if not sys.stdin.isatty():
        raise SpecError(f"init: no {option} given, and there is no terminal to ask on: {question}")
    while True:
        try:
            return check(str(typer.prompt(f"{option}: {question}\n", prompt_suffix="> ")))
        except (SpecError, FolderError) as error:
            say(str(error))
        except typer.Abort:
            raise UnansweredError("init: nothing was written; what is missing can be given as options") from None


def _new_file(text: str) -> Path:
    """Returns the path of a spec that can be written. Raises FolderError where it cannot."""
    path = Path(text)
    if path.suffix not in ENDINGS:
        raise FolderError(f"{text}: the name of a spec ends with .yaml")
    if path.exists() or path.is_symlink():
        raise FolderError(f"{path}: is there already; remove it, or give another name")
    if not path.parent.is_dir():
        raise FolderError(f"{path}: there is no folder {path.parent}; create it first")
    if not os.access(path.parent, os.W_OK):
        raise FolderError(f"{path}: the folder {path.parent} cannot be written to; give another one")
    return path


def _command(text: str) -> str:
    words = _valid(WORDS, text, "--command")
    if set(placeholders(words)) <= set(BUILT_IN):
        raise SpecError("--command: has no placeholder for a hyperparameter; write {lr} where its value stands")
    return text


def _metric(text: str) -> str:
    return _valid(METRIC, {"name": text, "direction": "minimize"}, f"--metric '{text}'").name


def _direction(text: str) -> str:
    return _valid(DIRECTION, text, f"--direction '{text}'")


def _valid(kind: TypeAdapter[Kind], value: object, option: str, key: str = "") -> Kind:
    """Returns `value` as a key of a spec takes it. Raises SpecError, which names the option in place of the key."""
    try:
        return kind.validate_python(value)
    except ValidationError as cause:
        raise SpecError(f"{option}: {worded(cause.errors()[0]).removeprefix(key)}") from None


def _searched(command: str, given: list[str], known: Mapping[str, Range]) -> dict[str, Range]:
    """Returns the range of each placeholder, from `--range`, `known` or asked for."""
    found: dict[str, Range] = {}
    wanted = [name for name in placeholders([command]) if name not in BUILT_IN]
    for text in given:
        name, searched = _range(text)
        if name in found:
            raise SpecError(f"--range '{text}': {name} has a range already; give one")
        if name not in wanted:
            raise SpecError(f"--range '{text}': the command has no {{{name}}}: {nearest(name, wanted)}")
        found[name] = searched
    for name in wanted:
        if name in known:
            found.setdefault(name, known[name])
        if name not in found:
            found[name] = _answer(
                None, f"--range {name}=…", f"the values of {{{name}}}, as in {FORM}", _range_named(name)
            )
    return found


def _range_named(name: str) -> Callable[[str], Range]:
    return lambda text: _range(text if text.startswith(f"{name}=") else f"{name}={text}")[1]


def _range(text: str) -> Searched:
    """Returns the name and the range in a text such as lr=1e-4:1e-2:log. Raises SpecError."""
    name, _, values = text.partition("=")
    low, *rest = values.split(":")
    keys: dict[str, object] = {}
    if values == "bool":
        keys = {"type": "bool"}
    elif re.search(r"\d,\d+:|:[-+]?\d+,\d", values):
        raise SpecError(f"--range '{text}': a decimal has a point, as in {text.replace(',', '.')}; a choice has no ':'")
    elif "," in values:
        keys = {"type": "choice", "values": [number_or_text(word.strip()) for word in values.split(",")]}
    elif re.fullmatch(r"[A-Za-z_]\w*", name) and rest:
        for word in rest[1:]:
            if word not in ("int", "log"):
                raise SpecError(f"--range '{text}': '{word}' says nothing of a range; valid: int, log")
        keys = {"type": "int"} if "int" in rest[1:] else {}
        scale = "logUniform" if "log" in rest[1:] else "uniform"
        keys |= {"min": number_or_text(low), "max": number_or_text(rest[0]), "distribution": scale}
    else:
        raise SpecError(f"--range '{text}': must look like {FORM}")
    return name, _valid(RANGE, keys | {"why": WHY}, f"--range '{text}'")


def _middle(searched: Range) -> str:
    """Returns the value in the middle of a range, as a word of the command."""
    if searched.texts:
        return searched.texts[len(searched.texts) // 2]
    low, high = searched.bounds
    middle = math.sqrt(low * high) if searched.logarithmic else (low + high) / 2
    return text_of(float(round(middle)) if searched.type == "int" else min(high, max(low, float(f"{middle:.4g}"))))


def _yaml(keys: dict[str, object]) -> str:
    return yaml.dump(keys, Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=1_000_000)


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes every text which kubectl's YAML would read as something else, such as n and 1e-4."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(resolve(text), str) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def _tried(keys: dict[str, object], path: Path, data: Path | None) -> tuple[str, float]:
    """Returns what the command did in an epoch, in words, and the hours that all epochs will take at that speed."""
    with TemporaryDirectory(prefix="sepsweep-init-") as folder:
        copy = Path(folder, path.name)
        copy.write_text(_yaml(keys), encoding="utf-8")
        try:
            spec = load_spec(str(copy))
        except SpecError as error:
            raise SpecError(str(error).replace(str(copy), str(path))) from None
        values = {name: _middle(searched) for name, searched in spec.search.items()}
        manifest = render(spec.model_copy(update={"epochs": 1}), here(load_site(None)), None, str(path))
        require_sound(manifest, str(path))
        start = launcher(load_experiment(manifest, str(path)), data, Path(folder, "runs"))
        named = ", ".join(f"{name} {value}" for name, value in values.items())
        say(f"runs the command for an epoch, with {named}; Ctrl-C ends it")
        reports, seconds = first_epoch(start, values, ends="epochs" in placeholders(spec.command or []))
    report = reports[-1]
    if len(reports) > 1:
        say(f"note: {report.name} was printed {len(reports)} times, and each counts as an epoch: {ONCE}")
    hours = max(LEAST_HOURS, float(f"{seconds * spec.epochs / 3600:.2g}"))
    return f"an epoch with {named} took {seconds:.1f} s and had {report.name} {short(repr(report.value))}", hours


def _dumped(searched: Range) -> dict[str, object]:
    """Returns the keys of a range, with whole numbers as such."""
    keys = searched.model_dump(exclude_unset=True)
    return {
        key: int(value) if isinstance(value, float) and value == int(value) else value for key, value in keys.items()
    }


def _write(path: Path, text: str) -> None:
    """Writes a file that is not there. Raises FolderError; nothing half-written remains then."""
    try:
        with path.open("x", encoding="utf-8") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                path.unlink()
                raise
    except FileExistsError:
        raise FolderError(f"{path}: is there already; remove it, or give another name") from None
    except OSError as error:
        raise FolderError(f"{path}: cannot be written ({error.strerror})") from None
