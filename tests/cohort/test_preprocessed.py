"""Files of fMRIPrep and QSIPrep are found by the names that these give, or their lack is told."""

import json
from pathlib import Path

import pytest

from workflow_scripts.cohort.preprocessed import Preprocessed
from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.job import InputError

SPACE = "MNI152NLin2009aSym"


def dataset(root: Path, program: str, files) -> str:
    """Derivatives of a program with empty files."""
    root.mkdir(exist_ok=True)
    made = {"Name": "x", "BIDSVersion": "1.4.0", "DatasetType": "derivative"}
    made["GeneratedBy"] = [{"Name": program, "Version": "1.2.3"}]
    (root / "dataset_description.json").write_text(json.dumps(made))
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return str(root)


def given(folder=None, series=None, t1w=(), dwi=(), **changes) -> Preprocessed:
    """What stands in for steps of raw scans, by their names below sub-*/."""

    def rows(names):
        found = {}
        for name in names:
            prefix = "_".join(part for part in name.split("_") if part[:4] in ("sub-", "ses-"))
            row = {"participant_id": prefix.split("_")[0], "path": f"/raw/{name}"}
            found.setdefault(prefix, []).append(row)
        return found

    first = {prefix: scans[0] for prefix, scans in rows(t1w).items()}
    settings = {"taken": ("T1w",), "registration": "syn"} | changes
    return Preprocessed(anatomical=folder, diffusion=series, t1w=first, dwi=rows(dwi), **settings)


def anat(start: str, *more: str) -> list[str]:
    place = start.split("_")
    folder = "/".join(part for part in place if part[:4] in ("sub-", "ses-"))
    return [f"{folder}/anat/{start}_{end}" for end in ("desc-preproc_T1w.nii.gz", *more)]


MASK = "desc-brain_mask.nii.gz"


@pytest.mark.parametrize(
    ("raw", "made"),
    [
        ("sub-1_T1w.nii.gz", anat("sub-1", MASK)),
        ("sub-1_acq-a_run-1_T1w.nii.gz", anat("sub-1_acq-a_run-1", MASK)),
        ("sub-1_acq-a_run-1_T1w.nii.gz", anat("sub-1_acq-a", MASK)),
        ("sub-1_ses-2_T1w.nii.gz", anat("sub-1_ses-2", MASK)),
        ("sub-1_ses-2_T1w.nii.gz", anat("sub-1", MASK)),
    ],
)
def test_t1w_and_mask_are_found(tmp_path, raw, made):
    standard = anat("sub-1_space-MNI152NLin2009cAsym", MASK)
    found = given(dataset(tmp_path / "d", "fMRIPrep", made + standard), t1w=[raw])
    found.check()
    prefix = "sub-1_ses-2" if "ses-" in raw else "sub-1"
    assert found.of_t1w("T1w", prefix) == [str(tmp_path / "d" / name) for name in made]
    assert found.of_t1w("tissues", prefix) == []


def test_tissues_and_transforms_are_found(tmp_path):
    maps = [f"label-{tissue}_probseg.nii.gz" for tissue in ("CSF", "GM", "WM")]
    xfms = [f"from-T1w_to-{SPACE}_mode-image_xfm.h5", f"from-{SPACE}_to-T1w_mode-image_xfm.h5"]
    made = anat("sub-1", MASK, *maps, *xfms)
    taken = {"taken": ("T1w", "tissues", "transforms")}
    found = given(dataset(tmp_path / "d", "sMRIPrep", made), t1w=["sub-1_T1w.nii.gz"], **taken)
    found.check()
    assert [Path(path).name for path in found.of_t1w("tissues", "sub-1")] == [
        f"sub-1_{name}" for name in maps
    ]
    assert [Path(path).name for path in found.of_t1w("transforms", "sub-1")] == [
        f"sub-1_{name}" for name in xfms
    ]


def problem(found: Preprocessed) -> str:
    with pytest.raises(InputError) as error:
        found.check()
    return str(error.value)


def test_sessions_that_lack_a_file_are_named_with_it(tmp_path):
    folder = dataset(tmp_path / "d", "fMRIPrep", anat("sub-1", MASK) + anat("sub-2"))
    told = problem(given(folder, t1w=[f"sub-{n}_T1w.nii.gz" for n in (1, 2, 3)]))
    assert "2 of 3 sessions lack what stands in for their T1w" in told
    assert "sub-2_desc-brain_mask.nii.gz is not there" in told
    assert f"sub-3: no *_desc-preproc_T1w.nii.gz of {folder}/sub-3/anat" in told


