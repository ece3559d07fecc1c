import json

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.flags import counting
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.report.flag_outliers import flag, flag_measures, flags_of_run, robust_z
from workflow_scripts.report.sessions import prefixes, read_sidecars, split_name

LIMITS = pd.DataFrame(
    [("volume", "both", 0, 100), ("correlation", "low", 0.4, 1)],
    columns=["measure", "side", "low", "high"],
)


T1W, DWI = "desc-preproc_T1w", "desc-preproc_dwi"


def ran(features, steps=None):
    """Sidecars of sessions that all went through the same steps, with their measures."""
    steps = steps or {T1W: ["volume", "correlation"]}
    return {
        prefix: {
            step: {"BrainExtraction": "deepbet", "Measures": dict.fromkeys(names, 1.0)}
            for step, names in steps.items()
        }
        for prefix in prefixes(features)
    }


def flagged(features, limits=LIMITS):
    return flag_measures(features, limits, ran(features))


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
    table = flagged(cohort([1, 2, 3, 4, 20]), LIMITS)
    assert table["participant_id"].tolist() == ["sub-4"]
    row = table.iloc[0]
    assert (row["measure"], row["value"], row["median"]) == ("volume", 20, 3)
    assert row["robust_z"] == pytest.approx(11.4665)
    assert row["reason"].startswith("unlike the cohort")


def test_threshold_is_three_and_a_half():
    """With median 0 and MAD 1 a value of 5.1 has z 3.44, one of 5.2 has 3.51."""
    assert flagged(cohort([-1, -1, 0, 1, 5.1]), LIMITS.iloc[:0:-1]).empty
    limits = LIMITS.iloc[:1].assign(low=-100)
    assert flagged(cohort([-1, -1, 0, 1, 5.1]), limits).empty
    assert len(flagged(cohort([-1, -1, 0, 1, 5.2]), limits)) == 1


def test_high_correlation_is_never_flagged_low_one_is():
    spread = [0.5, 0.61, 0.62, 0.63, 0.64, 0.65, 0.99]
    table = flagged(cohort([1] * 7, spread), LIMITS)
    assert table["participant_id"].tolist() == ["sub-0"]


def test_limits_hold_without_z():
    table = flagged(cohort([1, 2, 200]), LIMITS)
    assert table["reason"].tolist() == ["implausible: outside 0 to 100"]
    assert table["robust_z"].isna().all()
    both = flagged(cohort([1, 2, 3, 4, 200]), LIMITS)["reason"].iloc[0]
    assert "implausible" in both
    assert "unlike the cohort" in both


def test_missing_value_is_flagged():
    table = flagged(cohort([1, 2, 3, 4, np.nan]), LIMITS)
    assert table["reason"].tolist() == ["no value"]


def test_session_without_the_scan_is_not_flagged_for_its_measures():
    """Two sessions never had a T1w, one went through the step without a result."""
    features = cohort([1, 2, 3, np.nan, np.nan, np.nan])
    sidecars = ran(features)
    for prefix in ("sub-3", "sub-4"):
        sidecars[prefix] = {DWI: {"Measures": {}}}
    sidecars["sub-5"][T1W]["Measures"] = {}
    table = flag_measures(features, LIMITS, sidecars)
    volume = table[table["measure"] == "volume"]
    assert volume[["participant_id", "reason"]].values.tolist() == [["sub-5", "no value"]]


def test_measure_that_no_session_has_is_passed_over():
    features = cohort([1, 2, 200]).drop(columns="correlation")
    table = flag_measures(features, LIMITS, ran(features, {T1W: ["volume"]}))
    assert table["measure"].tolist() == ["volume"]


@pytest.mark.parametrize(
    ("side", "expected"),
    [("both", [0, 6]), ("low", [0]), ("high", [6]), ("none", [])],
)
def test_sides_of_the_robust_z(side, expected):
    limits = pd.DataFrame(
        [("volume", side, np.nan, np.nan)], columns=["measure", "side", "low", "high"]
    )
    table = flagged(cohort([-50, 1, 2, 3, 4, 5, 60]), limits)
    assert table["participant_id"].tolist() == [f"sub-{i}" for i in expected]


