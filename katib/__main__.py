"""Runs `python -m katib VERB`: imports only that verb, and prints an error that a user can fix as one line."""

import errno
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType

import typer
import typer.main

from katib.cli._calls import complaint, require_filled
from katib.cli._help import overview
from katib.errors import SepsweepError, UnansweredError, nearest
from katib.program import GROUPS, as_typed, name
from katib.untrusted import clean

CLI = Path(__file__).parent / "cli"
NOT_WRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
VERBS = tuple(sorted(verb for verbs in GROUPS.values() for verb in verbs))


def main(words: list[str]) -> int:
    """Runs a verb and returns the exit code: 0 done, 1 failed, 2 bad input."""
    if words[:1] in (["help"], ["-h"], ["--help"]):
        words = [*words[1:2], "--help"] if words[1:] and words[1] not in ("help", "-h", "--help") else []
    if words in (["--version"], ["version"]):
        # Imported here because it loads the e-mail parser.
        from importlib.metadata import version

        print(f"sepsweep {version('sepsweep')}")
        return 0
    if not words:
        print(overview(_summary))
        return 0
    verb = words[0]
    try:
        if not verb.strip():
            raise SepsweepError(f"no VERB given: {nearest(verb, VERBS)}")
        if verb not in VERBS:
            known = ("--help", "--version") if verb.startswith("-") else (*VERBS, "help", "version")
            raise SepsweepError(f"unknown verb '{verb}': {nearest(verb, known)}")
        return _run(verb, words[1:])
    except SepsweepError as error:
        print(f"error: {as_typed(clean(str(error)))}", file=sys.stderr)
        return error.exit_code
    except PermissionError as error:
        # A folder that this user may not enter, as that of somebody else's search may be, fails at the first look.
        if error.filename is None:
            raise
        who = f"the user {os.geteuid()} may not read or write it; ask its owner, or name another folder"
        print(f"error: {clean(str(error.filename))}: {error.strerror}; {who}", file=sys.stderr)
        return 2


def _summary(verb: str) -> str:
    """Returns the first line of the verb's file without importing it: to import all verbs takes seconds."""
    with (CLI / f"{_name(verb)}.py").open(encoding="utf-8") as source:
        return source.readline().strip().strip('"')


def _name(verb: str) -> str:
    return verb.replace("-", "_")


def _module(verb: str) -> ModuleType:
    return import_module(f"katib.cli.{_name(verb)}")


def _run(verb: str, words: list[str]) -> int:
    function = getattr(_module(verb), _name(verb))
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(function)
    try:
        require_filled(verb, words, typer.main.get_command(app).params)
        result = app(words, prog_name=f"{name()} {verb}", standalone_mode=False)
    except typer.Abort:
        raise UnansweredError("nothing was changed; --yes answers for you") from None
    except typer.TyperException as error:
        raise SepsweepError(f"{verb}: {complaint(error, words)} (see {name()} {verb} --help)") from None
    return result if isinstance(result, int) else 0


def run() -> int:
    """Runs the command line of the program `sepsweep`, and returns the exit code; 130 after Ctrl-C."""
    _prepare_streams()
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C; the same command begins again, or goes on", file=sys.stderr)
        return 130
    except OSError as error:
        # An error without a name is that of stdout, whose reader may have seen enough, as `| head` does.
        if error.filename is not None or error.errno not in NOT_WRITTEN:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno != errno.EPIPE:
            print(f"error: stdout cannot be written ({error.strerror}); make room, or name a file", file=sys.stderr)
        return 1
    return code


def _prepare_streams() -> None:
    """Opens /dev/null for a standard stream that whoever started the program has closed, as `>&-` does.

    Otherwise a file that is opened later gets the number of the stream, and a library's warning is written into it.

    A file or a pipe gets UTF-8 whatever the locale says, because programs read it; a terminal that lacks a character
    shows a question mark.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[descriptor]
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8"))  # noqa: SIM115, PTH123
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(run())
