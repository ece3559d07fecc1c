"""Rows of TSV tables as text, without pandas.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import csv
import io
import itertools
import re
from pathlib import Path

from workflow_scripts.common.files import read_text
from workflow_scripts.common.job import InputError

IDS = {"participant_id", "session_id"}
csv.field_size_limit(1 << 30)  # a text may be long where no study reads it


def read_rows(path: Path, used: set[str] | None = None, quoted: bool = False) -> list[dict]:
    """Rows of a TSV as dictionaries of text; ``n/a`` and empty become None.

    Parameters
    ----------
    used : columns whose names must not stand twice; None for all, which then need names too.
        A table without any of them may have rows of any length
    quoted : of a table that pandas has written, which puts texts with quotes in them in quotes

    Raises
    ------
    InputError
        If the file cannot be read, a row has more or fewer fields than the header, a column has
        no name or two have the same.
    """
    try:
        text = read_text(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read ({error}); give a UTF-8 TSV file") from error
    if text.startswith("PK\x03\x04"):
        raise InputError(f"{path}: is a workbook or an archive; save the table as TSV (UTF-8)")
    file = io.StringIO(text, newline="")
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader(file, delimiter="\t", quoting=quoting)
    numbered = [(reader.line_num, line) for line in reader if any(map(str.strip, line))]
    lines = [line for _, line in numbered]
    if not lines:
        raise InputError(f"{path}: is empty; it needs a header line")
    header = lines[0]
    other = re.search("[,;]|  +", header[0]) if len(header) == 1 else None
    if other and (used is None or used.intersection(header[0].split(other.group())) - IDS):
        raise InputError(
            f"{path}: columns are separated by tabs in a TSV, not by {other.group()!r}; save it so"
        )
    in_quotes = used and used.intersection(name.strip('"') for name in header) - IDS
    if header[0].startswith('"') and (in_quotes or used is None) and not quoted:
        raise InputError(f"{path}: texts stand in quotes ({header[0]}); save it without them")
    checked = header if used is None else [name for name in header if name in used]
    if len(set(checked)) != len(checked) or "" in checked:
        raise InputError(f"{path}: columns need names, each its own; found {header}")
    needed = used is None or used.intersection(header) - IDS
    for number, line in numbered[1:]:
        if needed and (len(line) < len(header) or any(map(str.strip, line[len(header) :]))):
            raise InputError(
                f"{path} line {number}: has {len(line)} fields, the header {len(header)}; "
                "columns are separated by one tab each"
            )
    return [
        {
            key: None if value in ("n/a", "") else value
            for key, value in itertools.zip_longest(header, line[: len(header)], fillvalue="")
        }
        for line in lines[1:]
    ]


def row_lines(path: Path) -> list[int]:
    """Numbers of the lines of a TSV that `read_rows` makes its rows of."""
    lines = re.split("\r\n|\r|\n", read_text(path))
    return [number for number, line in enumerate(lines, start=1) if line.strip()][1:]
