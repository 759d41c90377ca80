"""Reads the CSV that lists the mixtures of a subset, and refuses whatever would silently shift or lose a cell.

A byte order mark, both kinds of line ends, blank lines and further columns are accepted; a third speaker is not.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.data.readers.regular import read_regular
from trainer.errors import DataError

THIRD_SPEAKER = re.compile(r"(?:speaker|source)_?(?:[3-9]|[1-9]\d+)(?!\d)", re.IGNORECASE)
"""Columns such as LibriMix's source_3_path or PolSESS's speaker3File and reverbForSpeaker3."""


def read_table(path: Path, needed: Sequence[str]) -> list[tuple[int, Mapping[str, str]]]:
    """Returns the rows of `path`: the number of the line, and the stripped cells by column.

    Raises DataError that names the line where one of the `needed` columns is missing or a row does not fit.
    """
    try:
        text = read_regular(path).decode("utf-8-sig")
        # Without strict, a quote that is never closed would silently swallow the rest of the file.
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        line = 1
        columns = [name.strip() for name in next(reader, [])]
        _check_columns(path, columns, needed)
        rows: list[tuple[int, Mapping[str, str]]] = []
        for cells in reader:
            line = reader.line_num + 1
            if not cells:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(columns):
                raise DataError(f"{where}: {len(cells)} cells, line 1 has {len(columns)}; write the CSV again")
            row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
            _check_two_speakers(where, row)
            rows.append((reader.line_num, row))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it in UTF-8") from error
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: cannot be read as CSV ({error}); is a quote never closed? write the line again"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read as CSV ({error.strerror}); copy it again") from error
    if not rows:
        raise DataError(f"{path}: has no rows; build or copy the corpus again")
    return rows


def _check_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [column for column in needed if column not in columns]
    twice = [column for column in columns if column and columns.count(column) > 1]
    if twice and not missing:
        raise DataError(f"{path}, line 1: column {twice[0]} occurs twice; remove one of them")
    if not missing:
        return
    if len(columns) < 2:
        content = f"line 1 is '{columns[0][:60]}'" if columns else "the file is empty; build or copy the corpus again"
        hint = "; separate the columns by commas" if columns and re.search("[;\t]", columns[0]) else ""
        raise DataError(f"{path}, line 1: column {missing[0]} is missing, {content}{hint}")
    raise DataError(f"{path}, line 1: column {missing[0]} is missing; the required columns are {', '.join(needed)}")


def _check_two_speakers(where: str, row: Mapping[str, str]) -> None:
    for column, cell in row.items():
        if cell and THIRD_SPEAKER.search(column):
            raise DataError(f"{where}: column {column} names a third speaker; this trainer separates mixtures of two")