def test_an_average_over_sessions_is_refused(tmp_path):
    folder = dataset(tmp_path / "d", "fMRIPrep", anat("sub-1", MASK))
    names = [f"sub-1_ses-{n}_T1w.nii.gz" for n in (1, 2)]
    assert "average over 2 sessions" in problem(given(folder, t1w=names))


def test_two_that_may_be_it_are_refused(tmp_path):
    folder = dataset(tmp_path / "d", "fMRIPrep", anat("sub-1", MASK) + anat("sub-1_acq-a", MASK))
    assert "may both be it" in problem(given(folder, t1w=["sub-1_acq-a_T1w.nii.gz"]))


def test_of_another_acquisition_is_none(tmp_path):
    folder = dataset(tmp_path / "d", "fMRIPrep", anat("sub-1_acq-b", MASK))
    assert "no *_desc-preproc_T1w" in problem(given(folder, t1w=["sub-1_acq-a_T1w.nii.gz"]))


def test_transforms_to_another_template_are_named(tmp_path):
    other = "MNI152NLin2009cAsym"
    made = anat("sub-1", MASK, f"from-T1w_to-{other}_mode-image_xfm.h5")
    folder = dataset(tmp_path / "d", "fMRIPrep", made)
    told = problem(given(folder, t1w=["sub-1_T1w.nii.gz"], taken=("transforms",)))
    assert f"only to {other}" in told and f"--output-spaces {SPACE}" in told


def test_transforms_need_a_registration_that_is_not_linear(tmp_path):
    folder = dataset(tmp_path / "d", "fMRIPrep", anat("sub-1", MASK))
    settings = {"taken": ("transforms",), "registration": "affine"}
    assert "registration: syn" in problem(given(folder, t1w=["sub-1_T1w.nii.gz"], **settings))


@pytest.mark.parametrize("program", ["FreeSurfer", "QSIPrep", ""])
def test_a_folder_of_another_program_is_refused(tmp_path, program):
    folder = dataset(tmp_path / "d", program, anat("sub-1", MASK))
    told = problem(given(folder, t1w=["sub-1_T1w.nii.gz"]))
    assert "fMRIPrep or sMRIPrep" in told and str(tmp_path / "d") in told


def test_a_folder_that_is_not_there_is_named(tmp_path):
    told = problem(given(series=str(tmp_path / "nowhere"), dwi=["sub-1_dwi.nii.gz"]))
    assert told == f"diffusion.preprocessed: no folder {tmp_path / 'nowhere'}; correct it"


def dwi(start: str, *ends: str) -> list[str]:
    folder = "/".join(part for part in start.split("_") if part[:4] in ("sub-", "ses-"))
    ends = ends or ("dwi.nii.gz", "dwi.bval", "dwi.bvec")
    return [f"{folder}/dwi/{start}_space-ACPC_desc-preproc_{end}" for end in ends]


@pytest.mark.parametrize("masked", [True, False])
def test_series_of_qsiprep_are_found(tmp_path, masked):
    mask = ["sub-1/ses-1/dwi/sub-1_ses-1_space-ACPC_desc-brain_mask.nii.gz"] * masked
    made = dwi("sub-1_ses-1")
    folder = dataset(tmp_path / "d", "qsiprep", made + mask)
    raw = [f"sub-1_ses-1_dir-{way}_dwi.nii.gz" for way in ("AP", "PA")]
    found = given(series=folder, dwi=raw)
    found.check()
    assert found.of_dwi("sub-1_ses-1") == [str(tmp_path / "d" / name) for name in made + mask]


def test_series_without_gradients_or_of_two_are_refused(tmp_path):
    lacking = dataset(tmp_path / "a", "QSIPrep", dwi("sub-1", "dwi.nii.gz", "dwi.bval"))
    assert "dwi.bvec is not there" in problem(given(series=lacking, dwi=["sub-1_dwi.nii.gz"]))
    two = [*dwi("sub-1_run-1"), *dwi("sub-1_run-2")]
    folder = dataset(tmp_path / "b", "QSIPrep", two)
    raw = [f"sub-1_run-{n}_dwi.nii.gz" for n in (1, 2)]
    assert "may both be it" in problem(given(series=folder, dwi=raw))


def test_their_files_are_recorded_wherever_they_lie(tmp_path):
    folder = dataset(tmp_path / "d", "fMRIPrep", anat("sub-1", MASK))
    path = f"{folder}/sub-1/anat/sub-1_desc-brain_mask.nii.gz"
    assert bids_uri(path) == "bids:fmriprep:sub-1/anat/sub-1_desc-brain_mask.nii.gz"
