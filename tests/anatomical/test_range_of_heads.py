"""Heads as different as those of real cohorts, through the anatomical wing."""

import pytest

from benchmarks.atrophy import simulated_range, slopes, templates
from workflow_scripts.demo.images import Phantom

# Of `RANGE`: narrow and wide ventricles, thick and thin cortex, with few lesions.
HEADS = [0, 1, 2, 6]


@pytest.mark.full
def test_fractions_and_ventricles_follow_the_truth(phantom_file, tmp_path):
    """That r is at least .98; the slopes of all heads are in docs/methods.md."""
    found = simulated_range(Phantom(phantom_file), tmp_path, templates(tmp_path), heads=HEADS)
    line = slopes(found)
    for measure in ("csf_fraction", "gm_fraction", "tiv_ml", "ventricles_volume_ml"):
        assert line.loc[measure, "r"] >= 0.98, measure
    for tissue in ("csf", "gm", "wm"):
        assert line.loc[f"{tissue}_fraction", "largest_error"] <= 0.03
