"""Tables of a dataset as they come: classes stay text, what is unclear is named by row."""

import json
import time
from types import SimpleNamespace

import pandas as pd
import pytest

from workflow_scripts.cohort.cohort import load_cohort
from workflow_scripts.cohort.collect_clinical import main as collect_clinical
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.cohort.population import (
    clinical_of_population,
    frozen_population,
    population_today,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import members
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

CLASSES = [
    *(["01", "02"], ["1", "2"], ["1.0", "2.0"], ["1", "1.0"], ["1", "01"], ["007", "07"]),
    *(["0", "1"], ["-1", "+1"], ["1e3", "1000"], ["1_0", "10"], ["0x1", "1"], ["1,0", "2,0"]),
    *(["True", "False"], ["true", "True"], ["TRUE", "1"], ["yes", "no"], ["on", "off"]),
    *(["nan", "inf"], ["NaN", "NA"], ["None", "none"], ["null", "NULL"], ["-", "+"], ["?", "."]),
    *(["N/A", "#N/A"], ["12:30", "13:30"], ["2020-01-05", "2021-01-05"], ["<3", ">=3"]),
    *(["1st", "2nd"], ["3T", "7T"], ["a", "A"], ["é", "e"], ["a b", "a  b"], ["#1", "#2"]),
    *(['"x"', "x"], ["'x'", "x"], ["x;y", "x,y"], ["=1+1", "2"], ["∞", "8"], ["1/2", "½"]),
]


def dataset(root, column, values, more=None):
    root.mkdir(exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "x", "BIDSVersion": "1"}))
    rows = [f"participant_id\tdx\t{column}"]
    for number, value in enumerate(values, 1):
        folder = root / f"sub-{number}/anat"
        folder.mkdir(parents=True)
        (folder / f"sub-{number}_T1w.nii.gz").touch()
        rows.append(f"sub-{number}\t{'abc'[number % 2]}\t{value}")
    (root / "participants.tsv").write_text("\n".join([*rows, *(more or [])]) + "\n")
    return root


def cohort_of(root, **study):
    study = {"label": "dx", "classes": ["a", "b"]} | study
    config = check_config({"output_dir": "out", "anatomical": {}, "studies": {"s": study}})
    return load_cohort(config, root, None, build_index=True), config["studies"]["s"]


@pytest.mark.parametrize("classes", CLASSES, ids=ascii)
def test_classes_stay_the_text_that_stands_in_the_file(tmp_path, classes):
    """From participants.tsv to the population's file and the splits drawn from it."""
    root = dataset(tmp_path, "group", classes * 3)
    design = {"kind": "folds", "folds": 3}
    cohort, study = cohort_of(root, label="group", classes=classes, design=design)
    file = tmp_path / "population.tsv"
    write_table(pd.DataFrame(population_today(cohort, study)), file, resource("columns/cohort.tsv"))
    assert frozen_population(file, study, "s", cohort) == population_today(cohort, study)
    population = read_table(file)
    assert population["label"].tolist() == classes * 3
    assert members(population, classes, "key")["label"].tolist() == classes * 3
    splits = draw_splits(population, study["design"], 1, "studies.s.design", None)
    write_table(splits, tmp_path / "splits.tsv", resource("columns/cohort.tsv"))
    read = read_table(tmp_path / "splits.tsv").drop_duplicates("participant_id")
    assert sorted(read["label"]) == sorted(classes * 3)


SOUND = ["1", "2", "3", "4"]
USES = {
    "table1": {"table1": ["x"]},
    "inputs.t.columns": {"inputs": {"t": {"columns": ["x"]}}},
    "evaluation.correlations.clinical": {
        "evaluation": {"correlations": {"features": ["tiv_ml"], "clinical": ["x"]}}
    },
    "evaluation.correlations.covariates": {
        "evaluation": {
            "correlations": {"features": ["tiv_ml"], "clinical": ["dx"], "covariates": ["x"]}
        }
    },
    "evaluation.associations.outcomes": {
        "evaluation": {"associations": {"features": ["tiv_ml"], "outcomes": ["x"]}}
    },
    "evaluation.associations.covariates": {
        "evaluation": {
            "associations": {"features": ["tiv_ml"], "outcomes": ["dx"], "covariates": ["x"]}
        }
    },
}


