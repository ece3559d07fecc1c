"""What cannot be read is never MISSING: path, reason, what to do."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from workflow_scripts.cohort.clinical import phenotype_tables
from workflow_scripts.cohort.cohort import load_cohort
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.bids import read_metadata
from workflow_scripts.common.job import InputError
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.scans import check_scan

ANNEX = "/annex/objects/MD5E-s1048576--d41d8cd98f00b204e9800998ecf8427e.nii.gz\n"
LINK_AS_TEXT = "../../../.git/annex/objects/q5/V1/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz"
LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
POINTERS = {"annex": ANNEX, "link as text": LINK_AS_TEXT, "lfs": LFS}
SCAN = "sub-2/ses-1/anat/sub-2_ses-1_T1w.nii.gz"
# The same as a user who is not root, for whom permissions hold.
AS_USER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
AS_USER = [*AS_USER, "--inh-caps", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
LOAD = """
import json, sys
from pathlib import Path
from tests.cohort.test_unreadable import load
from workflow_scripts.common.job import InputError
said = []
for place, mode in json.loads(sys.argv[2]):
    path = Path(sys.argv[1], place)
    kept = path.stat().st_mode
    path.chmod(mode)
    try:
        load(sys.argv[1])
        said.append("")
    except InputError as error:
        said.append(str(error))
    path.chmod(kept)
