"""The simulated cohort of spondyloarthritis: odds ratios, signs, joints, raters and scans."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.ndimage import map_coordinates

from workflow_scripts.common.images import dice
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo import (
    simulate_joint_mask,
    simulate_participants,
    simulate_pelvis_stir,
    simulate_pelvis_t1w,
)
from workflow_scripts.demo.images import grid_points
from workflow_scripts.demo.pelvic_scans import moved, slab
from workflow_scripts.demo.pelvic_tissues import Pelvis
from workflow_scripts.demo.pelvises import LARGEST_SHIFT_MM, LARGEST_TURN_DEGREES, SCANNERS
from workflow_scripts.demo.plan import plan_cohort, planted, simulation
from workflow_scripts.demo.spondyloarthritis import (
    LOG_CRP,
    ODDS_RATIOS,
    SUBJECTS,
    plan_participant,
    plan_signs,
)

DEMO = {"cohort": "spondyloarthritis", "seed": 1, "effect": 1.0, "subjects": SUBJECTS}
MANY, HUNDREDS = {"axSpA": 1500, "control": 1500}, {"axSpA": 300, "control": 300}
NO_SIGNS = {"oedema": 0.0, "erosion": 0.0, "fat": 0.0, "mimic": None}
SEVERE = {"oedema": 1.0, "erosion": 0.6, "fat": 0.9, "mimic": None}


def covariates(demo: dict) -> pd.DataFrame:
    """Class and clinical factors of everybody; age and log CRP in SD of a class."""
    table = pd.DataFrame(plan_cohort(demo).participants)
    factors = {
        "hla_b27": table["hla_b27"],
        "crp": (np.log(table["crp"]) - LOG_CRP[0]) / LOG_CRP[1],
        "age": (table["age"] - 38) / 9,
        "sex": (table["sex"] == "M").astype(int),
    }
    return pd.DataFrame(factors).assign(case=(table["diagnosis"] == "axSpA").astype(int))


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_a_logistic_model_has_the_planted_odds_ratios(effect):
    table = covariates(DEMO | {"subjects": MANY, "effect": effect})
    names = [*ODDS_RATIOS]
    fit = sm.Logit(table["case"], sm.add_constant(table[names])).fit(disp=False)
    low, high = fit.conf_int(alpha=0.01).loc[names].to_numpy().T
    true = effect * np.log([ODDS_RATIOS[name] for name in names])
    assert ((low < true) & (true < high)).all(), fit.summary()
    assert (high - low < 0.6).all()  # it could have been missed


def signs_of(demo: dict) -> pd.DataFrame:
    """Severity of the signs of everybody, and whether there is a mimic."""
    rows = []
    for row in plan_cohort(demo).participants:
        signs = plan_signs(demo, int(row["participant_id"].removeprefix("sub-")))
        signs["mimic"] = float(signs["mimic"] is not None)
        rows.append(signs | {"diagnosis": row["diagnosis"]})
    return pd.DataFrame(rows).set_index("diagnosis")


def test_without_effect_classes_are_alike_and_everyone_draws_the_same():
    null = DEMO | {"effect": 0.0}
    means = signs_of(null | {"subjects": HUNDREDS}).groupby("diagnosis").mean()
    assert means[["oedema", "erosion", "fat"]].to_numpy().max() < 0.05
    assert abs(means["mimic"].diff().iloc[-1]) < 0.1
    for row in plan_cohort(DEMO).participants:
        number = int(row["participant_id"].removeprefix("sub-"))
        assert row["scanner"] == plan_participant(null, number)["scanner"]
        if row["diagnosis"] == "control":
            assert row == plan_participant(null, number)
            assert plan_signs(DEMO, number) == plan_signs(null, number)


def test_patients_have_signs_of_all_grades_and_mimics_are_of_the_controls():
    table = signs_of(DEMO | {"subjects": HUNDREDS})
    patients = table.loc["axSpA", "oedema"]
    assert 0.02 < (patients < 0.07).mean() < 0.1 and patients.quantile(0.9) > 0.8
    assert table.loc["control", "oedema"].max() < 0.1
    mimics = table["mimic"].groupby("diagnosis").mean()
    assert mimics["control"] == pytest.approx(0.6, abs=0.1)
    assert mimics["axSpA"] < mimics["control"] - 0.2


def test_same_plan_twice_and_more_people_change_no_other():
    few = DEMO | {"subjects": {"axSpA": 6, "control": 4}}
    before, after = plan_cohort(few), plan_cohort(DEMO)
    assert before == plan_cohort(few)
    for name in ("participants", "scans", "masks"):
        rows = getattr(after, name)
        assert [row for row in getattr(before, name) if row not in rows] == []
    assert planted(DEMO) == ["sacroiliac_joints"]
    with pytest.raises(InputError, match="site or class of spondyloarthritis; give numbers of axS"):
        plan_cohort(DEMO | {"subjects": {"brain": 3}})


def test_scans_and_masks_are_there_as_planned():
    plan = plan_cohort(DEMO)
    assert pd.DataFrame(plan.participants)["diagnosis"].value_counts().to_dict() == SUBJECTS
    scans = {row["path"] for row in plan.scans}
    have = pd.DataFrame(plan.scans)["suffix"].value_counts()
    assert have.to_dict() == {"T1w": 59, "STIR": 55}
    raters = pd.DataFrame(plan.masks)["suffix"].value_counts().to_dict()
    assert raters == {"sacroiliac_joints_anna": 39, "sacroiliac_joints_ben": 15}
    for row in plan.masks:
        name = row["participant_id"]
        assert f"{name}/anat/{name}_T1w.nii.gz" in scans and row["session_id"] is None
    assert plan.sidecars.keys() == {path.replace(".nii.gz", ".json") for path in scans}
    fourth = [
        simulation(DEMO, row["participant_id"])[scan]["fourth_axis"]
        for row in plan.participants
        for scan in ("t1w", "stir")
    ]
    assert np.mean(fourth) == pytest.approx(0.2, abs=0.03)


def test_slices_are_oblique_and_the_pelvis_moves_little():
    for row in plan_cohort(DEMO).participants:
        subject = simulation(DEMO, row["participant_id"])
        affine = slab(subject["t1w"], subject["position"])
        axes = affine[:3, :3] / subject["t1w"]["voxel_mm"]
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-4)
        right, up, front = axes.T
        assert (right[0] < 0) == SCANNERS[row["scanner"]]["coil"]["leftward"]
        assert 15 <= np.rad2deg(np.arctan2(up[1], up[2])) <= 35 and front[1] > 0.8
        motion = moved(subject["position"])
        centre = [*subject["position"]["centre_mm"], 1]
        assert np.linalg.norm(motion @ centre - centre) <= LARGEST_SHIFT_MM + 1e-6
        turn = np.arccos(np.clip((np.trace(motion[:3, :3]) - 1) / 2, -1, 1))
        assert np.rad2deg(turn) <= LARGEST_TURN_DEGREES + 1e-6


def person(signs: dict, name="sub-004") -> dict:
    """What the images of a participant depend on, with signs of one's own."""
    return simulation(DEMO, name) | {"signs": signs}


