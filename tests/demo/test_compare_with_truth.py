from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo.compare_with_truth import (
    ALPS,
    JOINTS,
    LESIONS,
    VOLUMES,
    main,
    recovered_masks,
    recovered_measures,
    summarise,
    with_error,
)


def table(**values):
    return pd.DataFrame(
        [{"participant_id": name, **dict.fromkeys(VOLUMES, v)} for name, v in values.items()]
    )


def test_errors_are_percent_of_the_truth_by_participant():
    truth, features = table(b=200.0, a=100.0), table(a=103.0, b=190.0, c=1.0)
    result = with_error(recovered_measures(truth, features, VOLUMES))
    assert list(result["participant_id"]) == ["a"] * len(VOLUMES) + ["b"] * len(VOLUMES)
    np.testing.assert_allclose(result["error_percent"], [3] * len(VOLUMES) + [-5] * len(VOLUMES))
    summary = summarise(result).set_index("measure").loc["gm_volume_ml"]
    assert summary["participants"] == 2
    assert summary["mean_error_percent"] == pytest.approx(-1)
    assert summary["sd_error_percent"] == pytest.approx(8 / np.sqrt(2))
    assert summary["max_error_percent"] == pytest.approx(5)
    assert summary["worst_participant_id"] == "b"


def test_missing_participant_is_named():
    with pytest.raises(InputError, match="no row for b"):
        recovered_measures(table(a=1.0, b=1.0), table(a=1.0), VOLUMES)


def test_masks_on_different_grids_are_refused(tmp_path):
    for name, shape in (("true", (2, 2, 2)), ("same", (2, 2, 2)), ("other", (2, 2, 3))):
        image = nib.Nifti1Image(np.ones(shape, dtype="u1"), np.eye(4))
        nib.save(image, tmp_path / f"{name}.nii.gz")
    true, same, other = (tmp_path / f"{name}.nii.gz" for name in ("true", "same", "other"))
    people = pd.DataFrame({"participant_id": ["a"]})
    assert recovered_masks(people, [true], [same])["recovered"].item() == 1
    with pytest.raises(InputError, match=r"other\.nii\.gz"):
        recovered_masks(people, [true], [other])


def test_both_alps_are_held_against_the_same_truth_and_only_where_there_is_one():
    truth = pd.DataFrame(
        {"participant_id": ["b"], "alps": [1.5], "alps_left": [1.6], "alps_right": [1.4]}
    )
    features = pd.DataFrame({"participant_id": ["a", "b"]} | {m: [9.0, 1.5] for m in ALPS})
    features["alps_native_unrotated"] = [9.0, 1.2]
    table = with_error(recovered_measures(truth, features, ALPS)).set_index("measure")
    assert set(table["participant_id"]) == {"b"}
    error = table["error_percent"]
    assert error["alps"] == pytest.approx(0)
    assert error["alps_native_unrotated"] == pytest.approx(-20)
    assert error["alps_left"] == pytest.approx(-6.25)
    assert error["alps_right"] == pytest.approx(100 / 14)


def test_missing_measure_is_named():
    with pytest.raises(InputError, match="no column nwi"):
        recovered_measures(
            pd.DataFrame({"participant_id": ["a"], "nwi": [0.4]}),
            pd.DataFrame({"participant_id": ["a"]}),
            {"nwi": "nwi"},
        )


def test_sessions_of_a_participant_are_kept_apart():
    sessions = {"participant_id": ["a", "a"], "session_id": ["ses-1", "ses-2"]}
    truth = pd.DataFrame(sessions | {"lesion_volume_ml": [10.0, 20.0]})
    features = pd.DataFrame(sessions | {"lesions_volume_ml": [11.0, 20.0]})[::-1]
    table = with_error(recovered_measures(truth, features, LESIONS))
    np.testing.assert_allclose(table["error_percent"], [10, 0], atol=1e-9)
    assert summarise(table)["participants"].item() == 1
    with pytest.raises(InputError, match="no row for a_ses-2"):
        recovered_measures(truth, features[1:], LESIONS)


def test_joints_are_held_against_the_pelvis_that_was_simulated(tmp_path):
    """Half of the left joint found, all of the right one: Dice of 2 * 24 / (24 + 32) by voxels."""
    true = np.zeros((4, 4, 4), "u1")
    true[0], true[3] = 1, 2
    found = true.copy()
    found[0, :2] = 0
    for name, sides in (("true", true), ("found", found)):
        nib.save(nib.Nifti1Image(sides, np.eye(4)), tmp_path / f"{name}.nii.gz")
    row = {"participant_id": "sub-01", "session_id": None}
    truth = pd.DataFrame([row | {"left_volume_ml": 1.6, "right_volume_ml": 1.6}])
    volumes = dict(zip(JOINTS, (0.8, 1.6), strict=True))
    features = pd.DataFrame([row | volumes])
    for name, one in (("truth", truth), ("features", features)):
        one.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    source = {"joints": [tmp_path / "truth.tsv"], "features": tmp_path / "features.tsv"}
    source |= {"true_masks": [tmp_path / "true.nii.gz"], "masks": [tmp_path / "found.nii.gz"]}
    out = SimpleNamespace(recovered=tmp_path / "recovered.tsv", summary=tmp_path / "summary.tsv")
    main(SimpleNamespace(**source, get=source.get), out, None)
    table = read_table(out.recovered).set_index("measure")
    assert table.at["joints_dice", "recovered"] == pytest.approx(2 * 24 / (24 + 32), abs=1e-4)
    assert list(table.loc[list(JOINTS), "error_percent"]) == [-50, 0]
