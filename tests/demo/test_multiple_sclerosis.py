import json
from datetime import date
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy.stats import spearmanr

from workflow_scripts.cohort.clinical import read_clinical
from workflow_scripts.common.job import InputError
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo import simulate_flair, simulate_lesion_mask, simulate_participants
from workflow_scripts.demo.compare_gradcam_with_truth import planted_region
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.images import framed, grid_points, save_fractions
from workflow_scripts.demo.multiple_sclerosis import TISSUES, plan_visits
from workflow_scripts.demo.plan import plan_cohort, planted, simulation
from workflow_scripts.demo.simulate_t1w import simulate, volumes_ml
from workflow_scripts.demo.sites import SITES

DEMO = {"cohort": "multiple_sclerosis", "seed": 1, "effect": 1.0, "signal": "white_matter"}
MANY = DEMO | {"subjects": {"A": 200, "B": 200}}
# What of a head follows the severity of a tissue, and in which direction.
ANATOMY = {
    "white_matter": lambda head: head["lesions_ml"]["juxtacortical"],
    "grey_matter": lambda head: head["borders"]["pial"],
    "subcortical_grey_matter": lambda head: -head["thalamus_mm"],
    "ventricles": lambda head: head["ventricles_mm"],
    "brainstem": lambda head: head["lesions_ml"]["brainstem"],
}


def of_sessions(demo):
    """Session row, site and simulation of every session that has an EDSS."""
    plan = plan_cohort(demo)
    sites = {row["participant_id"]: row["site"] for row in plan.participants}
    for row in plan.sessions:
        name = row["participant_id"]
        if row["edss"] is not None:
            yield row, sites[name], simulation(demo, f"{name}_{row['session_id']}")


def links(demo):
    """Rank correlation of EDSS with what changes in each tissue, within sites."""
    found = {}
    for site in SITES:
        rows = [
            (row["edss"], made["head"]) for row, there, made in of_sessions(demo) if there == site
        ]
        edss = [edss for edss, _ in rows]
        for tissue, part in ANATOMY.items():
            r = spearmanr(edss, [part(head) for _, head in rows]).statistic
            found.setdefault(tissue, []).append(r)
    return {tissue: np.mean(rs) for tissue, rs in found.items()}


def test_same_seed_same_plan():
    assert plan_cohort(DEMO) == plan_cohort(DEMO)
    assert plan_cohort(DEMO) != plan_cohort(DEMO | {"seed": 2})


def test_planned_gaps_and_shares():
    plan = plan_cohort(DEMO)
    sites = [row["site"] for row in plan.participants]
    assert (sites.count("A"), sites.count("B")) == (24, 8)
    sessions = {(row["participant_id"], row["session_id"]) for row in plan.sessions}
    assert len(sessions) == len(plan.sessions) == 31 + 8
    with_scan = {
        suffix: {
            (scan["participant_id"], scan["session_id"])
            for scan in plan.scans
            if scan["suffix"] == suffix
        }
        for suffix in ("T1w", "FLAIR")
    }
    assert with_scan["T1w"] == sessions
    assert len(sessions - with_scan["FLAIR"]) == 1
    assert len(plan.masks) == len(sessions) - 2
    assert len(plan.exclusions) == 1
    edss = [row["edss"] for row in plan.sessions]
    assert edss.count(None) == 1
    known = np.array([value for value in edss if value is not None])
    assert (known * 2 % 1 == 0).all() and known.min() >= 0 and known.max() <= 10
    assert 0.3 < (known >= 3).mean() < 0.5
    late = 0
    for row in plan.sessions:
        if row["edss"] is not None:
            scan, assessed = (date.fromisoformat(row[k][:10]) for k in ("acq_time", "edss_date"))
            assert scan.year >= 1925 and assessed.year >= 1925
            late += abs((scan - assessed).days) > 183
    assert late == 4
    assert len(plan.sidecars) == len(plan.scans)


