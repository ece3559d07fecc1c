"""Runs with masks of lesions."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.workflow.small_cohort import QUICK, configuration, t1w
from tests.workflow.snake import check_groups, finished, jobs, said, snakemake
from workflow_scripts.common.tables import read_table


@pytest.fixture
def masked(tmp_path, measured):
    """Mask of 8 voxels of 4 mm of the first of three people, and the configuration.

    The third has one that is drawn on a FLAIR, of 15 voxels.
    """
    measured(3)
    folder = tmp_path / "lesions"
    mask = folder / "sub-1/anat/sub-1_desc-lesion_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    text = '{"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}'
    (folder / "dataset_description.json").write_text(text)
    image = nib.load(t1w(tmp_path / "bids", 1))
    data = np.zeros(image.shape, np.uint8)
    data[30:32, 28:30, 22:24] = 1
    nib.save(nib.Nifti1Image(data, image.affine), mask)
    head = nib.load(t1w(tmp_path / "bids", 3))
    dark = np.where(head.get_fdata() > 0, 1100 - head.get_fdata(), 0).astype(np.int16)
    flair = nib.Nifti1Image(dark, head.affine).slicer[1:, 2:, :-1]
    nib.save(flair, tmp_path / "bids/sub-3/anat/sub-3_FLAIR.nii.gz")
    drawn = np.zeros(flair.shape, np.uint8)
    drawn[28:33, 27:30, 22] = 1
    (folder / "sub-3/anat").mkdir(parents=True)
    name = "sub-3/anat/sub-3_space-FLAIR_desc-lesion_mask.nii.gz"
    nib.save(nib.Nifti1Image(drawn, flair.affine), folder / name)
    anatomical = QUICK | {"lesions": str(folder)}
    return mask, configuration(tmp_path / "bids", studies={}, anatomical=anatomical)


def test_masks_are_measured_and_their_lack_is_told(masked, tmp_path):
    mask, config = masked
    check_groups(config, tmp_path)
    process = finished("features", config=config, folder=tmp_path)
    assert jobs(process)["measure_lesions"] == 2 and jobs(process)["align_lesions"] == 1
    assert jobs(process)["segment_brain"] == 2  # who has a mask; all were segmented without
    results = tmp_path / "results"
    features = read_table(results / "cohort/features.tsv").set_index("participant_id")
    voxel_ml = abs(np.linalg.det(nib.load(mask).affine)) / 1000
    assert features.at["sub-1", "lesions_volume_ml"] == pytest.approx(8 * voxel_ml, rel=1e-4)
    assert features.loc["sub-2", features.columns.str.startswith("lesions_")].isna().all()
    segmented = json.loads((results / "sub-1/anat/sub-1_dseg.json").read_text())
    assert segmented["LesionsFilled"] is True
    assert "bids:lesions:sub-1/anat/sub-1_desc-lesion_mask.nii.gz" in segmented["Sources"]
    drawn_ml = 15 * abs(np.linalg.det(nib.load(t1w(tmp_path / "bids", 3)).affine)) / 1000
    assert features.at["sub-3", "lesions_drawn_volume_ml"] == pytest.approx(drawn_ml, rel=1e-4)
    assert features.at["sub-3", "lesions_volume_ml"] == pytest.approx(drawn_ml, rel=0.03)
    segmented = json.loads((results / "sub-3/anat/sub-3_dseg.json").read_text())
    aligned = "bids::sub-3/anat/sub-3_space-T1w_label-lesion_probseg.nii.gz"
    assert segmented["LesionsFilled"] is True and aligned in segmented["Sources"]
    scans = read_table(results / "cohort/scans.tsv")
    status = scans[scans["suffix"] == "lesions"].set_index("participant_id")["status"]
    assert status.to_dict() == {"sub-1": "AVAILABLE", "sub-2": "MISSING", "sub-3": "AVAILABLE"}
    steps = read_table(results / "cohort/status.tsv")
    status = steps[steps["step"] == "measure_lesions"].set_index("participant_id")["status"]
    assert status.to_dict() == {"sub-1": "DONE", "sub-2": "MISSING", "sub-3": "DONE"}
    assert steps.loc[steps["step"] == "align_lesions", "status"].tolist() == ["DONE"]
    image = nib.load(mask)
    nib.save(nib.Nifti1Image(0 * np.asanyarray(image.dataobj), image.affine), mask)
    again = jobs(finished("features", config=config, folder=tmp_path))
    assert again["segment_brain"] == again["measure_lesions"] == 1
    features = read_table(results / "cohort/features.tsv").set_index("participant_id")
    assert features.at["sub-1", "lesions_volume_ml"] == 0


def test_a_mask_on_another_grid_is_named_by_check(masked, tmp_path):
    mask, config = masked
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)), mask)
    process = snakemake("check", config=config, folder=tmp_path)
    assert process.returncode == 1
    text = said(process) + (tmp_path / "results/logs/check_cohort.log").read_text()
    assert "sub-1_desc-lesion_mask.nii.gz: its grid is not that of the T1w" in text
    assert "resample it to the T1w" in text
    assert "sub-1\tn/a\tlesions\t" in text  # the line that would exclude it


@pytest.mark.truth
def test_a_session_of_the_simulated_cohort_comes_out_as_its_truth(phantom_folder, tmp_path):
    """The one with most lesions, 36 mL of them."""
    shutil.copytree(phantom_folder / "results", tmp_path / "results", symlinks=True)
    demo = {"cohort": "multiple_sclerosis", "subjects": {"A": 24, "B": 6}}
    config = {
        "output_dir": str(tmp_path / "results"),
        "anatomical": {"template_resolution": 2},
        "demo": demo,
        "studies": {},
    }
    name = "sub-012/ses-2/{}/sub-012_ses-2"
    made, truth = name.format("anat"), name.replace("/{}", "")
    truth = f"demo/truth/{truth}_desc-tissues_volumes.tsv"
    finished(f"{made}_lesions.json", truth, config=config, folder=tmp_path)
    true = read_table(tmp_path / "results" / truth).iloc[0]
    found = {}
    for kind in ("lesions", "dseg"):
        text = (tmp_path / f"results/{made}_{kind}.json").read_text()
        found |= json.loads(text)["Measures"]
    assert true["lesion_volume_ml"] > 30
    assert found["lesions_volume_ml"] == pytest.approx(true["lesion_volume_ml"], rel=0.1)
    for tissue in ("gm", "wm"):
        name = f"{tissue}_volume_ml"
        assert found[name] == pytest.approx(true[name], rel=0.02)
    ventricles = "ventricles_volume_ml"
    assert found[ventricles] == pytest.approx(true[ventricles], abs=3)
