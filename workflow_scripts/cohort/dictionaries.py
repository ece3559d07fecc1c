"""What the data dictionaries beside a dataset's tables say of values: codes of missing ones, units.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from workflow_scripts.common.bids import beside, read_object
from workflow_scripts.common.files import is_there
from workflow_scripts.common.rows import IDS, read_rows
from workflow_scripts.common.values import NUMBER, folded, is_code

# Keys of a column's description, or of its Annotations (Neurobagel), that list codes or levels,
# without capitals, blanks and punctuation.
CODES = re.compile(
    r"(user)?missing(values?|data|levels?|strings?)?(codes?|labels?)?|(na|null)(values?|codes?|strings?)?"
    r"|nodata(values?)?|fillvalue|(codes?|values?)(for)?missing(values?|data)?"
)
LEVELS = re.compile("(value)?(levels?|labels?|codes|codings?|categories|choices|options|enums?)")
# A code and what it means, as texts write them.
PAIR = re.compile(r"\s*(?P<code>[^=:,]+?)\s*(=+|[:,])\s*(?P<text>.*\S)\s*")
# Of one value that is no list: may be a count of missing values, or an answer.
ANSWERS = {"yes", "no", "none", "true", "false"}
# Texts of Levels that mean a missing value and nothing else.
MISSING_LEVEL = re.compile(
    r"(the )?((value|data|information|measurement) )?((is|was|are|were) )?"
    r"(missing|unknown|unavailable|n/?a|n\.a\.|nan|null|refused|declined|don'?t know"
    r"|not (available|applicable|known|recorded|assessed|done|measured|collected|reported"
    r"|determined|tested|obtained|provided|answered)|no (data|answer|value|information|response))"
    r"( (value|values|data|code|to answer))?( *[.;:,(/-].*)?"
)
# Such texts that are findings where another level tells of their like.
FINDINGS = {
    "no response": re.compile("respon"),
    "declined": re.compile("improve|stable|unchanged|better|worse|the same|increase|progress"),
    "missing": re.compile("present|intact"),
    "null": re.compile("present|zygous|wild|carrier"),
}
# Words of a description that call a number a missing value.
MISSING_WORD = re.compile(r"\b(missing|unknown|n/?a|not (available|applicable|done|known))\b", re.I)
MEANS = re.compile(r"[=:]|\b(coded?|means?|denotes?|indicates?|stands? for|represents?)\b", re.I)
STRAYS = 0.2  # share of values, at most


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
    general, find = set(_codes(_of_table(described))), _finder(described)
    for column in rows[0] if rows else ():
        missing = general | missing_codes(find(column))
        for row in rows if missing else ():
            if row[column] is not None and spelled(row[column]) in missing:
                row[column] = None
    return rows


def read_dictionary(file: Path) -> dict:
    """Content of a data dictionary, empty where there is none."""
    return read_object(file) if is_there(file) else {}


def _of_table(described: dict) -> dict:
    """What a dictionary says of the whole table.

    A dictionary in it describes a column of that name; in a column its keys are codes.
    """
    return {key: codes for key, codes in described.items() if not isinstance(codes, dict)}


def _finder(described: dict):
    """`described_column` of many columns of one dictionary."""
    names: dict[str, list[str]] = {}
    for key in described:
        names.setdefault(folded(key), []).append(key)

    def find(column: str) -> dict:
        like = names.get(folded(column), [])
        entry = described.get(column if column in described or len(like) != 1 else like[0])
        return entry if isinstance(entry, dict) else {}

    return find


def described_column(described: dict, column: str) -> dict:
    """Description of a column, empty without; its name may have other capitals."""
    return _finder(described)(column)


def missing_codes(entry: dict) -> set[str]:
    """Codes that the description of a column declares as missing values."""
    annotations = entry.get("Annotations")
    more = _codes(annotations) if isinstance(annotations, dict) else ()
    return {*_missing_levels(entry), *_codes(entry), *more}


def _missing_levels(entry: dict) -> set[str]:
    """Levels of a column that mean a missing value."""
    levels = {spelled(code): text for code, text in _levels(entry)}
    missing = {code for code, text in levels.items() if MISSING_LEVEL.fullmatch(text)}
    others = [text for code, text in levels.items() if code not in missing]
    findings = {text for text, like in FINDINGS.items() if any(map(like.search, others))}
    return {code for code in missing if re.split(r" *[.;:,(/-]", levels[code])[0] not in findings}


def is_level(entry: dict, value: str) -> bool:
    """Whether the description of a column has a value among its levels."""
    return spelled(value) in {spelled(code) for code, _ in _levels(entry)}


def _levels(entry: dict) -> Iterator[tuple[str, str]]:
    """Codes of a column with their meanings, in whichever way people write them.

    As ``{code: meaning}``, ``{meaning: number}``, a list of either, of ``{Value: code, Label:
    meaning}``, or of texts such as ``1 = male``, or these in one text.
    """
    for key, levels in entry.items():
        if not LEVELS.fullmatch(_plain(key)):
            continue
        if isinstance(levels, str):
            levels = re.split(r"[;\n|]|,(?=[^,=:]*[=:])", levels)
        for level in levels if isinstance(levels, list) else [levels]:
            yield from _level(level)


def _level(level) -> Iterator[tuple[str, str]]:
    if isinstance(level, dict):
        told = {_plain(key): value for key, value in level.items()}
        code = next((told[key] for key in ("value", "code", "level", "name") if key in told), None)
        if code is not None and (text := _meaning(level)):
            yield str(code), text
            return
        for key, text in level.items():
            meaning = _meaning(text)
            yield key, meaning
            if NUMBER.fullmatch(meaning) and not NUMBER.fullmatch(key):
                yield meaning, folded(key)
    elif pair := PAIR.fullmatch(str(level)):
        yield pair["code"], folded(pair["text"])
    else:
        yield str(level), ""


def _meaning(text) -> str:
    if isinstance(text, dict):
        text = next((text[key] for key in ("Description", "Label", "label") if text.get(key)), "")
    return folded(str(text))


def _plain(key: str) -> str:
    return re.sub(r"[\W_]", "", key).casefold()


def _codes(entry: dict) -> Iterator[str]:
    """Codes of missing values that are declared without a doubt."""
    for _, code, doubtful in _declared(entry):
        if not doubtful:
            yield code


def _declared(entry: dict) -> Iterator[tuple[str, str, bool]]:
    """Key, code, and whether it may be the number of missing values, or say that there are none.

    Doubtful is one number from 0 on that is no list, or *no*, but where the key speaks of codes.
    """
    for key, codes in entry.items():
        if not CODES.fullmatch(_plain(key)) or codes is None or isinstance(codes, bool):
            continue
        one = not isinstance(codes, list | dict)
        for code in [codes] if one else codes:
            text = spelled(code)
            count = text.isdecimal() and not is_code(float(text))
            doubtful = one and "code" not in _plain(key) and (count or folded(text) in ANSWERS)
            yield key, text, doubtful


def spelled(value) -> str:
    """A value in one spelling: -99 for -99.0, other texts as they are."""
    text = str(value)
    return f"{float(text):g}" if NUMBER.fullmatch(text) else text


def descriptions(bids_dir: Path):
    """Function of a column: what the dictionaries of a dataset's tables say of it, as a list."""

    @cache
    def dictionaries():
        files = [bids_dir / "participants.json", bids_dir / "sessions.json"]
        files += bids_dir.glob("sub-*/sub-*_sessions.json")
        files += bids_dir.glob("phenotype/[!.]*.json")
        return [_both(read_dictionary(file)) for file in files]

    def described(column: str) -> list[dict]:
        return [entry for find in dictionaries() for entry in find(column) if entry]

    return described