@pytest.fixture(scope="module")
def healthy():
    return person(NO_SIGNS), *simulate_pelvis_t1w.simulate(person(NO_SIGNS))


@pytest.fixture(scope="module")
def patient():
    return person(SEVERE), *simulate_pelvis_t1w.simulate(person(SEVERE))


def stir_on_t1w(subject: dict, affine: np.ndarray, moved_back=True) -> np.ndarray:
    """STIR of a person on the grid of their T1w, whose affine is given."""
    stir, own, stir_to_t1w = simulate_pelvis_stir.simulate(subject)
    to_voxel = np.linalg.inv(stir_to_t1w @ own if moved_back else own)
    points = grid_points(subject["t1w"]["shape"], to_voxel @ affine)
    return map_coordinates(stir.astype("f4"), points, order=1)


def test_oedema_is_bright_on_stir_and_dark_on_t1w_and_fat_the_reverse(healthy, patient):
    """In the same place of the same person, with and without; bones are where they were."""
    subject, t1w, fractions, affine = patient
    without = healthy[1].astype("f4")
    pure = {name: fractions[name] > 0.6 for name in ("oedema", "fat")}
    assert pure["oedema"].sum() > 100 and pure["fat"].sum() > 10
    ratio = t1w / np.maximum(without, 1)
    assert np.median(ratio[pure["oedema"]]) < 0.7 and np.median(ratio[pure["fat"]]) > 1.15
    stir, stir_without = (stir_on_t1w(s, affine) for s in (subject, healthy[0]))
    assert np.median(stir[pure["oedema"]] / stir_without[pure["oedema"]]) > 2.5
    assert np.median(stir[pure["fat"]] - stir_without[pure["fat"]]) < 0
    elsewhere = sum(fractions[name] for name in simulate_pelvis_t1w.SIGNS) == 0
    np.testing.assert_array_equal(t1w[elsewhere], healthy[1][elsewhere])
    volumes = {name: healthy[2][name].sum() for name in simulate_pelvis_t1w.SIGNS}
    assert volumes == dict.fromkeys(simulate_pelvis_t1w.SIGNS, 0)


