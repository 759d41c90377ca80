"""Prints a script that lets Tab complete verbs, options and models in bash or zsh."""

from importlib import import_module

import typer
import typer.main

from katib.program import GROUPS
from katib.spec import specs

SCRIPT = """\
# sepsweep completion > ~/.sepsweep-completion, once; then `. ~/.sepsweep-completion` in ~/.bashrc or ~/.zshrc.
[ -z "$ZSH_VERSION" ] || {{ autoload -U +X compinit bashcompinit && compinit && bashcompinit; }}
_sepsweep() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} offer
    if [ "$COMP_CWORD" = 1 ]; then
        offer='{verbs}'
    else
        case ${{COMP_WORDS[1]}} in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$offer" -- "$word"))
}}
complete -o default -F _sepsweep sepsweep
"""


def completion() -> None:
    """Prints a script for bash or zsh, by which Tab completes verbs, options and models, and otherwise files.

    Once: sepsweep completion > ~/.sepsweep-completion, and `. ~/.sepsweep-completion` in ~/.bashrc or ~/.zshrc.
    """
    verbs = [verb for group in GROUPS.values() for verb in group]
    cases = "\n".join(f"        {verb}) offer='{' '.join(_words(verb))}' ;;" for verb in verbs)
    print(SCRIPT.format(verbs=" ".join([*verbs, "help", "--help", "--version"]), cases=cases), end="")


def _words(verb: str) -> list[str]:
    """Returns the options of a verb, and the names of specs where it takes one."""
    name = verb.replace("-", "_")
    app = typer.Typer(add_completion=False)
    app.command()(getattr(import_module(f"katib.cli.{name}"), name))
    takes = typer.main.get_command(app).params
    options = [option for item in takes for option in item.opts if option.startswith("--")]
    models = any("MODEL" in (getattr(item, "metavar", None) or "") for item in takes)
    return [*options, "--help", *(specs() if models else ())]
