"""Columns of numbers with other texts in them, and names in several spellings."""

import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import as_terms
from workflow_scripts.common.tables import read_table
from workflow_scripts.common.values import name_problem, time_problem, value_problem
from workflow_scripts.statistics.describe_population import describe

NUMBERS = ["0", "1", "2", "3", "1.5", "-2", "+4", ".5", "6.", "1e-3", "2E+05", "007", "120", "8"]
# Met with in columns of numbers: words for missing, limits, units, decimal commas, blanks ...
STRAYS = (
    """
NA|N/A|n.a.|na|NaN|nan|null|NULL|None|none|missing|unknown|?|.|-|--| |  |ND|n.d.|yes|#N/A|#VALUE!
>4|<4|>=4|≥4|≤ 4|~4|4+|4*|4?|1,5|1.5,|1 234,5|1.234,5|1,234|1'234|4 ml|4mg|45%|1/2|3-4|½|٣|1_000
0x1F|inf|-inf|true|False|1.5.2|2020-01-05|12:30|e5|+|4th|five|\u22123|\u00a0
""".strip("\n")
    .replace("\n", "|")
    .split("|")
)
# Blanks that are none to pandas, as spreadsheets and web pages have them.
STRAYS += ["3\u00a0", "\u00a03", "3\u2003", "3\x85", "3\x1c", "\ufeff3"]
# All of a column: they look like numbers and are none.
LIKE_NUMBERS = [
    ["1,5", "2,0", "3,5"],
    [">4", "<4", ">10"],
    ["1.234,5", "2.000,0", "12,5"],
    ["10%", "20%", "30%"],
    ["\u22123", "\u22124", "\u22125"],
    ["1 000", "2 000", "3 000"],
    ["1,5", "NA", "2,5"],
]
ONE_SPELLING = [
    ["M", "F", "M"],
    ["male", "female", "other"],
    ["A", "B", "a2"],
    ["none", "mild", "severe"],
    ["20-30", "30-40", "40-50"],
    ["+", "-", "+"],
    ["1.5T", "3T", "7T"],
    ["True", "False", "True"],
    ["IgG", "IgM", "IgA"],
    ["Zürich", "Bern", "Köln"],
    ["c01", "c02", "c10"],
    [">5 years", "<5 years", "never"],
]
SPELLINGS = [
    ("sex", ["M", "m"]),
    ("sex", ["M", "male"]),
    ("sex", ["F", "Female"]),
    ("sex", ["f", "FEMALE"]),
    ("Sex", ["O", "other"]),
    ("gender", ["M", "Male"]),
    ("site", ["Bern", "bern"]),
    ("site", ["Bern", "BERN"]),
    ("site", ["Bern", "Bern "]),
    ("site", ["Bern", " Bern"]),
    ("site", ["Bern Insel", "Bern  Insel"]),
    ("site", ["Bern Insel", "Bern\N{NO-BREAK SPACE}Insel"]),
    ("site", ["Zürich", "Zu\N{COMBINING DIAERESIS}rich"]),
    ("on", ["TRUE", "True"]),
    ("on", ["yes", "Yes"]),
    ("race", ["White", "white"]),
    ("site", ["A", "A\u200b"]),
    ("site", ["A", "\u00adA"]),
    ("site", ["Bern", "Bern\ufeff"]),
    ("site", ["A", "\u0410"]),  # of Cyrillic
    ("site", ["BOX", "B\u041eX"]),
]


def whose(values):
    return [(f"sub-{number}", value) for number, value in enumerate(values, 1)]


def table(tmp_path, name, values):
    file = tmp_path / "participants.tsv"
    lines = [f"{who}\t{'ab'[n % 2]}\t{value}" for n, (who, value) in enumerate(whose(values))]
    file.write_text("\n".join([f"participant_id\tlabel\t{name}", *lines]) + "\n")
    return read_table(file).set_index("participant_id")


def test_numbers_alone_and_what_is_missing_are_sound():
    assert value_problem("sdi", whose(NUMBERS)) is None
    assert value_problem("sdi", whose([*NUMBERS, None])) is None
    assert value_problem("sdi", whose([None, None])) is None


@pytest.mark.parametrize("stray", STRAYS, ids=ascii)
def test_a_text_among_numbers_is_named_with_its_row(tmp_path, stray):
    values = ["0", "1", "2", stray, "1", "0"]
    message = value_problem("sdi", whose(values))
    assert message.startswith(f"sdi is {stray!r} in sub-4, and the others are numbers; write ")
    read = table(tmp_path, "sdi", values)
    if read["sdi"].dtype == object:  # else pandas has read a number, and no category comes of it
        with pytest.raises(InputError, match="in sub-4"):
            as_terms(read[["sdi"]], "models.m", "clinical.tsv")
        with pytest.raises(InputError, match="in sub-4"):
            describe(read, ["sdi"], ["a", "b"])