@pytest.mark.parametrize("mimic", ["corner", "lumbosacral", "sacrum"])
def test_a_mimic_is_oedema_too_and_of_no_joint_but_at_a_corner(mimic):
    subject = person(NO_SIGNS | {"mimic": mimic})
    stir, _, _ = simulate_pelvis_stir.simulate(subject)
    _, found, _ = simulate_pelvis_t1w.simulate(subject)
    voxel_ml = np.prod(subject["t1w"]["voxel_mm"]) / 1000
    assert 0.1 < found["mimic"].sum() * voxel_ml < 8 and found["oedema"].sum() == 0
    plain, _, _ = simulate_pelvis_stir.simulate(person(NO_SIGNS))
    assert (stir.astype("i4") - plain > 0.25 * subject["stir"]["gain"]).any()
    inside = (found["mimic"] * np.maximum(found["left"], found["right"])).sum()
    assert (inside > 0) == (mimic == "corner")


def test_left_joint_lies_left_on_every_scanner():
    """RAS: x is negative on the left, whichever way the axes of the image run."""
    seen = set()
    for row in plan_cohort(DEMO).participants:
        if row["scanner"] not in seen:
            seen.add(row["scanner"])
            subject = person(NO_SIGNS, row["participant_id"])
            pelvis = Pelvis(subject["seed"], subject["pelvis"], NO_SIGNS)
            affine = slab(subject["t1w"], subject["position"])
            points = grid_points(subject["t1w"]["shape"], affine)
            found = pelvis.tissues(points, pelvis.grain(points))[1]
            middle = subject["pelvis"]["centre_mm"][0]
            assert points[0][found["left"] > 0.5].max() < middle - 10
            assert points[0][found["right"] > 0.5].min() > middle + 10
    assert seen == set(SCANNERS)


def test_signs_lie_along_the_joints(patient):
    """Erosions in the region; oedema in it or within a few mm; both sides of the cartilage."""
    subject, _, fractions, affine = patient
    pelvis = Pelvis(subject["seed"], subject["pelvis"], SEVERE)
    depth = pelvis.regions(grid_points(subject["t1w"]["shape"], affine))
    assert depth[fractions["erosion"] > 0.3].min() > -3
    assert depth[fractions["oedema"] > 0.3].min() > -14
    assert fractions["oedema"][depth > 0].sum() > 0.4 * fractions["oedema"].sum()


def shared_information(first, second) -> float:
    """Mutual information (nats) of two images on one grid, inside of the slab's border."""
    inner = (slice(12, -12), slice(12, -12), slice(2, -2))
    joint, _, _ = np.histogram2d(first[inner].ravel(), second[inner].ravel(), bins=24)
    joint /= joint.sum()
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return (joint[joint > 0] * np.log(joint[joint > 0] / apart[joint > 0])).sum()


