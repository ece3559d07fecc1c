"""Overlap of masks whose answers are counted or known in closed form."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.agreement import deming, proportional_bias
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.segmentation.compare_segmentations import (
    agreement_table,
    overlap_table,
    volume_table,
)
from workflow_scripts.segmentation.overlap import hausdorff_95, overlap


def box(low, high, shape=(40, 40, 40)) -> np.ndarray:
    found = np.zeros(shape, bool)
    found[tuple(map(slice, low, high))] = True
    return found


def test_shifted_box():
    """A box of 10 x 10 x 10 and one moved by 2 voxels of 3 mm along z."""
    found = overlap(box((5, 5, 7), (15, 15, 17)), box((5, 5, 5), (15, 15, 15)), (1, 1, 3))
    assert found["dice"] == found["sensitivity"] == found["precision"] == pytest.approx(0.8)
    assert found["volume_ml"] == found["reference_volume_ml"] == pytest.approx(3.0)
    assert found["hd95_mm"] == pytest.approx(6.0)


def test_sensitivity_is_of_the_reference_and_precision_of_what_is_found():
    found = overlap(box((5, 5, 5), (15, 15, 15)), box((5, 5, 5), (15, 15, 10)), (1, 1, 1))
    assert (found["sensitivity"], found["precision"]) == (1, 0.5)
    assert found["dice"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 2, 3)])
def test_distance_is_the_percentile_over_the_surfaces(spacing):
    """Against all distances between the surface voxels of two boxes."""
    one, other = box((5, 5, 5), (17, 15, 15)), box((5, 7, 5), (15, 15, 17))

    def surface(mask):
        at = np.argwhere(mask)
        inner = mask.copy()
        for axis in range(3):
            for step in (1, -1):
                inner &= np.roll(mask, step, axis)
        return at[~inner[mask]] * spacing

    a, b = surface(one), surface(other)
    distance = np.linalg.norm(a[:, None] - b[None], axis=-1)
    wanted = max(np.percentile(distance.min(axis), 95) for axis in (0, 1))
    assert hausdorff_95(one, other, spacing) == pytest.approx(wanted, rel=1e-5)


def test_nothing_found_is_no_perfect_overlap():
    reference, nothing = box((5, 5, 5), (15, 15, 15)), np.zeros((40, 40, 40), bool)
    found = overlap(nothing, reference, (1, 1, 1))
    assert found["dice"] == found["sensitivity"] == 0
    assert np.isnan(found["precision"]) and np.isnan(found["hd95_mm"])
    assert np.isnan(overlap(nothing, nothing, (1, 1, 1))["dice"])


def made(folder, engine, kind, sides=None, reason=None, session="a", person="sub-1"):
    row = {"participant_id": person, "session_id": session, "region": "thalamus"}
    path = None
    if sides is not None:
        path = str(folder / f"{person}_{session}_{engine}.nii.gz")
        nib.save(nib.Nifti1Image(sides.astype(np.uint8), np.diag([1, 1, 2, 1])), path)
    return row | {"engine": engine, "kind": kind, "sides": path, "sidecar": path, "reason": reason}


def test_every_engine_against_every_rater_and_raters_against_each_other(tmp_path):
    sides = 1 * box((2, 5, 5), (10, 15, 15)) + 2 * box((20, 5, 5), (30, 15, 15))
    wide = 1 * box((2, 5, 5), (10, 15, 15)) + 2 * box((20, 5, 5), (30, 15, 20))
    manifest = [
        made(tmp_path, "atlas", "atlas", wide),
        made(tmp_path, "fs", "import", reason="no /data/aseg.mgz"),
        made(tmp_path, "anna", "manual", sides),
        made(tmp_path, "ben", "manual", wide),
        made(tmp_path, "atlas", "atlas", wide, session="b"),
        made(tmp_path, "anna", "manual", reason="no mask of this rater", session="b"),
    ]
    table = overlap_table(manifest)
    assert set(table["session_id"]) == {"a"}
    pairs = list(zip(table["engine"], table["reference"], strict=True))[::3]
    wanted = [("atlas", "anna"), ("atlas", "ben"), ("fs", "anna"), ("fs", "ben"), ("anna", "ben")]
    assert pairs == wanted
    rows = table.set_index(["engine", "reference", "side"])
    assert rows.at[("atlas", "ben", "both"), "dice"] == 1
    assert rows.at[("atlas", "anna", "left"), "hd95_mm"] == 0
    assert rows.at[("atlas", "anna", "right"), "dice"] == pytest.approx(0.8)
    assert rows.at[("atlas", "anna", "both"), "precision"] == pytest.approx(1800 / 2300)
    assert rows.at[("atlas", "anna", "both"), "volume_ml"] == pytest.approx(4.6)
    assert set(rows["voxel_size_mm"]) == {"1x1x2"}
    not_run = rows.loc["fs"]
    assert not_run[["dice", "hd95_mm", "volume_ml"]].isna().all(axis=None)
    assert set(not_run["reason"]) == {"no /data/aseg.mgz"}
    sidecars = {
        row["sidecar"]: {"Measures": {"segmentation_thalamus_volume_ml": 4.6}, "Flags": ["odd"]}
        for row in manifest
        if row["sidecar"]
    }
    volumes = volume_table(manifest, sidecars.__getitem__)
    assert volumes["run"].tolist() == ["yes", "no", "yes", "yes", "yes", "no"]
    assert volumes["volume_ml"].isna().tolist() == [run == "no" for run in volumes["run"]]
    assert volumes["flags"].fillna("").tolist() == ["odd", "", "odd", "odd", "odd", ""]
    columns = resource("columns/segmentation.tsv")
    for name, content in (("o", table), ("v", volumes), ("a", agreement_table(table))):
        write_table(content, tmp_path / f"{name}.tsv", columns)


def overlaps(reference, found) -> pd.DataFrame:
    """As of `overlap_table`, a row per participant, and each has a second session far off."""
    people = [f"sub-{number}" for number in range(len(reference))]
    rows = pd.DataFrame({"participant_id": people, "reference_volume_ml": reference})
    rows = rows.assign(volume_ml=found, session_id="ses-1", side="both", region="thalamus")
    rows = rows.assign(engine="e", reference="anna")
    return pd.concat([rows, rows.assign(session_id="ses-2", volume_ml=99.0)], ignore_index=True)


def test_planted_bias_and_slope_are_returned():
    """Volumes of .8 manual + 3 mL."""
    manual = np.linspace(9, 18, 30)
    [row] = agreement_table(overlaps(manual, 0.8 * manual + 3)).to_dict("records")
    assert row["n"] == 30
    assert row["bias_ml"] == pytest.approx(3 - 0.2 * 13.5)
    assert row["bias_percent"] == pytest.approx(100 * 0.3 / 13.5)
    assert row["slope"] == pytest.approx(-0.2 / 0.9)
    assert row["deming_slope"] == pytest.approx(0.8)
    assert row["deming_intercept"] == pytest.approx(3)


def test_few_people_have_means_alone():
    [row] = agreement_table(overlaps([9.0, 10, 11, 12], [9.0, 10, 11, 13])).to_dict("records")
    assert row["n"] == 4 and row["mean_ml"] == 10.75 and np.isnan(row["bias_ml"])


def test_intervals_hold_the_planted_line():
    """Both with errors of .4 mL: 19 of 20 intervals; least squares on the mean alone would not."""
    rng, held = np.random.default_rng(1), {"deming_slope": [], "deming_intercept": [], "slope": []}
    truth = {"deming_slope": 0.8, "deming_intercept": 3.0, "slope": 0.0}
    for _ in range(300):
        true = rng.normal(13, 2, 40)
        noise = rng.normal(0, 0.4, (2, 40))
        line = pd.DataFrame({"a": true + noise[0], "b": 0.8 * true + 3 + noise[1]})
        same = pd.DataFrame({"a": true + noise[0], "b": true + 1 + noise[1]})
        found = deming(line) | proportional_bias(same)
        for name, value in truth.items():
            held[name].append(found[f"{name}_low"] <= value <= found[f"{name}_high"])
    for name, inside in held.items():
        assert 0.91 <= np.mean(inside) <= 0.985, name