@pytest.mark.parametrize("key", USES)
@pytest.mark.parametrize("stray", ["NA", ">4", "1,5", " ", "nan", "4+"])
def test_stray_texts_in_numbers_are_named_before_anything_runs(tmp_path, key, stray):
    root = dataset(tmp_path, "x", [*SOUND, stray])
    with pytest.raises(InputError, match=f"studies.s.{key}: x is .* in sub-5, and the others are"):
        cohort_of(root, **USES[key])


@pytest.mark.parametrize("stray", ["NA", ">4", "1,5", " ", "nan", "inf", "1e999", "1_0", "٣", "4+"])
def test_threshold_needs_numbers(tmp_path, stray):
    label = {"column": "x", "at_least": 2.5}
    root = dataset(tmp_path, "x", [*SOUND, stray])
    with pytest.raises(InputError, match="sub-5: x is .*write a number or n/a"):
        cohort_of(root, label=label)
    (root / "participants.tsv").write_text(
        (root / "participants.tsv").read_text().replace(f"\t{stray}\n", "\tn/a\n")
    )
    cohort, study = cohort_of(root, label=label)
    assert [row["label"] for row in population_today(cohort, study)] == ["a", "a", "b", "b"]


def test_what_is_missing_by_bids_is_missing(tmp_path):
    root = dataset(tmp_path, "x", [*SOUND, "n/a", ""])
    cohort, study = cohort_of(root, table1=["x"])
    rows = clinical_of_population(cohort, population_today(cohort, study), ["x"])
    table = tmp_path / "clinical.tsv"
    collect_clinical(None, SimpleNamespace(table=table), SimpleNamespace(rows=rows))
    assert read_table(table)["x"].sum() == 10 and read_table(table)["x"].isna().sum() == 2


DECLARED = [
    ("-99", {"Levels": {"-99": "missing"}}),
    ("-99", {"Levels": {"-99.0": "Not available"}}),
    ("-99.0", {"Levels": {"-99": {"Description": "not recorded; see README"}}}),
    ("999", {"Levels": {"999": "n/a"}}),
    ("9", {"Levels": {"9": "Unknown"}}),
    ("-1", {"Levels": {"-1": "Value is missing"}}),
    ("99", {"MissingValues": ["99", "999"]}),
    ("-999", {"missing_values": -999}),
    ("NA", {"Levels": {"NA": "not done"}}),
    ("unknown", {"Annotations": {"MissingValues": ["unknown"]}}),
    (">4", {"MissingValues": [">4"]}),
    ("-1", {"MissingValues": {"-1": "refused"}}),
    ("7", {"Levels": {"1": "better", "2": "worse", "7": "Declined to answer"}}),
    ("7", {"Levels": {"1": "yes", "0": "no", "7": "No response"}}),
    ("0", {"MissingValues": [0]}),
    ("0", {"Missing": {"0": "not done"}}),
    ("0", {"MissingCode": 0}),
    ("0.0", {"missing value codes": "0"}),
    ("-7", {"Missing": -7}),
    ("99", {"UserMissing": 99}),
    ("11", {"NA_values": [11, 12]}),
    ("11", {"Levels": {"missing": 11, "one": 1}}),
    ("11", {"Levels": [{"value": 11, "label": "unknown"}, {"value": 1, "label": "one"}]}),
    ("11", {"Levels": [{"1": "one"}, {"11": "not done"}]}),
    ("11", {"Levels": ["1 = one", "11 = missing"]}),
    ("11", {"levels": "1=one, 2=two, or more; 11: not available"}),
    ("11", {"Categories": {"11": {"Label": "Missing"}}}),
    ("11", {"Choices": "1, One | 2, Two | 11, Refused"}),
    ("11", {"Value Labels": "1 one\n11 = refused"}),
]


