"""The simulated cohort of the thalamus: who follows what, and what two raters draw."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from tests.statistics.test_longitudinal import EDSS
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.startup import start
from workflow_scripts.common.images import dice
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo import simulate_manual_mask, simulate_participants, simulate_r1map
from workflow_scripts.demo.deformation import Displacement, pushed
from workflow_scripts.demo.images import framed, grid_points
from workflow_scripts.demo.plan import plan_cohort, simulation
from workflow_scripts.demo.thalamus import (
    ATROPHY_MM,
    BETAS,
    LOSS_MM,
    R1MAP,
    WORSENED_LOSS_MM,
    plan_visits,
)
from workflow_scripts.statistics.trajectories import worsened

DEMO = {"cohort": "thalamus", "seed": 1, "effect": 1.0, "subjects": {"MS": 600}}


def people(demo: dict) -> pd.DataFrame:
    """Scores and the walls of the thalamus at the visits of everybody."""
    rows = []
    for row in plan_cohort(demo).sessions:
        prefix = f"{row['participant_id']}_{row['session_id']}"
        head = simulation(demo, prefix)["head"]
        number, visit = int(prefix[4:7]), int(prefix[-1])
        state = plan_visits(demo, number)[visit - 1]
        rows.append(row | {"mm": head["thalamus_mm"]} | {k: state[k] for k in ("years", "worsens")})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def everybody():
    return people(DEMO)


def test_same_seed_same_plan_and_more_people_change_no_other():
    few = DEMO | {"subjects": {"MS": 8}}
    before, after = plan_cohort(few), plan_cohort(DEMO)
    assert before == plan_cohort(few)
    assert before.scans == after.scans[: len(before.scans)]
    assert before.sessions == after.sessions[: len(before.sessions)]
    with pytest.raises(InputError, match="x is no site or class of thalamus; give numbers of MS"):
        plan_cohort(DEMO | {"subjects": {"x": 3}})


def test_a_part_has_masks_and_second_sessions():
    plan = plan_cohort(DEMO | {"subjects": {"MS": 24}})
    assert len(plan.participants) == 24 and len(plan.sessions) == 24 + 16
    assert len(plan.scans) == 3 * 40
    raters = pd.DataFrame(plan.masks)
    assert raters["suffix"].value_counts().to_dict() == {"thalamus_anna": 12, "thalamus_ben": 6}
    assert set(raters["session_id"]) == {"ses-1"}


def test_its_masks_are_those_that_engines_stand_on(tmp_path, monkeypatch):
    """Without a folder of masks in the configuration, which a dataset of one's own needs."""
    monkeypatch.chdir(tmp_path)
    fusion = {"fusion": {"kind": "multi_atlas", "rater": "anna"}}
    config = {
        "output_dir": "x", "anatomical": {}, "studies": {},
        "demo": {"cohort": "thalamus", "subjects": {"MS": 8}},
        "segmentation": {"regions": {"thalamus": {"engines": fusion}}},
    }  # fmt: skip
    with pytest.raises(InputError, match="stands on masks drawn by hand; name their folder"):
        check_config(config | {"bids_dir": "/data"})
    made = start(config, plan_cohort, True)
    assert made.segmentation.raters("Thalamus") == ["anna", "ben"]
    assert len(made.masks) == 6 and "bids:manual:" not in made.places
    assert all(not why for _, name, why in made.segmentation.all_of("sub-002_ses-1")[:1])


def test_scores_follow_the_atrophy_as_planted(everybody):
    """Of the part of the walls that is atrophy: correlation beta times its share."""
    first = everybody.drop_duplicates("participant_id")
    share = ATROPHY_MM / np.hypot(ATROPHY_MM, 0.2)
    for name, beta in BETAS.items():
        r = np.corrcoef(first[name], -first["mm"])[0, 1]
        assert r == pytest.approx(beta * share, abs=0.08), name
    null = people(DEMO | {"effect": 0.0}).drop_duplicates("participant_id")
    for name in BETAS:
        assert abs(np.corrcoef(null[name], null["mm"])[0, 1]) < 0.1, name


