"""Masks of lesions: indexed like scans, and read by check."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tests.cohort.test_index import dataset
from workflow_scripts.cohort.index import index_lesions, with_gaps
from workflow_scripts.cohort.preflight import COLUMNS, check_scans
from workflow_scripts.cohort.startup import start
from workflow_scripts.cohort.status import problem_of
from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.job import InputError
from workflow_scripts.demo.plan import plan_cohort

SHAPE = (30, 32, 28)
AFFINE = np.diag([4.0, 4, 4, 1])
HEAD = np.random.default_rng(0).integers(0, 3000, SHAPE).astype("i2")
MASK = (np.arange(HEAD.size).reshape(SHAPE) % 97 == 0).astype("u1")


def test_masks_are_found_by_desc_or_label_one_of_a_session(tmp_path):
    wanted = [
        "sub-01/ses-a/anat/sub-01_ses-a_desc-lesion_mask.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_run-1_space-T1w_label-lesion_mask.nii",
        "sub-02/anat/sub-02_desc-lesion_probseg.nii.gz",
    ]
    others = ["sub-02/anat/sub-02_desc-brain_mask.nii.gz", "sub-02/anat/sub-02_desc-lesion_T1w.nii"]
    found = index_lesions(dataset(tmp_path, *wanted, *others))
    assert [row["path"] for row in found] == [str(tmp_path / name) for name in wanted]
    assert {row["suffix"] for row in found} == {"lesions"}
    t1w = {"participant_id": "sub-03", "session_id": None, "suffix": "T1w", "path": "x"}
    gaps = with_gaps([*found, t1w], {("sub-03", None)}, ["T1w"])
    assert [row["suffix"] for row in gaps if row["path"] is None] == ["lesions"]


def test_folder_without_masks_and_several_of_a_session_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"anatomical\.lesions .*dataset_description\.json"):
        index_lesions(tmp_path)
    with pytest.raises(InputError, match="holds no .*leave the key out"):
        index_lesions(dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz"))
    names = [f"sub-01/anat/sub-01{space}_desc-lesion_mask.nii.gz" for space in ("", "_space-FLAIR")]
    with pytest.raises(InputError, match="sub-01 has several masks .*space-FLAIR.*keep one"):
        index_lesions(dataset(tmp_path, *names))


def test_the_simulated_cohort_of_multiple_sclerosis_uses_its_own_masks(tmp_path):
    """But the two sessions that have none."""
    demo = {"cohort": "multiple_sclerosis", "subjects": {"A": 8, "B": 2}}
    config = {"output_dir": str(tmp_path), "anatomical": {}, "demo": demo, "studies": {}}
    scans = start(config, plan_cohort, main_process=False).scans
    assert len(scans["lesions"]) == len(scans["T1w"]) - 2
    index = {name: rows[0]["path"] for name, rows in scans["lesions"].items()}
    assert all(
        path.startswith("demo/bids/derivatives/lesions/")
        and path.endswith(f"{name}_desc-lesion_mask.nii.gz")
        for name, path in index.items()
    )


def checked(folder, data=MASK, affine=AFFINE, name="sub-01_desc-lesion_mask", t1w=True, flair=None):
    """Row of the preflight of a mask in a folder of derivatives, beside a T1w.

    flair : affine of a FLAIR, on whose name the mask then is
    """
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    scan, mask = folder / "sub-01_T1w.nii.gz", folder / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(HEAD, AFFINE), scan)
    nib.save(nib.Nifti1Image(data, affine), mask)
    found = {"mask": str(mask), "t1w": t1w and str(scan)}
    found["scan"] = None if "space" in name else found["t1w"]
    paths = [str(scan), str(mask)]
    if flair is not None:
        found["scan"] = str(folder / "sub-01_FLAIR.nii.gz")
        nib.save(nib.Nifti1Image(HEAD, flair), found["scan"])
        paths.append(found["scan"])
    table = check_scans(paths, pd.DataFrame(columns=COLUMNS), "code", masks=[found])
    rows = table.astype(object).where(table.notna(), None).set_index("path").to_dict("index")
    return rows[bids_uri(str(mask))]


def test_masks_without_lesions_fractions_and_axes_of_length_1_are_sound(tmp_path):
    for data in (MASK, 0 * MASK, MASK * np.float32(0.4), MASK[..., None]):
        row = checked(tmp_path, data)
        assert problem_of(row) is None and row["note"] is None


@pytest.mark.parametrize("data", [MASK * 255, MASK * np.float32(-1), MASK * np.float32(1.5)])
def test_values_beyond_0_to_1_are_invalid(tmp_path, data):
    assert "save it as a mask of 0 and 1" in problem_of(checked(tmp_path, data))


def test_a_mask_of_what_is_no_lesion_is_invalid(tmp_path):
    problem = problem_of(checked(tmp_path, 1 - MASK))
    assert problem.endswith("% of the voxels are inside; exchange inside and outside")


def test_a_mask_that_is_1_everywhere_or_cut_off_is_invalid(tmp_path):
    assert "all voxels are 1" in problem_of(checked(tmp_path, 0 * MASK + 1))
    path = tmp_path / "sub-01_desc-lesion_mask.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    table = check_scans([str(path)], pd.DataFrame(columns=COLUMNS), "code")
    assert "damaged or cut off" in table["problem"][0]


def moved(axis):
    affine = AFFINE.copy()
    affine[axis, 3] += 2
    return affine


@pytest.mark.parametrize(
    ("data", "affine"),
    [
        (MASK[:-1], AFFINE),
        (MASK, moved(1)),
        (MASK, np.diag([-4.0, 4, 4, 1])),
        (MASK, np.diag([4.0, 4, 4.1, 1])),
    ],
)
def test_another_grid_than_the_t1w_is_invalid(tmp_path, data, affine):
    problem = problem_of(checked(tmp_path, data, affine))
    assert "not that of the T1w (sub-01_T1w.nii.gz)" in problem and "resample it" in problem


@pytest.mark.parametrize("space", ["FLAIR", "MNI152NLin2009cAsym"])
def test_a_mask_in_a_space_without_a_scan_is_invalid(tmp_path, space):
    problem = problem_of(checked(tmp_path, name=f"sub-01_space-{space}_desc-lesion_mask"))
    assert problem.startswith(f"space-{space}: no scan of the session")
    assert "resample it to the T1w (sub-01_T1w.nii.gz), and name it space-T1w" in problem


def test_a_mask_without_a_t1w_is_told(tmp_path):
    row = checked(tmp_path, t1w=False)
    assert problem_of(row) is None and "not used without a T1w" in row["note"]


def test_a_mask_that_is_drawn_on_the_flair_must_lie_on_its_grid(tmp_path):
    name, turned = "sub-01_space-FLAIR_desc-lesion_mask", np.diag([-4.0, 4, 4, 1])
    assert problem_of(checked(tmp_path, affine=turned, name=name, flair=turned)) is None
    problem = problem_of(checked(tmp_path, affine=turned, name=name, flair=moved(1)))
    assert "not that of the FLAIR (sub-01_FLAIR.nii.gz)" in problem


def test_the_scan_of_a_mask_is_the_one_that_its_name_says(tmp_path):
    """A FLAIR that is excluded is none."""
    root, folder = tmp_path / "bids", tmp_path / "lesions"
    dataset(
        root,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-02/anat/sub-02_FLAIR.nii.gz",
        "sub-03/anat/sub-03_T1w.nii.gz",
    )
    (root / "participants.tsv").write_text("participant_id\nsub-01\nsub-02\nsub-03\n")
    masks = [f"sub-0{n}/anat/sub-0{n}_space-FLAIR_desc-lesion_mask.nii.gz" for n in (1, 2)]
    dataset(folder, *masks, "sub-03/anat/sub-03_space-orig_desc-lesion_mask.nii.gz")
    table = "participant_id\tsession_id\tsuffix\treason\nsub-02\tn/a\tFLAIR\tmotion\n"
    (tmp_path / "exclusions.tsv").write_text(table)
    config = {
        "bids_dir": str(root),
        "output_dir": str(tmp_path / "results"),
        "exclusions": str(tmp_path / "exclusions.tsv"),
        "anatomical": {"lesions": str(folder)},
        "studies": {},
    }
    started = start(config, plan_cohort, main_process=True)
    scans = {prefix: mask["scan"] for prefix, mask in started.lesions.items()}
    assert scans["sub-01"].endswith("sub-01_FLAIR.nii.gz") and scans["sub-02"] is None
    assert scans["sub-03"].endswith("sub-03_T1w.nii.gz")
    assert started.drawn_elsewhere == {"sub-01"}
