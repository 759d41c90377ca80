"""The main path on recorded speech: a corpus from recordings, a search on it, and a model that has learned."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOUNDS = Path("/usr/share/asterisk/sounds")
# Four people in four languages; the Spanish prompts are spoken by the same person as the English ones.
SPEAKERS = ("en_US_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU")
PACKAGES = " ".join(f"asterisk-core-sounds-{language}-wav" for language in ("en", "fr", "it", "ru"))


@pytest.mark.long
@pytest.mark.skipif(
    not all((SOUNDS / name).is_dir() for name in SPEAKERS),
    reason=f"no recorded speech below {SOUNDS}; to get it: apt-get install {PACKAGES}",
)
def test_a_search_on_recorded_speech_rises_above_the_mixture(tmp_path: Path) -> None:
    """Two trials of five epochs on 2-s mixtures of telephone prompts: the best lies well above the unprocessed
    mixtures.
    """
    speech = tmp_path / "speech"
    speech.mkdir()
    for name in SPEAKERS:
        (speech / name).symlink_to(SOUNDS / name)
    words = ["--speech", speech, "--out", tmp_path / "recorded", "--mixtures", 120, "--seconds", 2]
    katib("corpus", *words)
    runs = tmp_path / "runs"
    katib("local", "demo", "--data", tmp_path / "recorded", "--out", runs, "--trials", 2, "--epochs", 5)
    best = json.loads(katib("results", "demo", "--out", runs, "--json"))[0]
    summary = json.loads((runs / "demo" / best["trial"] / "summary.json").read_text())
    assert best["state"] == "Succeeded"
    assert best["val_si_snr"] == pytest.approx(summary["best_val_si_snr"], abs=1e-3)
    assert best["val_si_snr"] - summary["mixture_val_si_snr"] > 0.4


def katib(verb: str, *words: object) -> str:
    """Returns what the verb prints; fails the test with what it says where it fails."""
    command = [sys.executable, "-m", "katib", verb, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