def _both(described: dict):
    """Function of a column: its description, and what is said of codes in the whole table."""
    find, of_table = _finder(described), _of_table(described).items()
    codes = {key: value for key, value in of_table if CODES.fullmatch(_plain(key))}
    return lambda column: [find(column), codes]


def declared_problem(
    name: str, values: list[tuple[str, str | None]], entries: list[dict]
) -> str | None:
    """Which value of a column contradicts what the dictionaries say of it.

    A number beyond its Minimum or Maximum; one that its Description calls missing; one of which
    is not clear whether they do, see `_declared`; a value that is none of its Levels where nearly
    all others are.

    Parameters
    ----------
    name, values : of the column, as of `value_problem`
    entries : its descriptions
    """
    given = [(who, value) for who, value in values if value is not None]
    for entry in entries:
        doubtful = {code: key for key, code, doubt in _declared(entry) if doubt}
        for who, value in given:
            if key := doubtful.get(spelled(value)):
                return (
                    f"{name} is {value} in {who}, and the JSON beside the table says {key}: "
                    f"{value}, a code or a count of missing values? Write MissingValues: "
                    f"[{value}], or take it out there"
                )
        low, high = (_limit(entry, key) for key in ("Minimum", "Maximum"))
        told = _told_missing(str(entry.get("Description", "")))
        for who, value in given if told or low is not None or high is not None else ():
            if not NUMBER.fullmatch(value):
                continue
            for limit, word, beyond in ((low, "Minimum", -1), (high, "Maximum", 1)):
                if limit is not None and beyond * (float(value) - limit) > 0:
                    return (
                        f"{name} is {value} in {who}, beyond its {word} of {limit:g} in the JSON "
                        "beside the table; correct one of them"
                    )
            if spelled(value) in told:
                return (
                    f"{name} is {value} in {who}, and its Description in the JSON beside the table "
                    f"says {told[spelled(value)]!r}; write n/a there, or list {value} there as "
                    "MissingValues"
                )
    levels = {spelled(code) for entry in entries for code, _ in _levels(entry)}
    known = levels.difference(*map(_missing_levels, entries))
    numbers = [float(level) for level in known if NUMBER.fullmatch(level)]
    strays = [
        (who, value)
        for who, value in given
        if spelled(value) not in known and not _between(value, numbers)
    ]
    if len(known) > 1 and 0 < len(strays) <= STRAYS * len(given):
        who, value = strays[0]
        return (
            f"{name} is {value!r} in {who}, which is none of its Levels in the JSON beside the "
            f"table ({', '.join(sorted(known))}); correct it, or describe it there"
        )
    return None


def _between(value: str, numbers: list[float]) -> bool:
    """Whether a number is one between levels, of which only some are described."""
    if not numbers or not NUMBER.fullmatch(value):
        return False
    return min(numbers) < float(value) < max(numbers)


def _limit(entry: dict, key: str) -> float | None:
    value = spelled(entry.get(key))
    return float(value) if NUMBER.fullmatch(value) else None


def _told_missing(description: str) -> dict[str, str]:
    """Numbers that a description calls missing values, with the words that do."""
    clauses = re.split(r"[;\n]|[.,](?!\d)", description)
    return {
        spelled(number): clause.strip()
        for clause in clauses
        if MISSING_WORD.search(clause) and MEANS.search(clause)
        for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])", clause)
    }
