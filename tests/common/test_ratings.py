import hashlib

import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.ratings import (
    FIELDS,
    is_void,
    picture_path,
    rating_files,
    read_ratings,
)

ROW = {
    "rater": "Ana",
    "date": "2026-11-30T12:00:00.000Z",
    "participant_id": "sub-1",
    "session_id": "ses-2",
    "picture": "desc-qc_T1w",
    "rating": "bad",
    "reason": "motion",
    "comment": 'rings "here"',
    "version": "0.7.0",
    "sha256": "a" * 64,
}


def write(path, *rows, columns=FIELDS):
    """A file with ratings; its path."""
    lines = [columns, *([(ROW | row).get(name, "x") for name in columns] for row in rows)]
    path.write_text("".join("\t".join(cells) + "\n" for cells in lines))
    return str(path)


def test_a_file_is_read_as_it_is_written(tmp_path):
    file = write(tmp_path / "a.tsv", {}, {"session_id": "n/a", "comment": "n/a"})
    rows, told = read_ratings([file])
    assert rows[0] == ROW | {"place": f"{file} line 2"}
    assert rows[1]["session_id"] is None and rows[1]["comment"] is None
    assert told == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": "fine"}, "line 3: rating is 'fine'; it must be good, doubtful, bad"),
        ({"picture": "desc-qc_FLAIR"}, "line 3: picture is 'desc-qc_FLAIR'; it must be desc-qc_"),
        ({"participant_id": "../sub-1"}, "line 3: participant_id is '../sub-1'"),
        ({"session_id": "2"}, "line 3: session_id is '2'; it must be ses-"),
        ({"date": "30.11.2026"}, "line 3: date is '30.11.2026'; write it as 2026-"),
        ({"sha256": "abc"}, "line 3: sha256 is 'abc'"),
        ({"rater": "n/a"}, "line 3: rater is n/a; write it"),
        ({}, "line 3: Ana has rated sub-1_ses-2 desc-qc_T1w in .*a.tsv line 2 already; keep one"),
        ({"rater": "ana"}, "rater has several spellings of one value: 'Ana' .*, 'ana' "),
    ],
)
def test_what_cannot_be_used_is_named_with_file_and_line(tmp_path, change, message):
    other = {"session_id": "ses-3"} if change.keys() & {"rater"} else {}
    file = write(tmp_path / "a.tsv", {}, other | change)
    with pytest.raises(InputError, match=message):
        read_ratings([file])


def test_unknown_and_missing_columns(tmp_path):
    columns = [name for name in FIELDS if name != "sha256"]
    file = write(tmp_path / "a.tsv", {}, columns=[*columns, "note"])
    with pytest.raises(
        InputError, match="line 1: has no column sha256 and has the unknown .* note"
    ):
        read_ratings([file])


def test_all_problems_of_all_files_at_once(tmp_path):
    files = [write(tmp_path / f"{name}.tsv", {"rating": name}) for name in ("x", "y")]
    with pytest.raises(InputError, match="(?s)x.tsv line 2: rating is 'x'.*y.tsv line 2: rating"):
        read_ratings(files)


@pytest.mark.parametrize("later", [0, 1])
def test_the_later_date_counts_wherever_it_stands(tmp_path, later):
    """Noon in Berlin is before noon in UTC, though its text is sorted behind it."""
    dates = ["2026-11-30T12:00:00+01:00", "2026-11-30T11:30:00Z"]
    ratings = [{"date": dates[0], "rating": "good"}, {"date": dates[1], "rating": "bad"}]
    files = [
        write(tmp_path / "a.tsv", ratings[later]),
        write(tmp_path / "b.tsv", ratings[1 - later]),
    ]
    rows, told = read_ratings(files)
    assert [row["rating"] for row in rows] == ["bad"]
    assert told == ["ratings: 1 of Ana are changed in a later file, and the later date counts"]


def test_the_same_file_twice_is_nothing_to_speak_of(tmp_path):
    files = [write(tmp_path / f"{name}.tsv", {}) for name in ("a", "a (1)")]
    rows, told = read_ratings(files)
    assert len(rows) == 1 and told == []


def test_two_ratings_of_one_time_are_refused(tmp_path):
    files = [write(tmp_path / f"{rating}.tsv", {"rating": rating}) for rating in ("bad", "good")]
    with pytest.raises(InputError, match="good.tsv line 2: .* otherwise and at the same time"):
        read_ratings(files)


def test_raters_are_independent(tmp_path):
    files = [write(tmp_path / f"{name}.tsv", {"rater": name}) for name in ("Ana", "Ben")]
    assert [row["rater"] for row in read_ratings(files)[0]] == ["Ana", "Ben"]


def test_a_rating_is_void_when_another_picture_lies_there(tmp_path):
    path = tmp_path / picture_path(ROW)
    assert str(path).endswith("sub-1/ses-2/figures/sub-1_ses-2_desc-qc_T1w.webp")
    assert not is_void(ROW, tmp_path)  # of an excluded scan no picture is drawn
    path.parent.mkdir(parents=True)
    path.write_bytes(b"picture")
    assert is_void(ROW, tmp_path)
    assert not is_void(ROW | {"sha256": hashlib.sha256(b"picture").hexdigest()}, tmp_path)


def test_files_of_a_folder(tmp_path):
    for name in ("b.tsv", "a.tsv", "._a.tsv", "notes.txt"):
        (tmp_path / name).touch()
    assert rating_files(str(tmp_path)) == [f"{tmp_path}/a.tsv", f"{tmp_path}/b.tsv"]
    assert rating_files(None) == []
    with pytest.raises(
        InputError, match="ratings: .*/none: cannot be read: no such file or folder"
    ):
        rating_files(f"{tmp_path}/none")