@pytest.mark.parametrize(("value", "entry"), DECLARED)
@pytest.mark.parametrize("place", ["participants", "phenotype/more", "sub-5_sessions", "sessions"])
def test_codes_that_a_dictionary_declares_are_missing(tmp_path, value, entry, place):
    root = tmp_path
    values = [*SOUND, value]
    if place == "participants":
        dataset(root, "x", values)
    elif place == "phenotype/more":
        dataset(root, "y", values)
        (root / "phenotype").mkdir()
        lines = [f"sub-{n}\t{v}" for n, v in enumerate(values, 1)]
        (root / f"{place}.tsv").write_text("\n".join(["participant_id\tx", *lines]) + "\n")
    else:
        dataset(root, "y", values)
        for n, v in enumerate(values, 1):
            folder = root / f"sub-{n}"
            (folder / "ses-1").mkdir()
            (folder / "anat").rename(folder / "ses-1/anat")
            scan = folder / f"ses-1/anat/sub-{n}_T1w.nii.gz"
            scan.rename(scan.with_name(f"sub-{n}_ses-1_T1w.nii.gz"))
            (folder / f"sub-{n}_sessions.tsv").write_text(f"session_id\tx\nses-1\t{v}\n")
        if place == "sub-5_sessions":
            place = "sub-5/sub-5_sessions"
    name = "X" if place == "sessions" else "x"  # capitals
    (root / f"{place}.json").write_text(json.dumps({name: entry, "site": "text", "Notes": 3}))
    cohort, study = cohort_of(root, table1=["x"])
    rows = clinical_of_population(cohort, population_today(cohort, study), ["x"])
    assert [row["x"] for row in rows] == [*SOUND, None]


@pytest.mark.parametrize(
    "levels",
    [
        {"4": "No response", "1": "Partial response", "2": "Responder"},
        {"1": "improved", "2": "stable", "4": "declined"},
        {"4": "Declined (MMSE -3)", "1": "unchanged"},
        {"4": {"Description": "null"}, "1": "heterozygous"},
        {"4": "missing", "1": "present", "9": "unknown"},
    ],
)
def test_levels_that_are_findings_by_the_other_levels_stay(tmp_path, levels):
    root = dataset(tmp_path, "x", [*SOUND, "n/a"])
    (root / "participants.json").write_text(json.dumps({"x": {"Levels": levels}}))
    assert [row["x"] for row in cohort_of(root, table1=["x"])[0].clinical.values()] == [
        *SOUND,
        None,
    ]


def test_codes_declared_for_another_column_or_with_another_meaning_stay(tmp_path):
    root = dataset(tmp_path, "x", [*SOUND, "9"])
    dictionary = {"y": {"Levels": {"9": "missing"}}, "x": {"Levels": {"9": "missing teeth"}}}
    (root / "participants.json").write_text(json.dumps(dictionary))
    cohort, study = cohort_of(root, table1=["x"])
    rows = clinical_of_population(cohort, population_today(cohort, study), ["x"])
    assert [row["x"] for row in rows] == [*SOUND, "9"]


@pytest.mark.parametrize("of_table", [{"Missing": 0}, {"MissingValues": "0"}])
def test_a_doubtful_code_of_the_whole_table_is_named(tmp_path, of_table):
    root = dataset(tmp_path, "x", [*SOUND, "0"])
    (root / "participants.json").write_text(json.dumps(of_table))
    with pytest.raises(InputError, match="a code or a count of missing values"):
        cohort_of(root, table1=["x"])


@pytest.mark.parametrize("word", ["no", "None"])
def test_an_answer_beside_missing_is_no_code(tmp_path, word):
    root = dataset(tmp_path, "x", [word, "yes", "yes"])
    (root / "participants.json").write_text(json.dumps({"x": {"Missing": word}}))
    with pytest.raises(InputError, match=f"x is {word} in sub-1, .*Missing: {word}, a code or"):
        cohort_of(root, table1=["x"])