def test_both_images_show_one_pelvis(healthy):
    """The T1w tells most of the STIR where this is moved back by the motion written down."""
    subject, t1w, _, affine = healthy
    subject = subject | {"position": subject["position"] | {"shift_mm": [1.8, -1.0, 1.8]}}
    told = [shared_information(t1w, stir_on_t1w(subject, affine, back)) for back in (True, False)]
    assert told[0] > 1.15 * told[1]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What the rules write of a person with oedema: folder and paths of the second run too."""
    folders = [tmp_path_factory.mktemp("pelvis") for _ in range(2)]
    subject = person(SEVERE)
    subject["t1w"]["fourth_axis"], subject["stir"]["fourth_axis"] = True, False
    for folder in folders:
        paths = {name: f"{folder}/{name}.nii.gz" for name in ("t1w", "stir", "joints", "signs")}
        out = SimpleNamespace(**paths, volumes=f"{folder}/volumes.tsv", to_t1w=f"{folder}/xfm.txt")
        params = SimpleNamespace(subject=subject)
        simulate_pelvis_t1w.main(None, out, params)
        simulate_pelvis_stir.main(None, out, params)
        for rater in ("anna", "ben"):
            out.mask = f"{folder}/{rater}.nii.gz"
            source = SimpleNamespace(t1w=out.t1w)
            simulate_joint_mask.main(source, out, params, SimpleNamespace(rater=rater))
    return folders


def test_same_bytes_twice(files):
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in files)
    assert len(first) == 9 and first == second


def test_images_are_int16_with_their_place_in_the_scanner(files):
    folder = files[0]
    t1w, stir = (nib.load(folder / f"{name}.nii.gz") for name in ("t1w", "stir"))
    assert t1w.shape[3:] == (1,) and len(stir.shape) == 3
    for image in (t1w, stir):
        assert image.get_data_dtype() == np.int16
        assert image.header["qform_code"] == image.header["sform_code"] == 1
        np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    joints = nib.load(folder / "joints.nii.gz")
    assert joints.shape == t1w.shape[:3] and set(np.unique(joints.dataobj)) == {0, 1, 2}
    volumes = read_table(folder / "volumes.tsv").iloc[0]
    voxel_ml = np.prod(t1w.header.get_zooms()[:3]) / 1000
    labels = np.bincount(np.asarray(joints.dataobj).ravel()) * voxel_ml
    assert labels[1:] == pytest.approx(volumes[["left_volume_ml", "right_volume_ml"]], rel=0.05)
    assert volumes["oedema_volume_ml"] > 1 > volumes["mimic_volume_ml"] == 0


def test_raters_draw_the_joints_each_with_a_hand_of_their_own(files):
    masks = {r: np.asarray(nib.load(files[0] / f"{r}.nii.gz").dataobj) > 0 for r in ("anna", "ben")}
    truth = np.asarray(nib.load(files[0] / "joints.nii.gz").dataobj) > 0
    voxel_ml = np.prod(nib.load(files[0] / "anna.nii.gz").header.get_zooms()) / 1000
    assert 20 < truth.sum() * voxel_ml < 45
    for mask in masks.values():
        assert 0.85 < dice(mask, truth) < 0.99
    assert masks["anna"].sum() > truth.sum() > masks["ben"].sum()
    assert 0.8 < dice(masks["anna"], masks["ben"]) < 0.97


def test_dataset_says_what_it_is(tmp_path):
    paths = {"participants": "participants.tsv", "exclusions": "exclusions.tsv", "readme": "README"}
    paths |= {"description": "dataset_description.json", "derivatives": "derivatives.json"}
    paths["ignored"] = ".bidsignore"
    out = SimpleNamespace(**{key: str(tmp_path / name) for key, name in paths.items()})
    demo = DEMO | {"subjects": {"axSpA": 2, "control": 1}}
    for row in plan_cohort(demo).scans:
        (tmp_path / row["path"]).parent.mkdir(parents=True, exist_ok=True)
    simulate_participants.main(None, out, SimpleNamespace(demo=demo))
    table = read_table(tmp_path / "participants.tsv")
    assert [*table][1:] == ["age", "sex", "hla_b27", "crp", "diagnosis", "scanner"]
    assert "template" not in (tmp_path / "README").read_text()
    assert "template" not in (tmp_path / "dataset_description.json").read_text()
    assert '"ManufacturersModelName"' in (tmp_path / "sub-001/anat/sub-001_T1w.json").read_text()
