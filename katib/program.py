"""What this program is called, where it is installed, and how its commands are typed.

Messages name commands as make takes them, `make results EXPERIMENT=demo`. Who started the program `sepsweep` may have
no Makefile: `as_typed` turns them into `sepsweep results demo`.
"""

import json
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The folder of the packages katib and trainer, so that `python -m trainer` works from any other folder."""
CHECKOUT = (ROOT / "pyproject.toml").is_file()
"""Whether ROOT is a checkout; otherwise it holds an installation, beside packages of others."""
SITE = Path("k8s", "site.yaml")
GROUPS = {
    "Start": ("demo", "corpus", "corpus-check", "pack", "init", "plan", "render", "check", "local", "again", "sweep"),
    "Look": ("watch", "results", "report", "ui"),
    "Conclude": ("best", "confirm", "extend", "arch", "log", "fetch"),
    "Cluster": (
        *("doctor", "install-katib", "images", "claims", "data", "deploy"),
        *("status", "logs", "pause", "resume", "stop", "delete"),
    ),
    "This program": ("k8s", "completion"),
}
"""The verbs in the order in which one meets them."""
ARGUMENTS = ("EXPERIMENT", "MODEL", "FILE", "TRIAL")
"""Variables of make that are a verb's argument, or an option where another one is."""
SWITCHES = (
    "ANEW",
    "CLUSTER",
    "DRY_RUN",
    "FAILED",
    "FOLLOW",
    "JSON",
    "PUSH",
    "RUNS",
    "STRICT",
    "UNSAVED",
    "WATCH",
    "YES",
)
OPTIONS = (
    *("BASELINE", "BUILD_ARGS", "COMMAND", "CONTEXT", "DATA", "DIRECTION", "EPOCHS", "EXPORT", "FORMAT", "GPU_HOURS"),
    *("GPUS", "KIND", "METRIC", "MIXTURES", "NAME", "NOTIFY", "OUT", "OVERLAY", "PARALLEL", "PORT", "PRESET", "PRICE"),
    *("RANGES", "REGEXP", "REGISTRY", "SECONDS", "SEED", "SEEDS", "SITE", "SLOTS", "SPEECH", "SWEEP", "TO", "TOP"),
    *("TRACKERS", "TRAIN_LIMIT", "TRIALS", "UNIT", "WAIT"),
)
TRAINER_PACKAGES = ("numpy", "soundfile", "soxr", "torch", "tyro")
"""What the trainer cannot start without, of the extra `trainer`."""
CORPUS_PACKAGES = ("numpy", "pyroomacoustics", "soundfile", "soxr")

_VERB = "|".join(verb for verbs in GROUPS.values() for verb in verbs)
_NAME = "|".join((*ARGUMENTS, *SWITCHES, *OPTIONS))
_COMMAND = re.compile(rf"\bmake ({_VERB})\b(?!-)((?: [A-Z_]+=\S*)*)")
_K8S = re.compile(r"(?<![\w/])k8s/(site\.yaml|base|katib|kueue|one-node)\b")
_VARIABLE = re.compile(rf"(?<![^\s(`])({_NAME})=(?!VALUE)(\S*?)([;,:)`]*)(?=\s|$)(?: \((--[a-z-]+)\))?")


def name() -> str:
    """Returns the words with which this program was started."""
    return "sepsweep" if Path(sys.argv[0]).stem == "sepsweep" else "python -m katib"


def as_typed(text: str) -> str:
    """Returns a message with its commands as the program that runs is called; make's own form where that is katib."""
    if name() != "sepsweep":
        return text
    text = _VARIABLE.sub(_option, _COMMAND.sub(_command, text.replace("python -m katib ", "sepsweep ")))
    absent = _K8S.search(text) and not SITE.is_file() and "sepsweep k8s" not in text
    return text + " (`sepsweep k8s` writes k8s/ into this folder)" if absent else text


def out_variable(out: Path) -> str:
    """Returns the end of a command of make that works in the runs folder `out`; empty for the default folder."""
    return "" if out == Path("runs") else f" OUT={shlex.quote(str(out))}"


def _command(found: "re.Match[str]") -> str:
    """Returns the command with each variable of ARGUMENTS but the first as an option."""
    words = found[2].split()
    later = [word for word in words if word.partition("=")[0] in ARGUMENTS][1:]
    return " ".join(["sepsweep", found[1], *(_as_option(word) if word in later else word for word in words)])


def _as_option(word: str) -> str:
    name, _, value = word.partition("=")
    return f"--{name.lower()} {value}"


def _option(found: "re.Match[str]") -> str:
    variable, value, end, switch = found.groups()
    if variable in ARGUMENTS:
        return (variable if value in ("", "…", "...") else value) + end
    option = switch or "--" + variable.lower().replace("_", "-").replace("build-args", "build-arg")
    return option + end if variable in SWITCHES or not value else f"{option} {value}{end}"


def k8s() -> Path:
    """Returns the folder of site.yaml and of Katib's installation: that of the current folder, or else our own."""
    if SITE.is_file():
        return SITE.parent
    return ROOT / "k8s" if CHECKOUT else ROOT / "katib" / "k8s"


def lack(packages: tuple[str, ...], extra: str = "") -> str:
    """Returns that one of the packages is not installed, and the command that installs them; empty if they are there.

    They are the trainer's, or else of another `extra`.
    """
    missing = next((package for package in packages if find_spec(package) is None), None)
    return f"{missing} is not installed; {remedy(extra)}" if missing else ""


def remedy(extra: str = "") -> str:
    """Returns the command that installs the trainer's packages, or those of another `extra`, beside this program."""
    if CHECKOUT and not extra:
        return "`make setup` installs the trainer's packages"
    if CHECKOUT:
        return f"`.venv/bin/pip install -c constraints.txt -e '.[{extra}]'` installs it"
    # Imported here because it loads the e-mail parser.
    from importlib.metadata import distribution

    found = distribution("sepsweep")
    address = json.loads(found.read_text("direct_url.json") or "{}").get("url", "")
    wanted = f"sepsweep[{extra or 'trainer,corpus'}]" + (f" @ {address}" if address else "")
    python = shlex.quote(sys.executable)
    uv = (found.read_text("INSTALLER") or "").strip() == "uv"
    pip = f"uv pip install --python {python}" if uv else f"{python} -m pip install"
    what = "it" if extra else "the trainer's packages"
    return f"`{pip} '{wanted}'` installs {what}"
