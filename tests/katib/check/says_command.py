"""What findings of the trial's command say, and the edges of their rules."""

from tests.katib.check.manifests import DROP, Changes, Said, categorical, collector, words
from tests.katib.check.says_parameters import without


def run(*command: str) -> Changes:
    return {"TRAINER.command": list(command)}


def scripted(text: str, shell: str = "sh") -> Changes:
    """Returns a script that prints all placeholders first."""
    return run(shell, "-c", f"{' '.join(words('python'))} {text}")


def word(text: str) -> Changes:
    return run(*words("python", "t.py"), text)


def said(text: str, what: str) -> tuple[Changes, set[str]]:
    return word(text), {f"command-word TRAINER.command[7]: '{text}' holds {what}"}


def quotes(text: str) -> tuple[Changes, set[str]]:
    return word(text), {f"?command-quotes TRAINER.command[7]: '{text}' holds quotes"}


SCRIPT = "command-script TRAINER.command[2]: "
COMPOUND = "?command-compound TRAINER.command[2]: "
ALL = {"TRAINER.env[2]": {"name": "ALL", "value": " ".join(words())}}
IMAGE = {"TRAINER.command": DROP, "TRAINER.args": words()}
COMMAND: Said = {
    "an empty word": said("", "nothing"),
    "a blank": said("a b", "' '"),
    "a home": said("~", "'~'"),
    "a comment": said("#a", "'#'"),
    "an apostrophe": said("it's", '"\'"'),
    "a backslash": said("a\\b", "'\\\\'"),
    "a group": said("(a)", "'('"),
    "a pattern": said("*.wav", "'*'"),
    "a set": said("[a]", "'['"),
    "two quoted words": said("'a' 'b'", '"\'"'),
    "a quoted variable": said('"$x"', "'\"'"),
    "a quoted part beside an open one": said("'a';b", '"\'"'),
    "an apostrophe in quotes": said('"it\'s"', "'\"'"),
    "a quoted backslash": said("'a\\b'", '"\'"'),
    "quotes around all": quotes("'a b'"),
    "quotes around a part": quotes('a="b c"'),
    "two quoted parts": quotes("'a'\"b\""),
    "characters that no shell reads": (word("a~b#c_d./:=,+@%-^{}!é"), set()),
    "a variable of the kubelet": (word("--dir=$(HOME)/x"), set()),
    "a command in the word": said("a`ls`", "'`'"),
    "exec in front": (
        run(*words("exec", "python")),
        {"command-script TRAINER.command[0]: 'exec' replaces the shell that Katib's mark of completion needs"},
    ),
    "a shell alone": ({**run("sh"), **ALL}, {"command-no-script TRAINER.command[0]: 'sh' has no script"}),
    "bash without a script": (
        {**run("bash", "-c"), **ALL},
        {"command-no-script TRAINER.command[0]: 'bash -c' has no script"},
    ),
    "an empty script": ({**run("sh", "-c", " "), **ALL}, {"command-no-script TRAINER.command[2]: is empty"}),
    "a shell by its path": (
        run("/bin/sh", "-c", " ".join(words("python"))),
        {"command-shell TRAINER.command[0]: '/bin/sh -c' is not what Katib looks for"},
    ),
    "another shell": (
        run("zsh", "-lc", " ".join(words("python"))),
        {"command-shell TRAINER.command[0]: 'zsh -lc' is not what Katib looks for"},
    ),
    "a script in several words": (
        run("/bin/sh", "-c", "a", *words()),
        {"command-shell TRAINER.command[0]: '/bin/sh -c' is not what Katib looks for"},
    ),
    **{
        f"the shell {shell}": (
            run(f"/bin/{shell}", "-ec", " ".join(words("python"))),
            {f"command-shell TRAINER.command[0]: '/bin/{shell} -ec' is not what Katib looks for"},
        )
        for shell in ("sh", "bash", "dash", "ash", "zsh", "ksh")
    },
    "no command and no image": ({**IMAGE, "TRAINER.image": DROP}, set()),
    "a command that is no list": (
        {**IMAGE, "TRAINER.command": "python t.py", "TRAINER.image": "trainer:1"},
        set(),
    ),
    "a list value that reaches an argument": (
        {**categorical("a b", "c"), "TRAINER.command": ["python"], "TRAINER.args": words("t.py")},
        {"list-value-word SPACE.list[0]: 'a b' does not pass a shell line whole"},
    ),
    **{
        f"a blank, with the collector {kind}": (
            {**collector(kind, fileSystemPath={"path": "/m/a", "kind": "File"}), **word("a b")},
            {"command-word TRAINER.command[7]: 'a b' holds ' '"},
        )
        for kind in ("File", "TensorFlowEvent")
    },
    "a blank in an argument": (
        {"TRAINER.command": ["python"], "TRAINER.args": words("t.py", "a b")},
        {"command-word TRAINER.args[1]: 'a b' holds ' '"},
    ),
    "a word that is no text beside one with a blank": (run(*words("python", "a b"), 3), set()),  # type: ignore[arg-type]
    "a script whose words are joined": (
        run("sh", "-c", *words("python"), ";", "a"),
        {COMPOUND + "has 2 commands"},
    ),
    "a shell with a file": (run(*words("/bin/bash", "run.sh")), set()),
    "a shell with a script of one word": (
        {**run("/bin/sh", "-c", "./run.sh"), **ALL},
        set(),
    ),
    "a program called like no shell": (run("/opt/shell", "-c", "a", *words()), set()),
    "an open quote": (
        scripted("'a"),
        {SCRIPT + "is no complete shell script: a quote or a here-document is open at its end"},
    ),
    "a line end at the end": (scripted("\n"), {SCRIPT + "ends with a line end"}),
    "a comment at the end": (scripted("# a"), {SCRIPT + "has a comment at its end"}),
    "a semicolon at the end": (scripted(";"), {SCRIPT + "ends with ';'"}),
    "an exit at the end": (scripted("; exit 0"), {SCRIPT + "ends the shell itself, with exec or exit"}),
    "an exit that may be at the end": (
        scripted("|| exit 1"),
        {SCRIPT + "ends the shell itself, with exec or exit"},
    ),
    "an exec on the way": (scripted("&& exec a && b"), {SCRIPT + "ends the shell itself, with exec or exit"}),
    "an exit on the way": (scripted("; exit 1; b"), {SCRIPT + "ends the shell itself, with exec or exit"}),
    "an exit where something failed": (scripted("|| exit 1; a"), {COMPOUND + "has 3 commands"}),
    "an exit where something went well": (scripted("&& exit; a"), {COMPOUND + "has 3 commands"}),
    "two commands of bash": (scripted("; a", "bash"), {COMPOUND + "has 2 commands"}),
    "one command": (scripted("$(HOME) a"), set()),
    "no command of a name that is not complete": (
        {**IMAGE, "TRAINER.image": "trainer:1"},
        {"command-missing TRAINER.command: is missing; the image is trainer:1"},
    ),
    "no command of a complete name": (
        {**IMAGE, "TRAINER.image": "localhost:5000/trainer:1"},
        {"?command-of-image TRAINER.command: is missing; the image is localhost:5000/trainer:1"},
    ),
    "no command of a digest": (
        {**IMAGE, "TRAINER.image": "ghcr.io/a/b@sha256:" + "0" * 64},
        {f"?command-of-image TRAINER.command: is missing; the image is ghcr.io/a/b@sha256:{'0' * 64}"},
    ),
    "a list value that reaches the command": (
        categorical("a b", "c", "d;e"),
        {
            "list-value-word SPACE.list[0]: 'a b' does not pass a shell line whole",
            "list-value-word SPACE.list[2]: 'd;e' does not pass a shell line whole",
        },
    ),
    "a list value that reaches the environment alone": (
        {
            **categorical("a b", "c"),
            **without("lr"),
            "TRAINER.env[2]": {"name": "LR", "value": "${trialParameters.lr}"},
        },
        set(),
    ),
    "nothing that rewrites the command": ({**collector("Push"), **word("a b")}, set()),
}