print(json.dumps(said))
"""


def load(root):
    from pathlib import Path

    study = {"label": "dx", "classes": ["a", "b"], "table1": ["edss"]}
    study = check_config({"output_dir": "x", "anatomical": {}, "studies": {"s": study}})
    return load_cohort(study, Path(root), None, build_index=True)


def said_to_user(root, *changes) -> list[str]:
    """What a user who is not root is told of a dataset, after each change of a place's mode."""
    if AS_USER and not shutil.which("setpriv"):
        pytest.skip("no setpriv, and permissions do not bind root")
    command = [*AS_USER, sys.executable, "-c", LOAD, str(root), json.dumps(changes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def bids(tmp_path):
    root = tmp_path / "bids"
    for number in (1, 2):
        folder = root / f"sub-{number}/ses-1/anat"
        folder.mkdir(parents=True)
        (folder / f"sub-{number}_ses-1_T1w.nii.gz").write_text("x")
        (root / f"sub-{number}/sub-{number}_sessions.tsv").write_text(
            "session_id\tedss\nses-1\t1\n"
        )
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (root / "participants.tsv").write_text("participant_id\tdx\nsub-1\ta\nsub-2\tb\n")
    (root / "phenotype").mkdir()
    (root / "phenotype/x.tsv").write_text("participant_id\tmoca\nsub-1\t1\n")
    return root


PLACES = [
    "",
    "sub-2",
    "sub-2/ses-1",
    "sub-2/ses-1/anat",
    SCAN,
    "sub-2/sub-2_sessions.tsv",
    "participants.tsv",
    "phenotype",
    "phenotype/x.tsv",
    "dataset_description.json",
]


def test_what_may_not_be_read_is_named(bids):
    nothing, *told = said_to_user(bids, (SCAN, 0o644), *((place, 0) for place in PLACES))
    assert nothing == ""
    for place, said in zip(PLACES, told, strict=True):
        assert f"{bids}/{place}".rstrip("/") in said
        assert "permission denied; get the right to read it" in said


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["nowhere", "loop"])
def test_link_to_nowhere_is_named_at_every_level(bids, place, kind):
    path = bids / place
    path.rename(bids.parent / "moved")
    path.symlink_to(path if kind == "loop" else bids.parent / "nowhere")
    with pytest.raises(InputError) as error:
        load(bids)
    assert f"{path}: is a link to nowhere; fetch it (datalad get" in str(error.value)


def test_folder_that_can_be_listed_and_not_entered(bids):
    places = ["sub-2", "sub-2/ses-1/anat", "", "phenotype"]
    told = said_to_user(bids, *((place, 0o444) for place in places))
    for place, said in zip(places, told, strict=True):
        assert f"{bids}/{place}".rstrip("/") in said and "permission denied" in said


@pytest.mark.parametrize("there", [True, False])
def test_folder_of_the_dataset_that_is_empty_or_not_there(tmp_path, there):
    root = tmp_path / "bids"
    if there:
        root.mkdir()
    said = "is empty; fetch it .* mount its disk" if there else "no such file or folder"
    with pytest.raises(InputError, match=f"bids_dir {root}: .*{said}"):
        load(root)


@pytest.mark.parametrize("place", ["sub-2", "sub-2/ses-1", "sub-2/ses-1/anat", "phenotype"])
def test_file_in_the_place_of_a_folder(bids, place):
    """Of a participant it is named; further below it is a file like any other."""
    (bids / place).rename(bids.parent / "moved")
    (bids / place).write_text("")
    if place in ("sub-2", "phenotype"):
        with pytest.raises(InputError, match=f"{place}: cannot be read: Not a directory"):
            load(bids)
    else:
        load(bids)


def test_empty_folder_of_a_participant_is_a_dataset_that_was_not_fetched(bids):
    shutil.rmtree(bids / "sub-2")
    (bids / "sub-2").mkdir()
    with pytest.raises(InputError, match="sub-2: is empty; fetch it .*git submodule update"):
        load(bids)


@pytest.mark.parametrize("root", ["", "sub-2/"])
@pytest.mark.parametrize("place", ["ses-1", "ses-1/anat"])
def test_empty_submodule_further_below(bids, root, place):
    shutil.rmtree(bids / "sub-2" / place)
    (bids / "sub-2" / place).mkdir()
    load(bids)  # a folder without anything, as converters leave them
    path = f"sub-2/{place}".removeprefix(root)
    (bids / root / ".gitmodules").write_text(f'[submodule "x"]\n\tpath = {path}\n\turl = ./x\n')
    with pytest.raises(InputError, match=f"sub-2/{place}: is a submodule that was not fetched"):
        load(bids)


def test_submodules_that_hold_no_participants_may_be_empty(bids):
    (bids / "derivatives/fs").mkdir(parents=True)
    (bids / ".gitmodules").write_text('[submodule "d"]\n\tpath = derivatives/fs\n')
    load(bids)


@pytest.mark.parametrize("kind", POINTERS)
@pytest.mark.parametrize("place", ["participants.tsv", "phenotype/x.tsv"])
def test_tables_that_were_not_fetched(bids, kind, place):
    (bids / place).write_text(POINTERS[kind])
    with pytest.raises(InputError, match=f"{place}: is a pointer of git.*not fetched; fetch it"):
        load(bids)


@pytest.mark.parametrize("kind", POINTERS)
@pytest.mark.parametrize("name", ["sub-1_T1w.nii.gz", "sub-1_T1w.nii", "sub-1_dwi.nii.gz"])
def test_scans_that_were_not_fetched(tmp_path, kind, name):
    (tmp_path / name).write_text(POINTERS[kind])
    assert "is a pointer of git" in check_scan(tmp_path / name)["problem"]


@pytest.mark.parametrize("kind", POINTERS)
def test_metadata_that_were_not_fetched(bids, kind):
    (bids / "T1w.json").write_text(POINTERS[kind])
    with pytest.raises(InputError, match=r"T1w.json: is a pointer of git"):
        read_metadata(bids / SCAN)


def test_several_places_are_named_at_once(bids):
    shutil.rmtree(bids / "sub-1")
    (bids / "sub-1").symlink_to("nowhere")
    (bids / "sub-2/dwi").symlink_to("nowhere")
    with pytest.raises(InputError, match="(?s)sub-1: is a link.*sub-2/dwi: is a link"):
        load(bids)


def test_hidden_files_are_ignored_everywhere(bids):
    """AppleDouble files of macOS beside every file, and what else begins with a dot."""
    double = b"\0\5\x16\7\0\2\0\0Mac OS X        \0\2\0\0\0\x09\0\0\x0e\xb0"
    (bids / "dwi.json").write_text("{}")
    expected = load(bids)
    for path in [bids / "sub-2/ses-1/anat/x", bids / "sub-2", *bids.rglob("*")]:
        path.with_name(f"._{path.name}").write_bytes(double)
    (bids / "phenotype/.x.tsv").write_bytes(double)
    (bids / "sub-2/.nothing").symlink_to("nowhere")
    (bids / ".git").mkdir()
    assert load(bids) == expected
    assert read_metadata(bids / "sub-1/dwi/sub-1_dwi.nii.gz") == {}
    assert [file.name for file in phenotype_tables(bids)] == ["x.tsv"]


@pytest.mark.parametrize("text", [b"", b"\xff\xfea\0"])
def test_tables_that_are_no_text(tmp_path, text):
    (tmp_path / "x.tsv").write_bytes(text)
    with pytest.raises(InputError, match=r"x.tsv: (is empty|cannot be read)"):
        read_rows(tmp_path / "x.tsv")