def test_declared_codes_of_age_and_sex_are_missing(tmp_path):
    root = dataset(tmp_path, "age", ["30", "-99", "41"])
    with pytest.raises(InputError, match="line 3: age is '-99'; it must be years"):
        cohort_of(root)
    (root / "participants.json").write_text('{"age": {"Levels": {"-99": "missing"}}}')
    assert [row["age"] for row in cohort_of(root)[0].participants] == ["30", None, "41"]
    (root / "participants.json").write_text("{")
    with pytest.raises(InputError, match="participants.json: is no JSON object"):
        cohort_of(root)


CODES = ["-9", "-99", "-99.0", "-999", "-9999", "99", "99.9", "999", "9999", "888", "777", "-77"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("key", USES)
def test_codes_that_nobody_declares_are_named(tmp_path, key, code):
    root = dataset(tmp_path, "x", [*SOUND, code])
    with pytest.raises(InputError, match=f"studies.s.{key}: x is {code} in sub-5, and of the oth"):
        cohort_of(root, **USES[key])
    (root / "participants.json").write_text(json.dumps({"x": {"Levels": {code: "very many"}}}))
    cohort_of(root, **USES[key])


@pytest.mark.parametrize("code", CODES)
def test_codes_are_named_before_a_threshold_makes_a_class_of_them(tmp_path, code):
    root = dataset(tmp_path, "x", [*SOUND, code])
    with pytest.raises(InputError, match=f"studies.s.label: x is {code} in sub-5"):
        cohort_of(root, label={"column": "x", "at_least": 2.5})


@pytest.mark.parametrize(
    "values", [["-99"] * 4, ["21", "-99", "-99"], ["999"] * 3, ["21", "22", "999", "999"]]
)
def test_columns_that_are_mostly_codes_are_named(tmp_path, values):
    with pytest.raises(InputError, match="x is -?999? in sub-.*a code for a missing value"):
        cohort_of(dataset(tmp_path, "x", values), table1=["x"])


@pytest.mark.parametrize(
    "values",
    [
        ["90", "95", "99", "88", "77"],  # ages
        ["-3", "2", "4", "-9", "1"],  # changes
        ["30", "45", "99", "60"],
        ["400", "350", "999", "500"],
        ["1", "2", "9", "7", "8"],
        ["0.1", "0.2", "0.3", "9.9"],
        ["1", "99"],
        ["0", "1", "100", "250"],
    ],
)
def test_numbers_that_may_be_what_they_are_stay(tmp_path, values):
    cohort_of(dataset(tmp_path, "x", values), table1=["x"])


@pytest.mark.parametrize(
    ("column", "values"), [("sex", "M m F"), ("sex", "M F female"), ("scanner", "Skyra skyra Trio")]
)
def test_spellings_are_refused_where_a_study_names_the_column(tmp_path, column, values):
    root = dataset(tmp_path, column, values.split())
    cohort_of(root)
    with pytest.raises(InputError, match=f"studies.s.table1: {column} has several spellings"):
        cohort_of(root, table1=[column])


def test_sites_may_be_numbers_but_in_one_spelling_each(tmp_path):
    design = {"design": {"kind": "leave_site_out", "column": "site"}}
    cohort_of(dataset(tmp_path / "a", "site", ["1", "02", "B"]), **design)
    with pytest.raises(InputError, match=r"studies.s.design.column: site has several spellings"):
        cohort_of(dataset(tmp_path / "b", "site", ["B", "b", "A"]), **design)
    external = {"external": {"column": "site", "values": ["B"]}}
    with pytest.raises(InputError, match=r"studies.s.external.column: site is 'NA' in sub-2"):
        cohort_of(dataset(tmp_path / "c", "site", ["B", "NA", "A"]), **external)


def test_a_long_text_that_no_study_reads_disturbs_nobody(tmp_path):
    values = ["x" * 200_000, "short", "x", "y"]
    assert len(cohort_of(dataset(tmp_path, "remarks", values))[0].clinical) == 4


def test_a_value_of_external_people_that_nobody_has_is_refused(tmp_path):
    root = dataset(tmp_path, "site", ["Bern", "Basel", "Zürich"] * 2)
    message = "external.values: 'Zurich' is the site of nobody .*'Basel', 'Bern', 'Zürich'"
    with pytest.raises(InputError, match=message):
        cohort_of(root, external={"column": "site", "values": ["Bern", "Zurich"]})
    cohort_of(root, external={"column": "site", "values": ["Bern", "Zürich"]})


def test_days_in_place_of_years_are_refused_before_anything_runs(tmp_path):
    root = dataset(tmp_path, "x", ["0", "370", "0", "401"])
    change = {"features": ["tiv_ml"], "outcome": "y", "time": "x"}
    (root / "phenotype").mkdir()
    lines = [f"sub-{number}\t{number}" for number in range(1, 5)]
    (root / "phenotype/y.tsv").write_text("\n".join(["participant_id\ty", *lines]) + "\n")
    with pytest.raises(
        InputError, match=r"longitudinal.time: x is '370' in sub-2; write all dates"
    ):
        cohort_of(root, sessions="all", evaluation={"longitudinal": change})


def test_people_whom_no_study_names_disturb_nobody(tmp_path):
    """Neither those of another class nor those without a scan; nor columns that no study names."""
    root = dataset(tmp_path, "x", SOUND, ["sub-5\tb\tNA", "sub-6\tn/a\t>4"])
    (root / "sub-6/anat").mkdir(parents=True)
    (root / "sub-6/anat/sub-6_T1w.nii.gz").touch()
    cohort_of(root, table1=["x"])
    (root / "phenotype").mkdir()
    for name in ("moca", "edss"):
        text = (
            f"participant_id\tsession_id\tdate\t{name}\nsub-1\tses-1\tNA\t1\nsub-1\tses-2\t?\t<2\n"
        )
        (root / f"phenotype/{name}.tsv").write_text(text + "sub-77\tses-1\t1\t2\n")
    cohort_of(root, table1=["x"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant_id\tmoca\n1\t27\n2\t28\n", "participant_id is '1', .*write sub-1"),
        (
            "participant_id\tsession_id\tmoca\nsub-1\t01\t27\n",
            "session_id is '01', and 'moca' is used; write ses-01",
        ),
    ],
)
def test_ids_without_their_prefix_are_named(tmp_path, text, message):
    root = dataset(tmp_path, "x", SOUND)
    (root / "phenotype").mkdir()
    (root / "phenotype/moca.tsv").write_text(text)
    cohort_of(root)
    with pytest.raises(InputError, match=f"phenotype/moca.tsv: {message}"):
        cohort_of(root, table1=["moca"])


WRONG = [
    ("13", {"Minimum": 0, "Maximum": 10}, "x is 13 in sub-5, beyond its Maximum of 10"),
    ("-2", {"Minimum": 0}, "x is -2 in sub-5, beyond its Minimum of 0"),
    ("13", {"Description": "Missing values are coded as 13"}, "says 'Missing values are coded"),
    ("13", {"Description": "A score; 13 = unknown, 14 = refused"}, "says '13 = unknown'"),
    ("13.0", {"Description": "Score.\n13: not done"}, "x is 13.0 in sub-5, and its Description"),
    ("7", {"Levels": dict.fromkeys("1234", "?")}, "x is '7' in sub-5, which is none of its Levels"),
    ("0", {"levels": dict.fromkeys("1234", "?")}, r"none of its Levels .*\(1, 2, 3, 4\)"),
    ("0", {"Levels": ["1", "2=b", "3", "4: d"]}, r"none of its Levels .*\(1, 2, 3, 4\)"),
    ("0", {"Missing": 0}, r"says Missing: 0, a code or a count .* Write MissingValues: \[0\]"),
    ("12", {"MissingValues": 12}, "says MissingValues: 12, a code or a count"),
    ("12", {"missing_data": "12"}, "says missing_data: 12, a code or a count"),
]
FINE = [
    ("13", {"Minimum": 0, "Maximum": 13}),
    ("13", {"Maximum": "unknown", "Minimum": None}),
    ("13", {"Description": "Number of missing teeth, 0 to 13"}),
    ("13", {"Description": "Months. Missing for 13 people"}),
    ("13", {"Levels": {"0": "none", "20": "all"}}),
    ("13", {"Missing": 0}),
    ("0", {"Missing": False, "nMissing": 0, "MissingCount": 0, "Label": "a: 0"}),
    ("7", {"Levels": {"99": "missing", "1": "one"}}),
    ("7", {"Levels": ["1", "2"], "Description": 7}),
]


@pytest.mark.parametrize(("value", "entry", "said"), WRONG)
@pytest.mark.parametrize("place", ["participants", "phenotype/more"])
def test_values_that_contradict_their_dictionary_are_named(tmp_path, value, entry, said, place):
    root = dataset(tmp_path, "x", [*SOUND, value])
    (root / "phenotype").mkdir()
    (root / f"{place}.json").write_text(json.dumps({"x": entry}))
    with pytest.raises(InputError, match=f"studies.s.table1: .*{said}"):
        cohort_of(root, table1=["x"])


@pytest.mark.parametrize(("value", "entry"), FINE)
def test_values_that_fit_their_dictionary_are_taken(tmp_path, value, entry):
    root = dataset(tmp_path, "x", [*SOUND, value])
    (root / "participants.json").write_text(json.dumps({"x": entry, "y": {"Maximum": 1}}))
    cohort_of(root, table1=["x"])


FAR = ["1000", "-1000", "9.99e9", "1e308", "-1", "-3", "666", "12345", "0.0001e9"]


@pytest.mark.parametrize("value", FAR)
@pytest.mark.parametrize("key", USES)
def test_values_far_from_all_others_are_noted(tmp_path, value, key):
    root = dataset(tmp_path, "x", ["10", "12", "15", "11", "16", "13", value])
    cohort, _ = cohort_of(root, **USES[key])
    [note] = [row["note"] for row in cohort.index if row.get("note")]
    assert note.startswith(f"x is {float(value):g}, of the others from 10 to 16: another unit, a ")
    [row] = [row for row in cohort.index if row.get("note")]
    assert (row["participant_id"], row["suffix"]) == ("sub-7", "T1w")


@pytest.mark.parametrize(
    "values",
    [
        ["0", "1", "0", "2", "-1", "-2", "1"],  # changes
        ["1", "2", "4", "8", "16", "32", "64", "128"],
        ["0.1", "0.3", "2", "0.5", "11", "0.2", "30"],
        ["5"] * 9 + ["6"],
        ["1", "2", "3", "1000"],  # too few to tell
        ["-0.5", "1.5", "2", "3", "4", "1", "2"],
    ],
)
def test_values_of_one_kind_are_not_noted(tmp_path, values):
    cohort, _ = cohort_of(dataset(tmp_path, "x", values), table1=["x"])
    assert not any(row.get("note") for row in cohort.index)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([f"{n} mg" for n in range(8)], "x is '0 mg' in sub-1, a number with its unit"),
        ([f"{n}.5kg" for n in range(8)], "x is '0.5kg' in sub-1, a number with its unit"),
        (list("abcdefgh"), "x has 8 different texts .'a', 'b' .{4}, at most 6 can be coded"),
        (["3"] * 4, "x is the same for all 4 sessions"),
        (["n/a"] * 4, "x is n/a for all 4 sessions"),
    ],
)
def test_columns_that_no_model_can_read_are_named(tmp_path, values, said):
    with pytest.raises(InputError, match=f"studies.s.inputs.t.columns: {said}"):
        cohort_of(dataset(tmp_path, "x", values), **USES["inputs.t.columns"])