def test_second_sessions_come_a_year_later_with_the_same_anatomy_and_more_of_it():
    sessions = {}
    for row, _, made in of_sessions(MANY):
        sessions.setdefault(row["participant_id"], []).append((row, made))
    pairs = [both for both in sessions.values() if len(both) == 2]
    assert len(pairs) == pytest.approx(100, abs=5)
    gains = []
    for (first, before), (second, after) in pairs:
        assert before["seed"] == after["seed"]
        assert before["scan_seed"] != after["scan_seed"]
        assert before["head"]["scale"] == after["head"]["scale"]
        assert before["head"]["ventricles_mm"] < after["head"]["ventricles_mm"]
        for place in ("periventricular", "juxtacortical"):
            assert before["head"]["lesions_ml"][place] < after["head"]["lesions_ml"][place]
        days = [date.fromisoformat(row["acq_time"][:10]).toordinal() for row in (first, second)]
        assert 250 < days[1] - days[0] < 500
        gains.append(second["edss"] - first["edss"])
    assert 0.05 < np.mean(gains) < 0.6


@pytest.mark.parametrize("larger", [(25, 8), (24, 9), (40, 20)])
def test_adding_participants_changes_no_other(larger):
    grown = DEMO | {"subjects": dict(zip("AB", larger, strict=True))}
    before, after = plan_cohort(DEMO), plan_cohort(grown)
    for old, new in zip(before[:-1], after[:-1], strict=True):
        assert all(row in new for row in old)
    assert before.sidecars.items() <= after.sidecars.items()
    for row in before.sessions:
        prefix = f"{row['participant_id']}_{row['session_id']}"
        assert simulation(DEMO, prefix) == simulation(grown, prefix)


def test_without_effect_edss_says_nothing_of_any_tissue():
    null = MANY | {"effect": 0.0}
    for r in links(null).values():
        assert abs(r) < 0.13
    states = [state for number in range(1, 401) for state in plan_visits(null, number)]
    for tissue in TISSUES:
        severity = [state["severity"][tissue] for state in states]
        assert abs(spearmanr(severity, [state["edss"] for state in states]).statistic) < 0.13


@pytest.mark.parametrize("signal", TISSUES)
def test_each_signal_links_edss_with_its_tissue_alone(signal):
    for tissue, r in links(MANY | {"signal": signal}).items():
        assert r > 0.6 if tissue == signal else abs(r) < 0.13, tissue


def test_people_do_not_depend_on_signal_and_effect():
    other = plan_cohort(DEMO | {"signal": "ventricles", "effect": 0.0})
    assert other == plan_cohort(DEMO)


@pytest.mark.parametrize(
    ("signal", "low", "high"),
    [
        ("white_matter", (0.1, 1.8), (2.5, 12)),
        ("ventricles", (-1.2, 2.9), (2.0, 7.5)),
        ("grey_matter", (-0.1, 0.5), (0.35, 1.1)),
        ("subcortical_grey_matter", (-0.6, 1.2), (0.3, 2.4)),
        ("brainstem", (0, 0), (1.4, 3)),
    ],
)
def test_the_disabled_are_changed_as_much_as_patients_are(signal, low, high):
    """mL of juxtacortical lesions (.3 of all) and of the brainstem's; mm of the others."""
    values = {False: [], True: []}
    for _, _, made in of_sessions(MANY | {"signal": signal}):
        values[made["affected"]].append(ANATOMY[signal](made["head"]))
    for affected, (least, most) in ((False, low), (True, high)):
        assert least <= np.min(values[affected]) <= np.max(values[affected]) <= most
    assert np.median(values[True]) > np.max(values[False])


def test_label_is_that_of_the_tissue_in_most_sessions():
    rows = [(row["edss"] >= 3, made["affected"]) for row, _, made in of_sessions(MANY)]
    agreeing = np.mean([label == affected for label, affected in rows])
    assert 0.9 < agreeing < 1


