"""What the check says of a script, against what sh makes of it once Katib has appended its words."""

import subprocess
from pathlib import Path

import pytest

from tests.katib.check.manifests import found, spoiled, words

SCRIPTS = (
    "echo acc=1",
    "echo acc=1\n",
    "echo acc=1 \\\n",
    "echo acc=1 # why",
    "# don't\necho acc=1",
    "echo '# acc=1'",
    "cat <<'E'\ndon't | acc=1\nE",
    "cat > a <<'E'\ndon't; print\nE\necho acc=1",
    "echo acc=1;",
    "echo acc=1 &",
    "echo acc=1 |",
    "echo acc=1; exit 0",
    "echo acc=1 || exit 1",
    "cd . || exit 1; echo acc=1",
    "exec echo acc=1",
    "(true && echo acc=1)",
    "{ echo acc=1; true; }",
    "if true; then echo acc=1; fi",
    "case a in a) echo acc=1;; esac",
    'echo acc=1 "$(echo b; echo c)"',
    "echo acc=1 `true; true`",
    "echo 'acc=1",
    "true &&\necho acc=1",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_an_error_where_sh_loses_its_lines_or_katib_s_mark(script: str, tmp_path: Path) -> None:
    """The line is that of pod/utils.go, wrapWorkerContainer.

    A script is lost where the metric or the mark is not in its file.
    """
    line = f"{script} 1>metrics.log 2>&1 && echo completed > mark"
    subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    metrics, mark = tmp_path / "metrics.log", tmp_path / "mark"
    lost = not (metrics.exists() and "acc=1" in metrics.read_text() and mark.exists())
    # The placeholders stand before the script, in a command of their own.
    text = f": {' '.join(words())}; {script}"
    errors = {
        rule for severity, rule, _ in found(spoiled({"TRAINER.command": ["sh", "-c", text]})) if severity == "error"
    }
    assert errors == ({"command-script"} if lost else set())