@pytest.mark.parametrize("column", ["site", "group", "class", "cluster_id"])
def test_many_numbers_in_a_column_of_names_are_named_before_anything_runs(tmp_path, column):
    uses = {"evaluation": {"groups": {"features": ["tiv_ml"], "adjust": [column]}}}
    cohort_of(dataset(tmp_path / "few", column, list("12345612")), **uses)
    root = dataset(tmp_path / "many", column, list("12345678"))
    with pytest.raises(InputError, match=f"groups.adjust: {column} has 8 .*rename it if it holds"):
        cohort_of(root, **uses)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("\t", ",", "columns are separated by tabs in a TSV, not by ','"),
        ("\t", ";", "columns are separated by tabs in a TSV, not by ';'"),
        ("\t", "   ", "columns are separated by tabs in a TSV, not by '   '"),
        ("participant_id", '"participant_id"', "texts stand in quotes"),
    ],
)
@pytest.mark.parametrize("table", ["participants.tsv", "phenotype/more.tsv"])
def test_tables_of_other_programs_are_explained(tmp_path, old, new, said, table):
    root = dataset(tmp_path, "y", SOUND)
    (root / "phenotype").mkdir()
    rows = [f"sub-{n}\t{n}" for n in (1, 2, 3, 4)]
    (root / "phenotype/more.tsv").write_text("\n".join(["participant_id\tx", *rows]) + "\n")
    cohort_of(root, table1=["x"])
    (root / table).write_text((root / table).read_text().replace(old, new))
    with pytest.raises(InputError, match=f"{table}: {said}"):
        cohort_of(root, table1=["x"])
    if table.startswith("phenotype"):
        cohort_of(root)  # which no study names


