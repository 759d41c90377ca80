"""How far packing is: each mixture that is packed, and each that is read back, in order."""

from pathlib import Path

from trainer.data.pack import pack


def test_whoever_watches_hears_of_each_mixture(corpus: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    assert pack(corpus, "val", tmp_path, progress=lambda *words: heard.append(words))
    assert heard == [(what, done, 4) for what in ("packs", "reads back") for done in (1, 2, 3, 4)]
    heard.clear()
    assert not pack(corpus, "val", tmp_path, progress=lambda *words: heard.append(words))
    assert heard == [("reads back", done, 4) for done in (1, 2, 3, 4)]
