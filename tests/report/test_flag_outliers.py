import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.report.flag_outliers import flag, flag_measures, robust_z

LIMITS = pd.DataFrame(
    [("volume", "both", 0, 100), ("correlation", "low", 0.4, 1)],
    columns=["measure", "side", "low", "high"],
)


def cohort(volume, correlation=None, session=None):
    number = len(volume)
    return pd.DataFrame(
        {
            "participant_id": [f"sub-{i}" for i in range(number)],
            "session_id": session,
            "volume": volume,
            "correlation": [0.9] * number if correlation is None else correlation,
        }
    )


def test_robust_z_by_hand():
    """1 2 3 4 20: median 3, absolute deviations 2 1 0 1 17, MAD 1."""
    expected = 0.6745 * np.array([-2, -1, 0, 1, 17])
    np.testing.assert_allclose(robust_z(np.array([1, 2, 3, 4, 20])), expected)


def test_missing_values_do_not_count():
    z = robust_z(np.array([1, 2, np.nan, 3, 4, 20]))
    assert np.isnan(z[2])
    assert z[5] == pytest.approx(0.6745 * 17)


@pytest.mark.parametrize("values", [[1, 2, 3, 50], [5, 5, 5, 5, 90]])
def test_few_or_equal_values_have_no_z(values):
    assert np.isnan(robust_z(np.array(values))).all()


def test_far_value_is_flagged_with_its_numbers():
    table = flag_measures(cohort([1, 2, 3, 4, 20]), LIMITS)
    assert table["participant_id"].tolist() == ["sub-4"]
    row = table.iloc[0]
    assert (row["measure"], row["value"], row["median"]) == ("volume", 20, 3)
    assert row["robust_z"] == pytest.approx(11.4665)
    assert row["reason"].startswith("unlike the cohort")


def test_threshold_is_three_and_a_half():
    """With median 0 and MAD 1 a value of 5.1 has z 3.44, one of 5.2 has 3.51."""
    assert flag_measures(cohort([-1, -1, 0, 1, 5.1]), LIMITS.iloc[:0:-1]).empty
    limits = LIMITS.iloc[:1].assign(low=-100)
    assert flag_measures(cohort([-1, -1, 0, 1, 5.1]), limits).empty
    assert len(flag_measures(cohort([-1, -1, 0, 1, 5.2]), limits)) == 1


def test_high_correlation_is_never_flagged_low_one_is():
    spread = [0.5, 0.61, 0.62, 0.63, 0.64, 0.65, 0.99]
    table = flag_measures(cohort([1] * 7, spread), LIMITS)
    assert table["participant_id"].tolist() == ["sub-0"]


def test_limits_hold_without_z():
    table = flag_measures(cohort([1, 2, 200]), LIMITS)
    assert table["reason"].tolist() == ["implausible: outside 0 to 100"]
    assert table["robust_z"].isna().all()
    both = flag_measures(cohort([1, 2, 3, 4, 200]), LIMITS)["reason"].iloc[0]
    assert "implausible" in both
    assert "unlike the cohort" in both


def test_missing_value_is_flagged():
    table = flag_measures(cohort([1, 2, 3, 4, np.nan]), LIMITS)
    assert table["reason"].tolist() == ["no value"]


def test_fallback_of_the_brain_extraction_is_flagged(tmp_path):
    features = cohort([1, 2, 3], session=["ses-01", "ses-01", None])
    sidecars = {
        "sub-0_ses-01": {"BrainExtraction": "template (deepbet gave 90 mL)"},
        "sub-1_ses-01": {"BrainExtraction": "deepbet"},
        "sub-2": {"BrainExtraction": "template"},
    }
    table = flag(features, LIMITS, sidecars)
    assert table["participant_id"].tolist() == ["sub-0"]
    assert "deepbet gave 90 mL" in table["reason"].iloc[0]
    write_table(table, tmp_path / "outliers.tsv", resource("columns/report.tsv"))
    assert read_table(tmp_path / "outliers.tsv")["session_id"].tolist() == ["ses-01"]
    del sidecars["sub-2"]
    with pytest.raises(InputError, match="sub-2_desc-preproc_T1w"):
        flag(features, LIMITS, sidecars)


def test_nothing_flagged_leaves_a_table_with_its_columns(tmp_path):
    table = flag(cohort([1]), LIMITS, {"sub-0": {"BrainExtraction": "deepbet"}})
    write_table(table, tmp_path / "outliers.tsv", resource("columns/report.tsv"))
    assert read_table(tmp_path / "outliers.tsv").columns.tolist() == [
        "participant_id", "session_id", "measure", "value", "median", "robust_z", "low", "high",
        "reason",
    ]  # fmt: skip


def test_unknown_measure_is_named():
    with pytest.raises(InputError, match="correlation"):
        flag_measures(cohort([1]).drop(columns="correlation"), LIMITS)


def test_limits_file_covers_what_the_report_promises():
    limits = pd.read_csv(resource("report/limits.tsv"), sep="\t").set_index("measure")
    assert set(limits.index) == {
        "brain_mask_volume_ml", "tiv_ml", "gm_fraction", "wm_fraction", "csf_fraction",
        "template_correlation",
    }  # fmt: skip
    assert (limits["low"] < limits["high"]).all()
    assert limits["source"].str.len().min() > 20
    assert limits.at["template_correlation", "side"] == "low"
