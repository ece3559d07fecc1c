"""Is a column of a table numbers, or names in one spelling each?

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re
import unicodedata
from datetime import date
from math import isfinite

from workflow_scripts.common.columns import holds_names

# Blanks of ASCII alone around it, as pandas reads numbers.
NUMBER = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*", re.ASCII)
# Meant as a number: a decimal comma, thousands set apart, a limit, a minus of typesetters ...
SIGNS = r"[\s<>=~+\-\u2264\u2265\u2248\u00b1\u2212\u2013]*"
MEANT = re.compile(SIGNS + r"[\d.,'\u2019\s]*\d[\d.,'\u2019\s]*[%+*]?\s*")
# What programs write where a value is missing; BIDS writes n/a.
MISSING_WORDS = {"", "na", "n.a.", "n.a", "n/a", "n / a", "nan", "nat", "null", "nil", "undefined"}
MISSING_WORDS |= {"missing", "unknown", "not known", "not available", "not applicable", "not done"}
MISSING_WORDS |= {"sysmis", "n.d.", "k.a.", "\\n", "?", "??", "???", ".", "..", "--", "---"}
IN_BRACKETS = re.compile(r"[\[(<](.*)[\])>]")
# What Excel and LibreOffice write in place of a value.
ERROR_OF_SHEET = re.compile(r"#+(n/?a|null!|ref!|div/0!|name\?|value!|num!|err:?\d*)?")
# Letters of Cyrillic and Greek that look like those of Latin, as capitals or not.
LOOK_ALIKE = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456"
    "\u03b1\u03b2\u03b5\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b6",
    "abekmhopctyxi" + "abehikmvoptyxz",
)
SEXES = {"m": "male", "f": "female", "o": "other"}
SHOWN = 5
MOST_LEVELS = 6  # of a column of texts in a model
WITH_UNIT = re.compile(r"\s*[-+]?\d+([.,]\d+)?\s*(?P<unit>[^\W\d_][^\d]*)\s*")
FEWEST_OTHERS = 5  # numbers without which none is said to be far
# Years as numbers: the last of the calendar, and of a life.
LAST_YEAR, LIFE = 2200, 115
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
    strays = [(who, v) for who, v in given if not (NUMBER.fullmatch(v) and isfinite(float(v)))]
    words = [value for _, value in strays if not is_missing_word(value)]
    if len(strays) == len(given) and len({*words}) > MOST_LEVELS and _of_one_unit(words):
        return (
            f"{name} is {words[0]!r} in {strays[0][0]}, a number with its unit; write the numbers "
            "alone, and the unit into the JSON beside the table (Units)"
        )
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
    others = [number for *_, number in numbers if not is_code(number)]
    low, high = min(others, default=0), max(others, default=0)
    for who, value, number in numbers:
        known = number < 0 or number >= 100 or len(others) >= FEWEST
        beyond = (number < 0 <= low) or (number > FAR * high and low >= 0)
        if is_code(number) and known and beyond and not is_level(value):
            among = f", and of the others from {low:g} to {high:g}" if others else ""
            return (
                f"{name} is {value} in {who}{among}: a code for a missing value? Write n/a there, "
                f"or say what {value} means in the JSON beside the table (Levels, or MissingValues)"
            )
    return None


def _of_one_unit(words: list[str]) -> bool:
    parts = [WITH_UNIT.fullmatch(word) for word in words]
    return bool(parts) and all(parts) and len({part["unit"] for part in parts}) == 1


def far_values(name: str, values: list[str | None]) -> list[tuple[int, str]]:
    """Numbers of a column that lie far from all others: their places, and what is to be known.

    Apart from the others by more than `FAR` times their range, and at most a tenth of them all;
    or the one whole number below 0, as which codes are written too.
    """
    numbers = [
        (float(value), place)
        for place, value in enumerate(values)
        if value is not None and NUMBER.fullmatch(value)
    ]
    numbers.sort()
    few = max(1, len(numbers) // 10)
    if len(numbers) - few < FEWEST_OTHERS:
        return []
    far = []
    for sign in (1, -1):
        ordered = numbers[::sign]
        for count in range(1, few + 1):
            inside, beyond = ordered[:-count], ordered[-count:]
            gap = abs(beyond[0][0] - inside[-1][0])
            if gap > FAR * abs(inside[-1][0] - inside[0][0]) > 0:
                far += [(number, place, inside) for number, place in beyond]
                break
    negative = [one for one in numbers if one[0] < 0]
    others = numbers[len(negative) :]
    lowest = {number for number, _ in negative}
    if not far and len(lowest) == 1 and len(others) >= FEWEST_OTHERS and lowest.pop() % 1 == 0:
        far = [(*negative[0], others)]
    return [
        (
            place,
            f"{name} is {number:g}, of the others from {min(inside)[0]:g} to {max(inside)[0]:g}: "
            "another unit, a slip of the pen, a code for a missing value?",
        )
        for number, place, inside in far
    ]


def time_problem(name: str, values: list[tuple[str, str | None]]) -> str | None:
    """Which value of a column is neither a date nor a number of years, as all others are.

    Parameters and result as those of `value_problem`.
    """
    given = [(who, value) for who, value in values if value is not None]
    bad = [(who, value) for who, value in given if not _is_date(value)]
    if len(bad) == len(given) and all(NUMBER.fullmatch(value) for _, value in given):
        first = min((float(value) for _, value in given), default=0)
        last = min(LAST_YEAR, first + LIFE)
        bad = [(who, value) for who, value in given if float(value) > last]
    if not bad:
        return None
    return (
        f"{name} is {bad[0][1]!r} in {bad[0][0]}; write all dates as 2020-01-31, or all as years "
        "in numbers, and n/a where one is missing"
    )


def _is_date(value: str) -> bool:
    """Whether a text begins with a date as 2020-01-31, or is a month as 2020-01."""
    try:
        return value[4:5] == "-" and bool(date.fromisoformat(f"{value}-01"[:10]))
    except ValueError:
        return False


def levels_problem(
    name: str, values: list[tuple[str, str | None]], may_be_constant: bool = False
) -> str | None:
    """Why a column cannot be terms of a model: no value, one alone, or too many texts."""
    different = {value for _, value in values if value is not None}
    if len(different) < 2 and not may_be_constant:
        what = "the same for all" if different else "n/a for all"
        return f"{name} is {what} {len(values)} sessions of the classes; take it out"
    texts = holds_names(name) or not any(map(NUMBER.fullmatch, different))
    if texts and len(different) > MOST_LEVELS:
        first, second, *_ = sorted(different)
        what = "write numbers with a decimal point"
        if holds_names(name):
            what = "rename it if it holds numbers, since a column of this name holds names"
        return (
            f"{name} has {len(different)} different texts ({first!r}, {second!r} ...), at most "
            f"{MOST_LEVELS} can be coded; {what}, or take it out"
        )
    return None


def is_code(number: float) -> bool:
    """Whether a number is one that codes of missing values are: -9, or nines, eights or sevens."""
    digits = set(f"{abs(number):g}".replace(".", ""))
    return number == -9 or (abs(number) >= LEAST_CODE and len(digits) == 1 and digits <= set("789"))


def name_problem(name: str, values: list[tuple[str, str | None]]) -> str | None:
    """What is wrong with a column of names, such as sites: two spellings, or words for missing.

    Parameters and result as those of `value_problem`.
    """
    spelled: dict[str, dict[str, str]] = {}
    plus = any(value and value.strip().startswith("+") for _, value in values)
    for who, value in values:
        if value is None:
            continue
        meaning = folded(value)
        if is_missing_word(value) or (meaning == "-" and not plus):
            return f"{name} is {value!r} in {who}; write n/a where a value is missing"
        if name.casefold() in ("sex", "gender"):
            meaning = SEXES.get(meaning, meaning)
        spelled.setdefault(meaning, {}).setdefault(value, who)
    for spellings in spelled.values():
        if len(spellings) > 1:
            listed = ", ".join(f"{value!r} (in {who})" for value, who in spellings.items())
            return f"{name} has several spellings of one value: {listed}; write one of them"
    return None


def is_missing_word(value: str) -> bool:
    """Whether a text is what programs and people write where a value is missing."""
    text = folded(value)
    inside = IN_BRACKETS.fullmatch(text)
    text = inside[1] if inside else text
    return text in MISSING_WORDS or bool(ERROR_OF_SHEET.fullmatch(text))


def folded(value: str) -> str:
    """A text so that spellings can be compared.

    Without case, blanks around it and characters that nobody sees; in letters of Latin where those
    of another alphabet look alike.
    """
    if value.isascii():
        return " ".join(value.casefold().split())
    text = unicodedata.normalize("NFKC", value)
    seen = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return " ".join(seen.casefold().translate(LOOK_ALIKE).split())