@pytest.mark.parametrize("values", LIKE_NUMBERS, ids=str)
def test_texts_that_look_like_numbers_are_no_categories(tmp_path, values):
    message = value_problem("edss", whose(values))
    assert message.startswith(f"edss is {values[0]!r} in sub-1, {values[1]!r} in sub-2, ")
    assert "decimal point" in message
    with pytest.raises(InputError, match="edss is"):
        as_terms(table(tmp_path, "edss", values)[["edss"]], "models.m", "clinical.tsv")


@pytest.mark.parametrize("values", ONE_SPELLING, ids=str)
def test_names_are_sound(values):
    assert value_problem("x", whose(values)) is None
    assert name_problem("x", whose(values)) is None


@pytest.mark.parametrize("values", [["1", "2", "A"], ["01", "1", "2"], ["3", "4", "5"]], ids=str)
def test_names_may_look_like_numbers(values):
    assert name_problem("site", whose(values)) is None


@pytest.mark.parametrize(("name", "values"), SPELLINGS, ids=ascii)
def test_one_value_in_two_spellings_is_refused(tmp_path, name, values):
    values = [values[0], "X", values[1], "X"]
    for problem_of in (value_problem, name_problem):
        message = problem_of(name, whose(values))
        assert message.startswith(f"{name} has several spellings of one value: ")
        assert f"{values[0]!r} (in sub-1), {values[2]!r} (in sub-3)" in message
    frame = pd.DataFrame({name: values}, index=["sub-1", "sub-2", "sub-3", "sub-4"])
    with pytest.raises(InputError, match="several spellings"):
        as_terms(frame, "models.m", "clinical.tsv")


WORDS = [
    "NA",
    "unknown",
    "Not available",
    "N/A",
    "nan",
    "NULL",
    " ",
    "?",
    ".",
    "missing",
    "<NA>",
    "NaT",
    "--",
    "-",
    "n.d.",
    "N.A",
]
WORDS += ["SYSMIS", "(missing)", "[n/a]", "n / a", "\\N", "undefined", "k.A.", "??"]
# Of spreadsheets.
ERRORS = ["#N/A", "#NULL!", "#REF!", "#DIV/0!", "#NAME?", "#VALUE!", "#NUM!", "#####"]


@pytest.mark.parametrize("word", [*WORDS, *ERRORS])
def test_words_for_missing_are_no_category(word):
    message = value_problem("hand", whose(["R", "L", word, "R"]))
    assert message == f"hand is {word!r} in sub-3; write n/a where a value is missing"


@pytest.mark.parametrize("number", ["1e400", "-1e999"])
def test_numbers_that_no_computer_holds_are_named(number):
    assert value_problem("x", whose(["1", "2", number])).startswith(f"x is {number!r} in sub-3")


def test_many_strays_are_counted():
    message = value_problem("sdi", whose(["1", *["NA"] * 8]))
    assert "'NA' in sub-6 and 3 more" in message


@pytest.mark.parametrize(
    "times",
    [
        ["2020-01-31", "2021-01-31T09:00:00Z", None],
        ["1925-12-31 09:00", "2020-01"],
        ["0", "1.5", "12"],
        ["34.5", "36.5", "80"],
        ["1999.5", "2024.25"],
        ["-0.5", "0", None],
        [None],
        [],
    ],
)
def test_dates_and_years_are_times(times):
    assert time_problem("t", whose(times)) is None


@pytest.mark.parametrize(
    ("times", "place"),
    [
        (["20200131", "20210131"], 1),
        (["43861", "44227"], 1),
        (["0", "12", "400"], 3),
        (["2020-01-31", "44227"], 2),
        (["2020-01-31", "20210131"], 2),
        (["1.5", "2021-01-31"], 1),
        (["31.01.2020", "2020-01-31"], 1),
        (["01/31/2020"], 1),
        (["2020-13-31"], 1),
        (["baseline", "12"], 1),
        (["2020-01-31", "spring"], 2),
    ],
)
def test_what_is_neither_a_date_nor_a_year_is_named(times, place):
    message = time_problem("t", whose(times))
    assert message.startswith(f"t is {times[place - 1]!r} in sub-{place}; write all dates as ")
