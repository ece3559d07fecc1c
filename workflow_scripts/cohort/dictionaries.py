"""What the data dictionaries beside a dataset's tables say of values: codes of missing ones, units.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.cohort.index import read_rows
from workflow_scripts.common.bids import beside, read_object
from workflow_scripts.common.files import is_there
from workflow_scripts.common.values import NUMBER, folded

IDS = {"participant_id", "session_id"}
# Keys of a column's description, or of its Annotations (Neurobagel), that list codes.
CODES = {"missingvalues", "missingvalue", "missingcodes", "missingcode", "missing"}
# Texts of Levels that mean a missing value and nothing else.
MISSING_LEVEL = re.compile(
    r"(the )?((value|data|information|measurement) )?((is|was|are|were) )?"
    r"(missing|unknown|unavailable|n/?a|n\.a\.|nan|null|refused|declined|don'?t know"
    r"|not (available|applicable|known|recorded|assessed|done|measured|collected|reported"
    r"|determined|tested|obtained|provided|answered)|no (data|answer|value|information|response))"
    r"( (value|values|data|code|to answer))?( *[.;:,(/-].*)?"
)


def read_described(
    table: Path, used: set[str] | None = None, above: dict | None = None
) -> list[dict]:
    """Rows of a table of the dataset, see `read_rows`; values declared as missing are None.

    Parameters
    ----------
    used : columns that matter, see `read_rows`; what is said of others is not asked for
    above : descriptions in the dataset's root that hold too, by BIDS inheritance
    """
    rows = read_rows(table, used)
    if used and rows and used.isdisjoint(rows[0].keys() - IDS):
        return rows
    described = (above or {}) | read_dictionary(Path(beside(str(table), ".json")))
    general = set(_codes(described))
    for column in rows[0] if rows else ():
        entry = described.get(column)
        missing = general | missing_codes(entry if isinstance(entry, dict) else {})
        for row in rows if missing else ():
            if row[column] is not None and spelled(row[column]) in missing:
                row[column] = None
    return rows


def read_dictionary(file: Path) -> dict:
    """Content of a data dictionary, empty where there is none."""
    return read_object(file) if is_there(file) else {}


def missing_codes(entry: dict) -> set[str]:
    """Codes that the description of a column declares as missing values."""
    levels = {spelled(code) for code, text in _levels(entry) if MISSING_LEVEL.fullmatch(text)}
    annotations = entry.get("Annotations")
    more = _codes(annotations) if isinstance(annotations, dict) else ()
    return {*levels, *_codes(entry), *more}


def is_level(entry: dict, value: str) -> bool:
    """Whether the description of a column has a value among its levels."""
    return spelled(value) in {spelled(code) for code, _ in _levels(entry)}


def _levels(entry: dict) -> Iterator[tuple[str, str]]:
    levels = entry.get("Levels")
    for code, text in levels.items() if isinstance(levels, dict) else ():
        if isinstance(text, dict):
            text = text.get("Description") or text.get("Label") or ""
        yield code, folded(str(text))


def _codes(entry: dict) -> Iterator[str]:
    for key, codes in entry.items():
        if re.sub("[ _-]", "", key).casefold() in CODES and not isinstance(codes, dict):
            yield from map(spelled, codes if isinstance(codes, list) else [codes])


def spelled(value) -> str:
    """A value in one spelling: -99 for -99.0, other texts as they are."""
    text = str(value)
    return f"{float(text):g}" if NUMBER.fullmatch(text) else text


def described_level(bids_dir: Path, column: str, value: str) -> bool:
    """Whether any dictionary of the dataset's tables has a value of a column among the levels."""
    files = [bids_dir / "participants.json", bids_dir / "sessions.json"]
    files += [*bids_dir.glob("sub-*/sub-*_sessions.json"), *bids_dir.glob("phenotype/[!.]*.json")]
    entries = (read_dictionary(file).get(column) for file in files)
    return any(is_level(entry, value) for entry in entries if isinstance(entry, dict))
