"""Is a column of a table numbers, or names in one spelling each?

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re
import unicodedata

NUMBER = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")
# Meant as a number: a decimal comma, thousands set apart, a limit, a minus of typesetters ...
SIGNS = r"[\s<>=~+\-\u2264\u2265\u2248\u00b1\u2212\u2013]*"
MEANT = re.compile(SIGNS + r"[\d.,'\u2019\s]*\d[\d.,'\u2019\s]*[%+*]?\s*")
# What programs write where a value is missing; BIDS writes n/a.
MISSING_WORDS = {"", "na", "n.a.", "n/a", "#n/a", "#na", "nan", "null", "nil", "?", ".", "missing"}
SEXES = {"m": "male", "f": "female", "o": "other"}
SHOWN = 5
# Of codes for missing values: the least, how far above the others; how many of these two digits
# need.
LEAST_CODE, FAR, FEWEST = 77, 3, 3


def value_problem(name: str, values: list[tuple[str, str | None]]) -> str | None:
    """What is wrong with a column that is numbers, or text with a few different values.

    Parameters
    ----------
    name : of the column
    values : whose it is, and the text as it stands in the table, None where it is missing

    Returns
    -------
    What is wrong, in whose row, and what to do; None for a column of numbers alone, or of names
    that are each spelled in one way.
    """
    given = [(who, value) for who, value in values if value is not None]
    strays = [(who, value) for who, value in given if not NUMBER.fullmatch(value)]
    words = [value for _, value in strays if folded(value) not in MISSING_WORDS]
    meant = [value for value in words if MEANT.fullmatch(value)]
    if strays and (len(strays) < len(given) or (meant and meant == words)):
        some = "the others are numbers" if len(strays) < len(given) else "they look like numbers"
        shown = ", ".join(f"{value!r} in {who}" for who, value in strays[:SHOWN])
        more = f" and {len(strays) - SHOWN} more" if len(strays) > SHOWN else ""
        return (
            f"{name} is {shown}{more}, and {some}; write numbers with a decimal point, n/a "
            "where one is missing, or names that all begin with a letter"
        )
    return name_problem(name, values)


def code_problem(
    name: str, values: list[tuple[str, str | None]], is_level=lambda value: False
) -> str | None:
    """Which number of a column looks like the code of a missing value.

    That is -9, or a number of nines, eights or sevens alone from 77 on (-99, 999, 99.9), below 0
    where no other number is, or above three times all others; of two digits only where there are
    three others.

    Parameters
    ----------
    name, values : as of `value_problem`
    is_level : whether the data dictionary says what a value means
    """
    numbers = [(who, v, float(v)) for who, v in values if v is not None and NUMBER.fullmatch(v)]
    others = [number for *_, number in numbers if not _is_code(number)]
    low, high = min(others, default=0), max(others, default=0)
    for who, value, number in numbers:
        known = number < 0 or number >= 100 or len(others) >= FEWEST
        beyond = (number < 0 <= low) or (number > FAR * high and low >= 0)
        if _is_code(number) and known and beyond and not is_level(value):
            among = f", and of the others from {low:g} to {high:g}" if others else ""
            return (
                f"{name} is {value} in {who}{among}: a code for a missing value? Write n/a there, "
                f"or say what {value} means in the JSON beside the table (Levels, or MissingValues)"
            )
    return None


def _is_code(number: float) -> bool:
    digits = set(f"{abs(number):g}".replace(".", ""))
    return number == -9 or (abs(number) >= LEAST_CODE and len(digits) == 1 and digits <= set("789"))


def name_problem(name: str, values: list[tuple[str, str | None]]) -> str | None:
    """What is wrong with a column of names, such as sites: two spellings, or words for missing.

    Parameters and result as those of `value_problem`.
    """
    spelled: dict[str, dict[str, str]] = {}
    for who, value in values:
        if value is None:
            continue
        meaning = folded(value)
        if meaning in MISSING_WORDS:
            return f"{name} is {value!r} in {who}; write n/a where a value is missing"
        if name.casefold() in ("sex", "gender"):
            meaning = SEXES.get(meaning, meaning)
        spelled.setdefault(meaning, {}).setdefault(value, who)
    for spellings in spelled.values():
        if len(spellings) > 1:
            listed = ", ".join(f"{value!r} (in {who})" for value, who in spellings.items())
            return f"{name} has several spellings of one value: {listed}; write one of them"
    return None


def folded(value: str) -> str:
    """A text without case, and without blanks around it, so that spellings can be compared."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