def test_one_sided_limits_say_so():
    limits = pd.DataFrame(
        [("volume", "none", 1, np.nan), ("correlation", "none", np.nan, 0.5)],
        columns=["measure", "side", "low", "high"],
    )
    table = flagged(cohort([0.9, 1.2], [0.4, 0.6]), limits)
    assert table[["participant_id", "reason"]].values.tolist() == [
        ["sub-0", "implausible: below 1"],
        ["sub-1", "implausible: above 0.5"],
    ]


def test_flags_of_every_step_are_collected(tmp_path):
    features = cohort([1, 2], session=["ses-01", None])
    sidecars = ran(features, {T1W: [], DWI: [], "alps": []})
    sidecars["sub-0_ses-01"]["alps"]["Flags"] = ["ALPS, left: 3 voxels", "ALPS, right: FA 0.1"]
    sidecars["sub-1"][DWI] |= {"Flags": ["odd"], "Notes": ["no T1w"]}
    table = flag(features, LIMITS, sidecars)
    assert table[["participant_id", "measure", "level", "reason"]].values.tolist() == [
        ["sub-0", "alps", "doubtful", "ALPS, left: 3 voxels"],
        ["sub-0", "alps", "doubtful", "ALPS, right: FA 0.1"],
        ["sub-1", DWI, "doubtful", "odd"],
        ["sub-1", DWI, "note", "no T1w"],
    ]
    assert set(table["common"]) == {"no"}
    assert table["value"].isna().all()
    write_table(table, tmp_path / "outliers.tsv", resource("columns/report.tsv"))
    del sidecars["sub-1"]
    with pytest.raises(InputError, match="sub-1: has features but no sidecar"):
        flag(features, LIMITS, sidecars)


def test_what_most_sessions_have_counts_for_none_unless_it_is_unusable():
    """Six of eight with FA of their own, one with another flag, one of a volume of 500 mL."""
    features = cohort([1, 2, 3, 4, 5, 6, 7, 500])
    sidecars = ran(features, {T1W: ["volume"], "alps": []})
    for number in range(6):
        sidecars[f"sub-{number}"]["alps"]["Flags"] = [f"FA 0.1{number}"]
    sidecars["sub-6"]["alps"]["Flags"] = ["3 voxels"]
    table = flag(features, LIMITS, sidecars)
    assert table.loc[table["common"] == "yes", "participant_id"].nunique() == 6
    assert counting(table)["participant_id"].tolist() == ["sub-6", "sub-7"]
    assert table.set_index("participant_id").at["sub-7", "level"] == "unusable"
    features = cohort([200, 201, 202, 203, 204, 1])
    table = flag(features, LIMITS, ran(features, {T1W: ["volume"]}))
    implausible = table[table["level"] == "unusable"]
    assert set(implausible["common"]) == {"yes"} and len(implausible) == 5
    assert set(implausible["participant_id"]) <= set(counting(table)["participant_id"])


def test_fallback_of_the_brain_extraction_is_flagged(tmp_path):
    features = cohort([1, 2, 3, 4], session=["ses-01", "ses-01", None, None])
    sidecars = ran(features, {T1W: []})
    sidecars["sub-0_ses-01"][T1W]["BrainExtraction"] = "template (deepbet gave 90 mL)"
    sidecars["sub-2"][T1W]["BrainExtraction"] = "template"
    sidecars["sub-3"] = {DWI: {}}
    table = flag(features, LIMITS, sidecars)
    assert table["participant_id"].tolist() == ["sub-0"]
    assert table["measure"].tolist() == ["brain_extraction"]
    assert "deepbet gave 90 mL" in table["reason"].iloc[0]
    write_table(table, tmp_path / "outliers.tsv", resource("columns/report.tsv"))
    assert read_table(tmp_path / "outliers.tsv")["session_id"].tolist() == ["ses-01"]
    del sidecars["sub-2"][T1W]["BrainExtraction"]
    with pytest.raises(InputError, match="sub-2_desc-preproc_T1w.json: lacks BrainExtraction"):
        flag(features, LIMITS, sidecars)


