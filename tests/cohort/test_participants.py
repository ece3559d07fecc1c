import pytest

from workflow_scripts.cohort.participants import (
    check_exclusions,
    exclusion_reason,
    read_exclusions,
    read_participants,
)
from workflow_scripts.common.job import InputError


def write(folder, text, name="participants.tsv"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return folder


def test_reads_rows_as_text(tmp_path):
    write(tmp_path, "participant_id\tage\tsex\nsub-1\t30\tF\nsub-2\tn/a\tM\n")
    assert read_participants(tmp_path) == [
        {"participant_id": "sub-1", "age": "30", "sex": "F"},
        {"participant_id": "sub-2", "age": None, "sex": "M"},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age\tsex\n30\tF\n", "no column participant_id .found: age, sex."),
        ("age\tparticipant_id\nsub-1\t30\n", "line 2: participant_id is '30'"),
        ("participant_id\tage\nsub-1\t30\nsub-1\t31\n", "line 3: sub-1 stands already in line 2"),
        ("\nparticipant_id\tage\r\n\r\n \t\nsub-1\told\n", "line 5: age is 'old'"),
        ("participant_id\tage\n\nsub-1\t3\n\t\nsub-1\t3", "line 5: sub-1 stands already in line 3"),
        ("participant_id\tage\n\nsub-1\t3\t4\n", "line 3: has 3 fields"),
        (
            "PK\x03\x04\x14\0\6\0xl/workbook.xml",
            "is a workbook or an archive; save the table as TSV",
        ),
        ("participant_id\nsub-../x\n", "line 2: participant_id is 'sub-../x'; it must be sub-"),
        ("participant_id\nsub-1;rm\n", "participant_id is 'sub-1;rm'"),
        ("participant_id\nn/a\n", "participant_id is 'n/a'"),
        ("participant_id\tage\nsub-1\told\n", "line 2: age is 'old'; it must be years"),
        ("participant_id\tsex\nsub-1\tX\n", "sex is 'X'; it must be M, F"),
        ("", "is empty"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_participants(write(tmp_path, text))


def test_all_problems_at_once(tmp_path):
    write(tmp_path, "participant_id\tage\nsub-1\told\n../2\t30\n")
    with pytest.raises(InputError, match="(?s)old.*'../2'"):
        read_participants(tmp_path)


def test_rows_of_others_do_not_stop_a_run_for_one(tmp_path):
    write(tmp_path, "participant_id\tage\nsub-1\t30\nsub-2\told\n")
    assert len(read_participants(tmp_path, ["sub-1"])) == 2
    with pytest.raises(InputError, match="line 3: age is 'old'"):
        read_participants(tmp_path, ["sub-2"])


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="participants.tsv: no such file"):
        read_participants(tmp_path)


def test_exclusions(tmp_path):
    text = (
        "participant_id\tsession_id\tsuffix\treason\n"
        "sub-1\tn/a\tn/a\tmotion\nsub-2\tses-2\tFLAIR\tcut off\n"
    )
    rows = read_exclusions(write(tmp_path, text, "x.tsv") / "x.tsv", {"sub-1", "sub-2"})
    assert exclusion_reason(rows, "sub-1", "ses-7", "T1w") == "motion"
    assert exclusion_reason(rows, "sub-2", "ses-2", "FLAIR") == "cut off"
    assert exclusion_reason(rows, "sub-2", "ses-2", "T1w") is None
    assert exclusion_reason(rows, "sub-2", "ses-1", "FLAIR") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("participant_id\treason\nsub-1\tx\n", "lacks the columns"),
        ("participant_id\tsession_id\tsuffix\treason\nsub-9\tn/a\tn/a\tx\n", "sub-9 is not in"),
        ("participant_id\tsession_id\tsuffix\treason\nsub-1\tn/a\tn/a\tn/a\n", "no reason"),
    ],
)
def test_bad_exclusions(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_exclusions(write(tmp_path, text, "x.tsv") / "x.tsv", {"sub-1"})


@pytest.mark.parametrize(
    ("key", "value"), [("session_id", "02"), ("suffix", "t1w")], ids=["session", "suffix"]
)
def test_exclusion_of_what_does_not_exist_is_refused(key, value):
    scan = {"participant_id": "sub-1", "session_id": "ses-02", "suffix": "T1w", "path": "x"}
    row = {"participant_id": "sub-1", "session_id": "ses-02", "suffix": "T1w", "reason": "motion"}
    check_exclusions([row, row | {"session_id": None, "suffix": None}], [scan])
    with pytest.raises(InputError, match=f"sub-1: {key} {value} is none of"):
        check_exclusions([row | {key: value}], [scan])


def test_codes_of_sex_that_the_dictionary_explains_are_taken(tmp_path):
    write(tmp_path, "participant_id\tsex\nsub-1\t1\nsub-2\t2\n")
    with pytest.raises(InputError, match="line 2: sex is '1'; it must be M, F"):
        read_participants(tmp_path)
    (tmp_path / "participants.json").write_text('{"sex": {"Levels": {"1": "male", "2": "female"}}}')
    assert [row["sex"] for row in read_participants(tmp_path)] == ["1", "2"]


def test_blank_cells_at_the_end_of_rows_are_no_matter(tmp_path):
    write(tmp_path, "participant_id\tage\nsub-1\t30\t\nsub-2\t31\t \t\n")
    assert [row["age"] for row in read_participants(tmp_path)] == ["30", "31"]
