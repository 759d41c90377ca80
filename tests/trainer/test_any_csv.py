"""Whatever stands in a corpus's CSV, the reader takes it or names what is wrong; it never fails otherwise."""

import contextlib
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.readers import librimix, polsess
from trainer.data.readers.wav import WavSubset
from trainer.errors import DataError

COLUMNS = list(polsess.FOLDERS)


def table_of(header: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")


CELL = st.text(max_size=8) | st.sampled_from(["", "a.wav", "../a.wav", "/", "\0", '"', "a" * 300])
TABLES = st.binary(max_size=200) | st.builds(
    table_of,
    st.permutations(COLUMNS) | st.lists(st.sampled_from([*COLUMNS, "", "x"]), max_size=10),
    st.lists(st.lists(CELL, max_size=10), max_size=4),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("any") / "corpus"
    for folder in ("train/s1", "train/s2", "train/mix_both", "train/noise", "metadata"):
        (root / folder).mkdir(parents=True)
    return root


@given(content=TABLES)
@settings(deadline=None, max_examples=150)
def test_any_table_is_read_or_named(root: Path, content: bytes) -> None:
    """Both formats; what is listed is then looked for, and its absence named too."""
    polsess_table = root / "train" / "corpus_corpus_train_final.csv"
    libri_table = root / "metadata" / "mixture_train_mix_both.csv"
    for table, reader in ((polsess_table, polsess), (libri_table, librimix)):
        table.write_bytes(content)
        with contextlib.suppress(DataError):
            listing = reader.listing(root, "train")
            assert len(listing.kinds) == len(listing.lines) > 0
            with pytest.raises(DataError, match="line"):
                WavSubset(listing)