def test_sidecars_are_read_by_session_and_kind(tmp_path):
    assert split_name("a/sub-01_ses-2_space-MNI_desc-preproc_T1w.json") == (
        "sub-01_ses-2",
        "space-MNI_desc-preproc_T1w",
    )
    collected = tmp_path / "sidecars.json"
    content = {"sub-01/dwi/sub-01_alps.json": {"Flags": []}, "sub-01/anat/sub-01_dseg.json": {}}
    collected.write_text(json.dumps(content))
    assert read_sidecars(collected) == {"sub-01": {"alps": {"Flags": []}, "dseg": {}}}
    collected.write_text('{"table.json": {}}')
    with pytest.raises(InputError, match="table.json: its name"):
        read_sidecars(collected)


def test_nothing_flagged_leaves_a_table_with_its_columns(tmp_path):
    table = flag(cohort([1]), LIMITS, ran(cohort([1])))
    write_table(table, tmp_path / "outliers.tsv", resource("columns/report.tsv"))
    assert read_table(tmp_path / "outliers.tsv").columns.tolist() == [
        "participant_id", "session_id", "measure", "level", "common", "value", "median",
        "robust_z", "low", "high", "reason",
    ]  # fmt: skip


def test_unknown_measure_is_named():
    features = cohort([1]).drop(columns="correlation")
    with pytest.raises(InputError, match="correlation"):
        flag_measures(features, LIMITS, ran(features))


def test_limits_file_covers_what_the_report_promises():
    limits = read_table(resource("report/limits.tsv")).set_index("measure")
    assert set(limits.index) == {
        "brain_mask_volume_ml", "tiv_ml", "gm_fraction", "wm_fraction", "csf_fraction",
        "template_correlation", "jacobian_min", "jacobian_max", "grey_matter_overlap",
        "ventricles_overlap", "alps", "nwi", "dwi_snr", "dwi_mean_displacement_mm",
        "dwi_outlier_slices", "dwi_gradient_coherence_ratio",
        "segmentation_sacroiliac_joints_volume_ml",
    }  # fmt: skip
    assert set(limits["side"]) <= {"both", "low", "high", "none"}
    limited = limits[limits[["low", "high"]].notna().any(axis=1)]
    assert limited["source"].str.len().min() > 20
    assert (limits.drop(limited.index)["source"] == "robust z alone").all()
    assert (limits.dropna()["low"] < limits.dropna()["high"]).all()
    assert limits.at["template_correlation", "side"] == "low"
    assert limits.at["tiv_ml", "low"] == 1289 - 3 * 111
    assert limits.at["alps", "low"] == pytest.approx(1.486 - 5 * 0.121)
    assert limits.at["alps", "high"] == pytest.approx(1.635 + 5 * 0.139, abs=0.005)


def test_run_for_some_participants_tells_flags_by_the_limits(tmp_path):
    def sidecar(name, **content):
        (tmp_path / name).write_text(json.dumps(content))
        return name

    mni, tissues = "space-MNI152NLin2009aSym_desc-preproc_T1w", "dseg"
    paths = [
        sidecar(f"sub-1_ses-2_{T1W}.json", BrainExtraction="template (x)", Measures={}),
        sidecar(f"sub-1_ses-2_{mni}.json", Measures={"template_correlation": 0.3}),
        sidecar(f"sub-1_ses-2_{tissues}.json", Measures={"tiv_ml": 1400}, Flags=["leaks"]),
        sidecar(f"sub-2_{tissues}.json", Measures={"tiv_ml": 700}),
        *(sidecar(f"sub-{n}_{tissues}.json", Measures={"tiv_ml": 1400 + n}) for n in range(3, 9)),
        "sub-9_dseg.json",
    ]
    told = flags_of_run(tmp_path, paths).splitlines()
    assert [line.split(":")[0] for line in told[1:]] == [
        "  sub-1_ses-2 brain_extraction",
        f"  sub-1_ses-2 {tissues}",
        "  sub-1_ses-2 template_correlation 0.3",
        "  sub-2 tiv_ml 700",
    ]
    assert told[2].endswith(": leaks (doubtful)") and "implausible: outside" in told[4]
    assert flags_of_run(tmp_path, paths[4:5]) is None
    assert flags_of_run(tmp_path, paths[-1:]) is None