def test_sites_differ_in_scanner_and_case_mix():
    plan = plan_cohort(MANY)
    people = {site: [r for r in plan.participants if r["site"] == site] for site in SITES}
    older, progressive = (
        {site: np.mean([of(row) for row in rows]) for site, rows in people.items()}
        for of in (lambda row: row["age"], lambda row: row["type"] != "RRMS")
    )
    assert older["B"] > older["A"] + 5
    assert progressive["B"] > progressive["A"] + 0.1
    edss, made = {"A": [], "B": []}, {}
    for row, site, one in of_sessions(MANY):
        edss[site].append(row["edss"])
        made.setdefault(site, []).append(one)
    assert np.mean(edss["B"]) > np.mean(edss["A"]) + 0.5
    snr, grey = (
        {site: np.mean([one["head"][key] for one in rows]) for site, rows in made.items()}
        for key in ("snr", "gm_signal")
    )
    assert snr["B"] < snr["A"] - 5 and grey["B"] > grey["A"] + 0.03
    one, other = (made[site][0] for site in "AB")
    for image in ("t1w", "flair"):
        assert one[image]["voxel_mm"] != other[image]["voxel_mm"]
    assert one["flair"]["signals"] != other["flair"]["signals"]


def test_other_sites_are_refused():
    with pytest.raises(InputError, match=r"demo.subjects: NPSLE is no site"):
        plan_cohort(DEMO | {"subjects": {"A": 4, "NPSLE": 2}})


