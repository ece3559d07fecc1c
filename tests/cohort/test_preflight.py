import gzip
import os
import time

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.cohort.preflight import COLUMNS, check_scans
from workflow_scripts.common.bids import _named
from workflow_scripts.common.scans import check_scan

SHAPE = (40, 50, 40)
NOTHING = pd.DataFrame(columns=COLUMNS)


def head(**changes):
    data = np.random.default_rng(0).integers(0, 500, SHAPE).astype(np.int16)
    return nib.Nifti1Image(changes.get("data", data), changes.get("affine", np.diag([4, 4, 4, 1])))


def saved(image, path):
    nib.save(image, path)
    return path


def test_good_scan(tmp_path):
    row = check_scan(saved(head(), tmp_path / "x.nii.gz"))
    assert row["problem"] is None
    assert row["shape"] == "40x50x40"
    assert row["voxel_size_mm"] == "4x4x4"


def test_truncated_gzip(tmp_path):
    path = saved(head(), tmp_path / "x.nii.gz")
    path.write_bytes(path.read_bytes()[:-1000])
    assert "damaged or cut off" in check_scan(path)["problem"]


def test_wrong_checksum_at_the_end(tmp_path):
    path = saved(head(), tmp_path / "x.nii.gz")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    assert "damaged or cut off" in check_scan(path)["problem"]


def test_raw_file_cut_off(tmp_path):
    path = saved(head(), tmp_path / "x.nii")
    path.write_bytes(path.read_bytes()[:-10])
    assert "damaged or cut off" in check_scan(path)["problem"]


@pytest.mark.parametrize(
    "content",
    [b"this is no image\n", gzip.compress(b"text\n" * 100), b""],
    ids=["text", "compressed text", "nothing"],
)
def test_text_named_nii_gz(tmp_path, content):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    assert "not a NIfTI image" in check_scan(path)["problem"]


def test_missing_link_target(tmp_path):
    path = tmp_path / "x.nii.gz"
    path.symlink_to(tmp_path / "nowhere.nii.gz")
    assert "does not exist" in check_scan(path)["problem"]


def nan_voxels():
    data = np.ones(SHAPE, np.float32)
    data[3, 4, 5:7] = np.nan
    return head(data=data)


def frames_apart():
    image = head()
    image.set_sform(np.diag([4, 4, 4, 1]), code=1)
    shifted = np.diag([4.0, 4, 4, 1])
    shifted[0, 3] = 2
    image.set_qform(shifted, code=1)
    return image


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (head(data=np.zeros(SHAPE, np.int16)), "all voxels are 0; the image is empty"),
        (nan_voxels(), "2 voxels are NaN"),
        (head(data=np.zeros((*SHAPE, 2), np.int16)), "has 4 dimensions, not 3"),
        (head(affine=np.diag([0.05, 4, 4, 1])), "voxel size"),
        (head(affine=np.diag([1, 4, 4, 1])), "field of view"),
        (frames_apart(), "sform and qform place the image differently"),
    ],
    ids=["zeros", "nan", "4d", "voxel size", "field of view", "frames"],
)
def test_unusable_images(tmp_path, image, problem):
    assert problem in check_scan(saved(image, tmp_path / "x.nii.gz"))["problem"]


def test_flat_affine(tmp_path):
    image = head()
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    image.header["srow_x"] = image.header["srow_y"]
    nib.Nifti1Image(image.dataobj, None, image.header).to_filename(tmp_path / "x.nii.gz")
    assert "affine cannot be inverted" in check_scan(tmp_path / "x.nii.gz")["problem"]


def test_all_scans_are_reported_in_one_go(tmp_path):
    good = saved(head(), tmp_path / "a.nii.gz")
    bad = [tmp_path / "b.nii.gz", tmp_path / "c.nii.gz"]
    for path in bad:
        path.write_bytes(b"no image")
    table = check_scans([str(p) for p in [*bad, good]], NOTHING, "code")
    assert table["path"].tolist() == sorted(map(str, [good, *bad]))
    assert table["problem"].notna().tolist() == [False, True, True]


def test_known_scans_are_read_again_only_when_they_changed(tmp_path):
    path = saved(head(), tmp_path / "a.nii.gz")
    known = check_scans([str(path)], NOTHING, "code").assign(problem="from last time")
    assert check_scans([str(path)], known, "code")["problem"].tolist() == ["from last time"]
    saved(head(data=np.zeros(SHAPE, np.int16)), path)
    assert "empty" in check_scans([str(path)], known, "code")["problem"].item()


def test_known_series_are_read_again_when_their_gradient_table_changed(tmp_path):
    path = saved(head(data=np.ones((*SHAPE, 2), np.int16)), tmp_path / "a_dwi.nii.gz")
    table = tmp_path / "a_dwi.bval"
    table.write_text("0 1000")
    known = check_scans([str(path)], NOTHING, "code").assign(problem="from last time")
    assert check_scans([str(path)], known, "code")["problem"].tolist() == ["from last time"]
    os.utime(table, (time.time() + 5, time.time() + 5))
    assert check_scans([str(path)], known, "code")["problem"].tolist() != ["from last time"]


def test_known_scans_are_read_again_when_the_checks_changed(tmp_path):
    path = saved(head(), tmp_path / "a.nii.gz")
    known = check_scans([str(path)], NOTHING, "old").assign(problem="from last time")
    assert check_scans([str(path)], known, "new")["problem"].isna().all()


def test_how_a_scan_was_taken_stands_in_the_table_and_follows_the_metadata(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    (tmp_path / "T1w.json").write_text('{"Manufacturer": "Siemens", "EchoTime": 0.003}')
    folder = tmp_path / "sub-1/anat"
    folder.mkdir(parents=True)
    path = saved(head(), folder / "sub-1_T1w.nii.gz")
    own = folder / "sub-1_T1w.json"
    own.write_text('{"EchoTime": 0.004, "InversionTime": [0.7, 2.5], "PatientName": "Jane"}')
    first = check_scans([str(path)], NOTHING, "code").iloc[0]
    assert first["manufacturer"] == "Siemens" and first["echo_time_s"] == 0.004
    assert first["inversion_time_s"] == "0.7, 2.5" and pd.isna(first["scanner"])
    assert "Jane" not in str(first.to_dict())
    own.unlink()
    _named.cache_clear()  # each run is a process of its own
    again = check_scans([str(path)], first.to_frame().T, "code").iloc[0]
    assert again["echo_time_s"] == 0.003
    own.write_text("no JSON")
    _named.cache_clear()
    broken = check_scans([str(path)], first.to_frame().T, "code").iloc[0]
    assert pd.isna(broken["manufacturer"])