CONTENT = "participant_id\tdx\tx\nsub-1\ta\t1\nsub-2\tb\t2\nsub-3\ta\t3\n"
WRITTEN = {
    "byte order mark": "\ufeff" + CONTENT,
    "Windows": CONTENT.replace("\n", "\r\n"),
    "old Mac": CONTENT.replace("\n", "\r"),
    "blank lines": CONTENT.replace("\n", "\n\n"),
    "blank cells at the end": CONTENT + "\t\t\n \t\t\n",
    "blanks at the end": CONTENT + "   \n",
    "no newline at the end": CONTENT.rstrip(),
    "an empty column": CONTENT.replace("\n", "\t\n"),
    "numbers of rows": "\n".join(f"{n}\t{line}" for n, line in enumerate(CONTENT.split("\n")[:4])),
    "a name twice": CONTENT.replace("\n", "\t9\t8\n").replace("x\t9\t8", "x\tz\tz"),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_tables_as_editors_and_programs_write_them(tmp_path, how):
    root = dataset(tmp_path, "x", ["0"] * 3)
    (root / "participants.tsv").write_bytes(WRITTEN[how].replace("0\tpart", "\tpart").encode())
    cohort, study = cohort_of(root, table1=["x"])
    rows = clinical_of_population(cohort, population_today(cohort, study), ["x"])
    assert [row["x"] for row in rows] == ["1", "2", "3"]


NEAR = ["sub-3", "sub-03 ", " sub-03", "SUB-03", "Sub-03", "03", "3", "sub_03", "sub03"]
NEAR += ["sub-03\N{NO-BREAK SPACE}", "sub-03\N{ZERO WIDTH SPACE}", "sub-003", '"sub-03"']


def phenotype(root, ids, session=None):
    for number in (1, 2, 3):
        folder = root / f"sub-0{number}" / (session or "") / "anat"
        folder.mkdir(parents=True)
        prefix = f"sub-0{number}_{session}" if session else f"sub-0{number}"
        (folder / f"{prefix}_T1w.nii.gz").touch()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    lines = [f"sub-0{n}\t{'aba'[n - 1]}" for n in (1, 2, 3)]
    (root / "participants.tsv").write_text("\n".join(["participant_id\tdx", *lines]) + "\n")
    (root / "phenotype").mkdir()
    (root / "phenotype/x.tsv").write_text("\n".join(ids) + "\n")
    return root


@pytest.mark.parametrize("near", NEAR, ids=ascii)
def test_an_id_that_is_nearly_someones_is_no_missing_value(tmp_path, near):
    table = ["participant_id\tmoca", "sub-01\t27", "sub-02\t28", f"{near}\t29", "sub-77\t1"]
    root = phenotype(tmp_path, table)
    cohort_of(root)
    with pytest.raises(InputError) as error:
        cohort_of(root, table1=["moca"])
    assert str(error.value) == (
        f"phenotype/x.tsv: participant_id is {near!r}, which nobody has, but sub-03 is there, and "
        "'moca' is used; correct it"
    )
    # a row that says nothing of the column may be anyone's
    (root / "phenotype/x.tsv").write_text("\n".join(table).replace("\t29", "\tn/a"))
    cohort_of(root, table1=["moca"])


@pytest.mark.parametrize("near", ["ses-1", "01", "1", "SES-01", "ses-01 ", "ses_01", "ses-001"])
def test_a_session_that_is_nearly_anothers_is_no_missing_value(tmp_path, near):
    rows = ["sub-01\tses-01\t27", "sub-02\tses-01\t28", f"sub-03\t{near}\t29"]
    root = phenotype(tmp_path, ["participant_id\tsession_id\tmoca", *rows], "ses-01")
    with pytest.raises(InputError, match=f"session_id of sub-03 is '{near}', but ses-01 is there"):
        cohort_of(root, table1=["moca"])
    # another session, of which there is no scan, is nobody's business
    table = root / "phenotype/x.tsv"
    table.write_text(table.read_text().replace(f"\t{near}\t", "\tses-02\t"))
    cohort_of(root, table1=["moca"])


@pytest.mark.parametrize(
    "rows",
    [
        ["participant_id\tmoca", "sub-901\t27"],
        ["participant_id\tsession_id\tmoca", "sub-01\tses-01\t27", "sub-02\tses-01\t28"],
        ["participant_id\tmoca", "n/a\t27"],
    ],
)
def test_a_table_that_fits_nobody_is_named(tmp_path, rows):
    with pytest.raises(InputError, match="no row is of a participant and session|a row has no"):
        cohort_of(phenotype(tmp_path, rows), table1=["moca"])


def test_the_cost_of_a_cohort_grows_with_its_sessions_and_not_with_their_square(tmp_path):
    """CPU seconds of names, tables and readability, each session with T1w, FLAIR and diffusion."""
    few, many = (checked_in(tmp_path / str(sessions), sessions) for sessions in (100, 800))
    assert many < 16 * few


def checked_in(folder, sessions):
    lines = ["participant_id\tdx\tsex\tedss\tage"]
    for number in range(sessions):
        name = f"sub-{number:04d}"
        lines.append(
            f"{name}\t{'ab'[number % 2]}\t{'MF'[number % 2]}\t{number % 20 / 2}\t{number % 90}"
        )
        for kind, endings in (
            ("anat", ["T1w.nii.gz", "FLAIR.nii.gz", "T1w.json"]),
            ("dwi", [f"dwi.{end}" for end in ("nii.gz", "bval", "bvec", "json")]),
        ):
            (folder / name / kind).mkdir(parents=True)
            for end in endings:
                (folder / name / kind / f"{name}_{end}").touch()
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    levels = {"edss": {"Levels": {"-99": "missing"}}, "age": {"Units": "years"}}
    (folder / "participants.json").write_text(json.dumps(levels))
    start = time.process_time()
    cohort, _ = cohort_of(folder, table1=["sex", "edss"])
    cost = time.process_time() - start
    assert len(cohort.index) == 3 * sessions
    return cost
