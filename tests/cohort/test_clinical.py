"""What the tables of a dataset say of each session."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from workflow_scripts.cohort import collect_clinical, preflight
from workflow_scripts.cohort.clinical import (
    SESSION,
    columns_of_study,
    feature_columns,
    named_columns,
    read_clinical,
    write_clinical,
)
from workflow_scripts.cohort.cohort import CLINICAL, load_cohort, simulated_cohort
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common import splits
from workflow_scripts.common.job import InputError
from workflow_scripts.common.rows import read_rows

STUDY = {"label": "dx", "classes": ["a", "b"], "table1": ["edss"]}
SESSIONS = [("sub-1", "ses-1"), ("sub-1", "ses-2"), ("sub-2", "ses-1")]
PARTICIPANTS = "participant_id\tdx\tedss\nsub-1\ta\t1\nsub-2\tb\tn/a\n"
PHENOTYPE = "participant_id\tsession_id\tedss\n"


def checked(**study):
    """A checked configuration of one study."""
    studies = {"s": STUDY | study}
    return check_config({"output_dir": "out", "anatomical": {}, "studies": studies})


@pytest.fixture
def dataset(tmp_path):
    """Function of files to the rows of two participants, one of them with two sessions."""

    def read(files, sessions=SESSIONS, **study):
        for name, text in {"participants.tsv": PARTICIPANTS, **files}.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        participants = read_rows(tmp_path / "participants.tsv")
        return read_clinical(tmp_path, participants, sessions, checked(**study)["studies"])

    return read


def values(rows, column):
    return [row[column] for row in rows]


def test_participants_alone(dataset):
    rows = dataset({})
    assert rows[0] == {"participant_id": "sub-1", "session_id": "ses-1", "dx": "a", "edss": "1"}
    assert values(rows, "dx") == ["a", "a", "b"]
    assert values(rows, "edss") == ["1", "1", None]


def test_a_session_goes_before_its_participant(dataset):
    phenotype = f"{PHENOTYPE}sub-1\tses-2\t3.5\nsub-2\tses-1\tn/a\n"
    assert values(dataset({"phenotype/edss.tsv": phenotype}), "edss") == ["1", "3.5", None]
    sessions = "session_id\tedss\nses-1\t2\nses-2\tn/a\n"
    rows = dataset({"phenotype/edss.tsv": PHENOTYPE, "sub-1/sub-1_sessions.tsv": sessions})
    assert values(rows, "edss") == ["2", "1", None]


def test_a_phenotype_of_participants_is_of_all_their_sessions(dataset):
    moca = "participant_id\tmoca\nsub-1\t27\n"
    rows = dataset({"phenotype/moca.tsv": moca}, table1=["moca"])
    assert values(rows, "moca") == ["27", "27", None]


def test_columns_may_differ_between_the_sessions_tables(dataset):
    rows = dataset(
        {
            "sub-1/sub-1_sessions.tsv": "session_id\tscanner\nses-1\tX\nses-2\tY\n",
            "sub-2/sub-2_sessions.tsv": "session_id\tmoca\nses-1\t25\n",
        },
        table1=["scanner", "moca"],
    )
    assert values(rows, "scanner") == ["X", "Y", None]
    assert values(rows, "moca") == [None, None, "25"]


def test_a_dataset_without_sessions(dataset):
    moca = "participant_id\tmoca\nsub-1\t27\n"
    sessions = [("sub-1", None), ("sub-2", None)]
    rows = dataset({"phenotype/moca.tsv": moca}, sessions, table1=["moca"])
    assert values(rows, "moca") == ["27", None]
    assert values(rows, "session_id") == [None, None]


def test_what_nobody_names_disturbs_nobody(dataset):
    """The same column in two tables and twice in one, ids of another kind, no ids at all."""
    expected = dataset({})
    files = {
        "phenotype/a.tsv": "participant_id\tmoca\tdate\nsub-1\t1\tx\nsub-1\t2\ty\n",
        "phenotype/b.tsv": "participant_id\tmoca\tdate\tdate\t\nsub-1\t3\tx\ty\tz\n",
        "phenotype/c.tsv": "name\tmoca\nA. B.\t3\n",
        "phenotype/d.tsv": "participant_id\tmoca\n17\t3\n",
    }
    assert dataset(files) == expected


def test_people_and_sessions_that_were_not_scanned_disturb_nobody(dataset):
    rows = "sub-1\tses-9\t7\nsub-1\tses-9\t8\nsub-77\tses-1\t9\nsub-77\tses-1\t9\n"
    files = {"phenotype/edss.tsv": f"{PHENOTYPE}{rows}sub-1\tses-1\t2\n"}
    files["sub-77/sub-77_sessions.tsv"] = "session_id\tedss\n"
    assert values(dataset(files), "edss") == ["2", "1", None]


def test_files_that_begin_with_a_dot_are_ignored(dataset):
    row = "sub-1\tses-1\t9\n"
    files = {"phenotype/._edss.tsv": "\x00\x05", "phenotype/.edss.tsv": PHENOTYPE + row}
    assert values(dataset(files), "edss") == ["1", "1", None]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"phenotype/a.tsv": PHENOTYPE, "phenotype/b.tsv": "participant_id\tedss\n"},
            None,  # tables without a row say nothing
        ),
        (
            {
                "phenotype/a.tsv": f"{PHENOTYPE}sub-1\tses-1\t1\n",
                "phenotype/b.tsv": "participant_id\tedss\nsub-2\t1\n",
            },
            "studies.s.table1: column 'edss' stands in phenotype/a.tsv and phenotype/b.tsv; rename",
        ),
        (
            {"phenotype/a.tsv": f"{PHENOTYPE}sub-1\tses-1\t1\nsub-1\tses-1\t1\n"},
            "phenotype/a.tsv: sub-1 ses-1 has a second row, and 'edss' is used; keep one",
        ),
        (
            {"phenotype/a.tsv": "participant_id\tedss\tedss\nsub-1\t1\t2\n"},
            r"a.tsv: columns need names, each its own; found \['participant_id', 'edss', 'edss'\]",
        ),
        (
            {"phenotype/a.tsv": "participant_id\tedss\nsub-1\t2\n"},
            "phenotype/a.tsv: edss of sub-1 is '2', in another table '1'",
        ),
        (
            {
                "phenotype/a.tsv": f"{PHENOTYPE}sub-1\tses-1\t2\n",
                "sub-1/sub-1_sessions.tsv": "session_id\tedss\nses-1\t3\n",
            },
            "sessions.tsv: edss of sub-1 ses-1 is '3', in another table '2'",
        ),
        (
            {"phenotype/a.tsv": "name\tedss\nA\t2\nB\t3\n"},
            "phenotype/a.tsv: has no column participant_id, and 'edss' is used; add it",
        ),
        *(
            (
                {"sub-1/sub-1_sessions.tsv": text},
                "sub-1_sessions.tsv: has rows without a session_id",
            )
            for text in ("session\tedss\nses-1\t3\n", "session_id\tedss\nn/a\t3\nses-2\t4\n")
        ),
        (
            {"sub-1/sub-1_sessions.tsv": f"{PHENOTYPE}sub-1\tses-1\t3\nsub-2\tses-2\t4\n"},
            "sub-1_sessions.tsv: has rows of sub-2; keep those of sub-1 alone",
        ),
        ({"phenotype/a.tsv": f"{PHENOTYPE}sub-1\t1\n"}, "a.tsv line 2: has 2 fields, the header 3"),
        ({"phenotype/a.tsv": ""}, "a.tsv: is empty; it needs a header line"),
    ],
)
def test_a_named_column_must_be_sound(dataset, files, message):
    if message is None:
        assert values(dataset(files), "edss") == ["1", "1", None]
        return
    with pytest.raises(InputError, match=message):
        dataset(files)


@pytest.mark.parametrize("written", ["sub-1", "1", "SUB-01", "n/a"])
def test_ids_of_the_participant_may_stand_in_its_table_of_sessions(dataset, written):
    rows = dataset({"sub-1/sub-1_sessions.tsv": f"{PHENOTYPE}{written}\tses-1\t3\n"})
    assert values(rows, "edss") == ["3", "1", None]


def test_equal_values_of_two_tables_are_no_contradiction(dataset):
    files = {"phenotype/a.tsv": "participant_id\tedss\nsub-1\t1\nsub-2\t4\n"}
    assert values(dataset(files), "edss") == ["1", "1", "4"]


def test_columns_that_are_nowhere_are_named_with_their_keys(dataset):
    study = {"label": "diagnosis", "table1": ["sex"]}
    with pytest.raises(InputError) as error:
        dataset({"phenotype/x.tsv": "participant_id\tmoca\nsub-1\t1\n"}, **study)
    for part in ("studies.s.label", "'diagnosis'", "studies.s.table1", "'sex'", "dx, edss, moca"):
        assert part in str(error.value)


def test_columns_of_inputs_are_features_or_stand_in_the_tables(dataset):
    study = {
        "inputs": {"table": {"columns": ["edss", "gm_fraction", "volume"]}},
        "external": {"column": "site", "values": ["B"]},
    }
    assert "gm_fraction" in feature_columns()
    studies = checked(**study)["studies"]
    assert named_columns(studies) == {
        "dx": "studies.s.label",
        "edss": "studies.s.table1",
        "site": "studies.s.external.column",
        "volume": "studies.s.inputs.table.columns",
    }
    assert columns_of_study(studies["s"]) == ["edss", "site", "volume"]
    with pytest.raises(InputError, match=r"(?s)external.column.*'site'.*table.columns.*'volume'"):
        dataset({}, **study)


@pytest.mark.parametrize("column", ["weight", "site", "scanner", "shape", "note"])
def test_columns_that_other_tables_have_too_are_no_features(dataset, column):
    assert {*preflight.COLUMNS, *splits.COLUMNS, column}.isdisjoint(feature_columns() - {*SESSION})
    study = {"inputs": {"table": {"columns": [column]}}}
    participants = PARTICIPANTS.replace("edss", f"edss\t{column}").replace("1\n", "1\t8\n")
    files = {"participants.tsv": participants.replace("n/a\n", "n/a\t9\n")}
    assert values(dataset(files, **study), column) == ["8", "8", "9"]
    with pytest.raises(InputError, match=f"table.columns: .* have no column '{column}'"):
        dataset({}, **study)


def test_the_first_study_that_names_a_column_gives_its_key(dataset):
    studies = checked()["studies"]
    assert named_columns(studies | {"t": studies["s"]})["dx"] == "studies.s.label"
    assert named_columns({}) == {}


# Kept for the processes of the jobs


def test_rows_are_kept_as_they_are(dataset, tmp_path):
    rows = dataset({"phenotype/edss.tsv": f"{PHENOTYPE}sub-1\tses-2\t03.50\n"})
    write_clinical(rows, tmp_path / "clinical.tsv")
    assert read_rows(tmp_path / "clinical.tsv") == rows
    write_clinical([], tmp_path / "none.tsv")
    assert read_rows(tmp_path / "none.tsv") == []


@pytest.fixture
def bids(tmp_path):
    root = tmp_path / "bids"
    for prefix in ("sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1"):
        folder = root / prefix.replace("_", "/") / "anat"
        folder.mkdir(parents=True)
        (folder / f"{prefix}_T1w.nii.gz").touch()
    description = {"Name": "x", "BIDSVersion": "1.8.0"}
    (root / "dataset_description.json").write_text(json.dumps(description))
    (root / "participants.tsv").write_text(PARTICIPANTS)
    (root / "phenotype").mkdir()
    (root / "phenotype/edss.tsv").write_text(f"{PHENOTYPE}sub-1\tses-2\t3.5\n")
    return root


def test_jobs_read_what_the_main_process_kept(bids, tmp_path):
    config, file = checked(), tmp_path / "out/cohort/index.tsv"
    first = load_cohort(config, bids, file, build_index=True)
    assert first.clinical["sub-1", "ses-2"]["edss"] == "3.5"
    assert read_rows(file.with_name(CLINICAL)) == list(first.clinical.values())
    (bids / "phenotype/edss.tsv").unlink()
    assert load_cohort(config, bids, file, build_index=False) == first
    again = load_cohort(config, bids, file, build_index=True)
    assert again.clinical["sub-1", "ses-2"]["edss"] == "1"


def test_a_run_about_some_keeps_nothing_and_looks_at_them_alone(bids):
    """The other participant has no label and a row too many; only a run for all says so."""
    (bids / "participants.tsv").write_text(PARTICIPANTS.replace("b\t", "B\t"))
    config = checked() | {"participants": ["sub-1"]}
    cohort = load_cohort(config, bids, None, build_index=True)
    assert list(cohort.clinical) == [("sub-1", "ses-1"), ("sub-1", "ses-2")]
    with pytest.raises(InputError, match="sub-2_ses-1: dx is 'B', which is none of studies.s"):
        load_cohort(checked(), bids, None, build_index=True)


def test_a_simulated_cohort_has_the_tables_of_its_plan(tmp_path):
    """sub-1 has an EDSS of its own, sub-2 one per session, the second of which lacks it."""
    people = [{"participant_id": f"sub-{n}", "dx": x} for n, x in ((1, "a"), (2, "b"))]
    people[0]["edss"] = 1.0
    visits = [{"participant_id": "sub-2", "session_id": f"ses-{n}"} for n in (1, 2)]
    scans = [
        row | {"suffix": "T1w", "path": f"{row['participant_id']}/x.nii.gz"}
        for row in [{"participant_id": "sub-1", "session_id": None}, *visits]
    ]
    edss = [row | {"edss": value} for row, value in zip(visits, (3.5, None), strict=True)]
    plan = SimpleNamespace(participants=people, sessions=edss, scans=scans, masks=[], exclusions=[])
    file = tmp_path / "cohort/index.tsv"
    cohort = simulated_cohort(checked(), plan, tmp_path / "bids", file)
    found = {key: row["edss"] for key, row in cohort.clinical.items()}
    wanted = {("sub-1", None): "1.0", ("sub-2", "ses-1"): "3.5", ("sub-2", "ses-2"): None}
    assert found == wanted
    assert read_rows(file.with_name(CLINICAL)) == list(cohort.clinical.values())


def test_a_study_s_table_holds_the_text_of_the_tables(tmp_path):
    rows = [
        {"participant_id": "sub-1", "session_id": "ses-1", "site": "01", "edss": "3.50"},
        {"participant_id": "sub-2", "session_id": None, "site": None, "edss": "1"},
    ]
    table = tmp_path / "clinical.tsv"
    collect_clinical.main(None, SimpleNamespace(table=table), SimpleNamespace(rows=rows))
    assert read_rows(table) == rows
    assert list(pd.read_csv(table, sep="\t")) == list(rows[0])