def test_half_worsen_by_the_rule_and_lose_more(everybody):
    pairs = everybody[everybody.duplicated("participant_id", keep=False)]
    wide = pairs.pivot(index="participant_id", columns="session_id")
    found = [worsened(*row, EDSS) for row in wide["edss"].to_numpy()]
    assert found == wide["worsens", "ses-2"].tolist()
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)
    years = wide["years", "ses-2"]
    lost = (wide["mm", "ses-1"] - wide["mm", "ses-2"]) / years
    fit = sm.OLS(lost, sm.add_constant(np.array(found, float))).fit()
    assert fit.params.tolist() == pytest.approx([LOSS_MM, WORSENED_LOSS_MM], abs=0.005)
    null = people(DEMO | {"effect": 0.0})
    null = null[null.duplicated("participant_id", keep=False)]
    mm = null.pivot(index="participant_id", columns="session_id", values="mm")
    extra = (mm["ses-1"] - mm["ses-2"]) / years
    assert extra[found].mean() == pytest.approx(extra[~np.array(found)].mean(), abs=0.005)


def test_volume_falls_with_the_walls(phantom):
    """About a sixth of it per mm, evenly: the planted atrophy is 10 % of the volume per SD."""
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = [-40, -60, -30]
    points = grid_points((40, 45, 40), affine)
    whole = phantom.sample("thalamus", points).sum()
    for mm in (-ATROPHY_MM, ATROPHY_MM):
        volume = phantom.sample("thalamus", pushed(phantom, points, "push_thalamus", mm)).sum()
        assert volume / whole - 1 == pytest.approx(0.16 * mm, abs=0.015)


def test_tables_of_the_sessions(tmp_path):
    demo = DEMO | {"subjects": {"MS": 4}}
    paths = {"participants": "participants.tsv", "exclusions": "exclusions.tsv", "readme": "README"}
    paths["ignored"] = ".bidsignore"
    paths |= {"description": "dataset_description.json", "derivatives": "derivatives.json"}
    out = SimpleNamespace(**{key: str(tmp_path / name) for key, name in paths.items()})
    simulate_participants.main(None, out, SimpleNamespace(demo=demo))
    table = read_table(tmp_path / "sub-001/sub-001_sessions.tsv")
    assert list(table) == ["session_id", "acq_time", "edss", "sdmt"]
    assert '"sdmt"' in (tmp_path / "sessions.json").read_text()


@pytest.fixture(scope="module")
def head(phantom, control, tmp_path_factory):
    """Paths of a head, and its true thalamus."""
    t1w, truth, _, affine, field = control
    path = tmp_path_factory.mktemp("head") / "t1w.nii.gz"
    nib.save(framed(t1w, affine), path)
    return SimpleNamespace(t1w=str(path), field=field), truth["thalamus"] / 255


@pytest.fixture(scope="module")
def drawn(head, phantom_file, tmp_path_factory):
    """Mask of each rater."""
    source, _ = head
    source.phantom, found = phantom_file, {}
    params = SimpleNamespace(subject={"scan_seed": [1, 2]})
    for rater in ("anna", "ben"):
        out = SimpleNamespace(mask=tmp_path_factory.mktemp("masks") / f"{rater}.nii.gz")
        simulate_manual_mask.main(source, out, params, SimpleNamespace(rater=rater))
        found[rater] = np.asanyarray(nib.load(out.mask).dataobj)
    return found


def test_raters_draw_the_thalamus_each_with_a_bias_of_their_own(head, drawn):
    truth = head[1]
    sizes = {rater: mask.sum() / truth.sum() for rater, mask in drawn.items()}
    assert 1.0 < sizes["anna"] < 1.15 and 0.85 < sizes["ben"] < 1.0
    for mask in drawn.values():
        assert set(np.unique(mask)) == {0, 1}
        assert 0.88 < dice(mask > 0, truth >= 0.5) < 0.99
    assert 0.8 < dice(drawn["anna"] > 0, drawn["ben"] > 0) < 0.97


def test_without_bias_and_waver_the_mask_is_the_thalamus(head):
    truth = head[1]
    mask = simulate_manual_mask.draw(truth, (2, 2, 2), 0, 0, np.random.default_rng(0))
    np.testing.assert_array_equal(mask, truth > 0.5)


def test_r1_is_in_per_second_and_not_that_of_t1(phantom, control):
    _, truth, brain, affine, field = control
    lesion = framed((truth["lesion"] / 255).astype("f4"), affine)
    r1 = simulate_r1map.simulate(phantom, [1, 2], Displacement(field), lesion, None, R1MAP)
    assert r1.dtype == np.float32 and r1.shape == brain.shape
    for tissue, value in R1MAP["signals"].items():
        inside = truth[tissue] > 250
        assert np.median(r1[inside]) == pytest.approx(value, abs=0.03), tissue
        assert r1[inside].std() == pytest.approx(R1MAP["sd"], rel=0.5)
