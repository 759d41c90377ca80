"""What Tab offers in a shell: verbs, then options and models; files where it knows no word."""

import shutil
import subprocess

import pytest

from katib.__main__ import VERBS
from tests.verbs import katib

TAB = 'COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _sepsweep; echo "${{COMPREPLY[@]}}"'


@pytest.fixture(scope="module")
def script() -> str:
    return katib("completion").stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sepsweep resul", "results"),
        ("sepsweep deploy --tr", "--trials"),
        ("sepsweep install-katib --o", "--overlay"),
        ("sepsweep render sep", "sepformer"),
        ("sepsweep check x", ""),
        ("sepsweep no-such-verb -", ""),
        ("sepsweep ''", " ".join([*VERBS, "help", "--help", "--version"])),
    ],
)
def test_tab_offers_the_words_that_fit(typed: str, offered: str, script: str) -> None:
    done = subprocess.run(["bash", "-c", script + TAB.format(typed)], capture_output=True, text=True, check=True)
    assert (sorted(done.stdout.split()), done.stderr) == (sorted(offered.split()), "")