def test_dataset_has_sessions_sidecars_and_dictionaries(tmp_path):
    plan = plan_cohort(DEMO)
    for path in [*plan.sidecars, "derivatives/lesions/x"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    names = {"participants": "participants.tsv", "exclusions": "exclusions.tsv"}
    names |= {"description": "dataset_description.json", "readme": "README"}
    names |= {
        "ignored": ".bidsignore",
        "derivatives": "derivatives/lesions/dataset_description.json",
    }
    out = SimpleNamespace(**{key: str(tmp_path / name) for key, name in names.items()})
    simulate_participants.main(None, out, SimpleNamespace(demo=DEMO))
    for path in (*plan.sessions_files, *plan.sidecars):
        assert (tmp_path / path).is_file()
    people = read_table(out.participants)
    assert set(people["type"]) == {"RRMS", "SPMS", "PPMS"}
    described = json.loads((tmp_path / "sessions.json").read_text())
    name = plan.sessions[0]["participant_id"]
    table = read_table(tmp_path / name / f"{name}_sessions.tsv")
    assert list(table.columns) == list(described)
    asked = {"ms": {"inputs": {}, "evaluation": {}, "label": {"column": "edss", "at_least": 3}}}
    everyone = [(row["participant_id"], row["session_id"]) for row in plan.sessions]
    study = asked["ms"] | {"table1": [], "design": {"kind": "folds"}}
    rows = read_clinical(tmp_path, people.to_dict("records"), everyone, {"ms": study})
    planned = [None if row["edss"] is None else str(row["edss"]) for row in plan.sessions]
    assert [row["edss"] for row in rows] == planned
    assert "in `../truth`" in (tmp_path / "README").read_text()


@pytest.fixture(scope="module", params=["A", "B"])
def scans(request, phantom, tmp_path_factory):
    """T1w, truth, and FLAIR of a session with lesions in all places, on the scanner of a site."""
    folder = tmp_path_factory.mktemp("session")
    made = simulation(DEMO, "sub-001_ses-1")
    wanted = {"periventricular": 8.0, "juxtacortical": 3.0, "brainstem": 1.5}
    made["head"]["lesions_ml"] = wanted
    site, field = SITES[request.param], folder / "xfm.nii.gz"
    t1w, truth, _, affine = simulate(
        phantom, made["seed"], made["head"], field, made["scan_seed"], site["t1w"]
    )
    lesion = framed((truth["lesion"] / 255).astype("f4"), affine)
    flair, grid, to_t1w = simulate_flair.simulate(
        phantom, made["scan_seed"], Displacement(field), lesion, made["borders"], site["flair"]
    )
    save_fractions(truth["lesion"] / 255, affine, folder / "lesion.nii.gz")
    return SimpleNamespace(**locals())


def test_lesions_have_the_planned_volumes(scans):
    voxel_ml = np.prod(scans.site["t1w"]["voxel_mm"]) / 1000
    assert nib.affines.voxel_sizes(scans.affine) == pytest.approx(scans.site["t1w"]["voxel_mm"])
    volumes = volumes_ml(scans.truth, voxel_ml)
    for place, volume in scans.wanted.items():
        assert volumes[f"lesion_{place}_volume_ml"] == pytest.approx(volume, rel=0.02)
    total = sum(scans.wanted.values())
    assert volumes["lesion_volume_ml"] == pytest.approx(total, rel=0.02)
    assert (scans.truth["lesion"] <= scans.truth["wm"].astype(int) + 1).all()
    simulate_lesion_mask.main(
        SimpleNamespace(lesion=scans.folder / "lesion.nii.gz"),
        SimpleNamespace(mask=scans.folder / "mask.nii.gz"),
        None,
    )
    mask = nib.load(scans.folder / "mask.nii.gz")
    assert set(np.unique(mask.dataobj)) == {0, 1}
    assert mask.get_fdata().sum() * voxel_ml == pytest.approx(total, rel=0.15)


def test_lesions_are_dark_in_t1w_and_bright_in_flair(scans):
    truth, t1w = scans.truth, scans.t1w
    white = (truth["wm"] > 250) & (truth["lesion"] == 0)
    for place in scans.wanted:
        found = truth[f"lesion_{place}"] > 230
        assert found.sum() > 20
        assert np.median(t1w[found]) < 0.75 * np.median(t1w[white])
    points = grid_points(scans.flair.shape, scans.grid)
    moved = np.tensordot(scans.to_t1w[:3, :3], points, axes=1)
    moved += scans.to_t1w[:3, 3].reshape(3, 1, 1, 1)
    voxels = nib.affines.apply_affine(np.linalg.inv(scans.affine), np.moveaxis(moved, 0, -1))
    voxels = np.round(voxels).astype(int)
    inside = ((voxels >= 0) & (voxels < t1w.shape)).all(axis=-1)
    at = tuple(voxels[inside].T)
    seen = {name: data[at] for name, data in truth.items()}
    white = np.median(scans.flair[inside][(seen["wm"] > 250) & (seen["lesion"] == 0)])
    for place in scans.wanted:
        assert np.median(scans.flair[inside][seen[f"lesion_{place}"] > 230]) > 1.25 * white


def test_more_lesions_contain_the_fewer(phantom, scans):
    made = simulation(DEMO, "sub-001_ses-1")
    made["head"]["lesions_ml"] = {name: 1.2 * ml for name, ml in scans.wanted.items()}
    field = scans.folder / "again.nii.gz"
    grown = simulate(phantom, made["seed"], made["head"], field, None, scans.site["t1w"])[1]
    assert (grown["lesion"].astype(int) >= scans.truth["lesion"].astype(int) - 2).all()


@pytest.mark.parametrize("signal", TISSUES)
def test_planted_region_is_the_tissue_of_the_signal(signal, scans, phantom):
    """By centre and size in MNI152."""
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (-80, -110, -70)
    head = np.ones((41, 48, 41), bool)
    places = planted(DEMO | {"signal": signal})
    lesion, field = [scans.folder / "lesion.nii.gz"], [scans.field]
    region = planted_region(places, lesion, field, phantom, head, affine)
    x, y, z = grid_points(head.shape, affine)[:, region]
    inside = {
        "white_matter": (z > -45).all(),
        "grey_matter": len(z) * 0.064 > 200,
        "subcortical_grey_matter": (np.abs(x) < 30).all() and (np.abs(y + 18) < 24).all(),
        "ventricles": (np.abs(x) < 45).all() and z.min() > -30,
        "brainstem": (np.abs(x) < 16).all() and (z < -5).all(),
    }
    assert region.any() and inside[signal]
