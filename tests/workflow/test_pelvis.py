"""A study of joints: no brain, no template, a region found by a network, networks stacked."""

import json
import shutil
from copy import deepcopy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.workflow.snake import finished, said, snakemake
from workflow_scripts.audit.records import read_jobs
from workflow_scripts.common.tables import read_table

pytestmark = pytest.mark.full

PEOPLE = 12
SHAPE, SIZES = (40, 28, 10), np.array([4.0, 4.0, 6.0])  # semi-coronal: right, up, front
NET = {"kind": "cnn", "inputs": ["T1w"], "encoder": "strided", "widths": [4, 8], "epochs": 3}
NET |= {"augmentation": "shift", "shift_voxels": 1, "threads": 1}
STUDY = {
    "label": "diagnosis",
    "classes": ["control", "axSpA"],
    "bootstraps": 50,
    "inner_folds": 3,
    "inputs": {
        "T1w": {
            "channels": ["T1w"],
            "space": "native",
            "spacing": [4, 6, 4],
            "shape": [32, 8, 16],
            "segmented": {"region": "sacroiliac_joints", "engine": "unet", "margin": 8},
        },
        "STIR": {"like": "T1w", "channels": ["STIR"]},
        "clinical": {"columns": ["age", "hla_b27"]},
    },
    "design": {"kind": "holdout", "test": 0.34},
    "models": {
        "net": NET,
        "oedema": {"like": "net", "inputs": ["STIR"]},
        "signature": {"kind": "stack", "of": ["net", "oedema"], "learners": ["logistic", "knn"]},
        "clinical": {"kind": "logistic", "inputs": ["clinical"]},
        "combined": {
            "kind": "stack",
            "of": ["signature"],
            "inputs": ["clinical"],
            "learners": ["logistic"],
        },
    },
    "evaluation": {
        "metrics": {},
        "comparisons": {},
        "decision_curve": {},
        "reclassification": {"model": "combined", "base": "clinical"},
        "nomogram": {"model": "combined"},
    },
}
UNET = {"kind": "unet", "rater": "anna", "channels": ["T1w", "STIR"], "spacing": [4, 6, 4]}
UNET |= {"folds": 4, "epochs": 20, "study": "dlr", "threads": 1}
TESTED = {1: (1, 2), 2: (3, 4)}


def ill(number):
    return number % 2 == 0


def draw_pelvis(bids: Path, manual: Path, number: int) -> None:
    """T1w and STIR of a body with two dark joints, bright on STIR beside them in who is ill."""
    turn = nib.eulerangles.euler2mat(x=np.deg2rad(115))
    affine = nib.affines.from_matvec(turn * SIZES, [-80.0 + number % 3, -20, 60])
    x, z, y = np.moveaxis((np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2) * SIZES, -1, 0)
    x, z, y = x.T, z.T, y.T
    body = (x / 75) ** 2 + (z / 52) ** 2 < 1
    joint = (np.abs(np.abs(x) - 34 - number % 3) < 3) & (np.abs(z) < 24) & (np.abs(y) < 22)
    region = (np.abs(np.abs(x) - 34 - number % 3) < 9) & (np.abs(z) < 28) & (np.abs(y) < 25)
    rng = np.random.default_rng(number)
    t1w = np.where(joint, 60, np.where(body, 200, 0)) + rng.normal(0, 6, SHAPE)
    stir = np.where(joint, 150, np.where(body, 60, 0)) + rng.normal(0, 6, SHAPE)
    if ill(number):
        stir += 150 * (region & ~joint & (z > 0))
    name = f"sub-{number:02d}"
    for folder, ending, data in (
        (bids, "T1w", np.abs(t1w)[..., None] if number == 3 else np.abs(t1w)),
        (bids, "acq-stir_T2w", np.abs(stir)),
        (manual, "label-SacroiliacJoints_desc-anna_mask", region),
    ):
        (folder / name / "anat").mkdir(parents=True, exist_ok=True)
        if (number, ending) != (PEOPLE, "acq-stir_T2w"):
            kind = np.uint8 if ending.endswith("mask") else np.int16
            image = nib.Nifti1Image(data.astype(kind), affine)
            nib.save(image, folder / name / f"anat/{name}_{ending}.nii.gz")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = tmp_path_factory.mktemp("pelvis")
    bids, manual = root / "bids", root / "manual"
    rows = ["participant_id\tage\tdiagnosis\thla_b27"]
    for number in range(1, PEOPLE + 1):
        draw_pelvis(bids, manual, number)
        diagnosis = STUDY["classes"][ill(number)]
        rows.append(f"sub-{number:02d}\t{30 + number * 7 % 11}\t{diagnosis}\t{number % 3 % 2}")
    description = {"Name": "x", "BIDSVersion": "1.10.0"}
    (bids / "dataset_description.json").write_text(json.dumps(description))
    (manual / "dataset_description.json").write_text(
        json.dumps(description | {"DatasetType": "derivative"})
    )
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n")
    return {
        "bids_dir": str(bids),
        "output_dir": str(root / "results"),
        "scans": {"T1w": {}, "STIR": {"suffix": "T2w", "acq": "stir"}},
        "anatomical": {"body_part": "pelvis"},
        "segmentation": {
            "manual": str(manual),
            "regions": {"sacroiliac_joints": {"features": "unet", "engines": {"unet": UNET}}},
        },
        "studies": {"dlr": STUDY},
    }


@pytest.fixture(scope="module")
def results(config, tmp_path_factory):
    """Output folder of a whole run."""
    process = finished(config=config, folder=tmp_path_factory.mktemp("run"))
    assert "brain" not in said(process).lower()
    return Path(config["output_dir"])


def of_study(results, name):
    return read_table(results / f"studies/dlr/{name}.tsv")


def test_nothing_of_brains_is_run_or_said(results):
    ran = {record["rule"] for record in read_jobs(results).values()}
    assert {"segment_region", "align_contrast", "draw_scans", "stack_models"} <= ran
    assert not ran & {"make_templates", "register_to_mni", "segment_brain", "draw_qc"}
    assert "MNI152" not in (results / "cohort/check.txt").read_text()
    scans = read_table(results / "cohort/scans.tsv")
    assert set(scans["suffix"]) == {"T1w", "STIR", "sacroiliac_joints_anna"}
    assert not list(results.rglob("*MNI152*"))


def test_who_is_tested_trained_no_network(results):
    splits = of_study(results, "split-1_splits")
    tested = set(splits.loc[splits["role"] == "test", "participant_id"])
    assert len(tested) == 4
    for path in (results / "segmentation").glob("*_model.json"):
        sources = json.loads(path.read_text())["Sources"]
        assert sources and not [one for one in sources if any(name in one for name in tested)]
        if "fold-0" in path.name:  # of all others, for new patients; one of these has no STIR
            assert len(sources) == PEOPLE - 4 - (f"sub-{PEOPLE}" not in tested)
    inner = of_study(results, "split-1_inner_splits").query("role != 'rest'")
    assert not tested & set(inner["participant_id"])
    for path in (results / "studies/dlr/models").glob("*_model.json"):
        assert not tested & set(json.loads(path.read_text())["participants"])


def test_who_trains_is_segmented_by_a_network_of_others(results):
    for path in (results / "segmentation").glob("*_fold-[1-4]_model.json"):
        sources = " ".join(json.loads(path.read_text())["Sources"])
        users = [
            sidecar.name[:6]
            for sidecar in results.glob("sub-*/anat/*_desc-unet_dseg.json")
            if path.stem in sidecar.read_text()
        ]
        assert users and not [name for name in users if name in sources]


def test_joints_are_found_and_images_cut_around_them(results):
    overlap = read_table(results / "segmentation/overlap.tsv")
    assert overlap.query("side == 'both'")["dice"].median() > 0.7
    volumes = np.load(results / "studies/dlr/input-STIR_volumes.npy")
    assert volumes.shape == (PEOPLE - 1, 1, 32, 8, 16)
    assert 0.05 < (volumes > 0).mean() < 0.8  # nothing beyond the margin


def test_who_lacks_a_contrast_is_counted(results):
    flow = of_study(results, "flow").fillna("")
    rows = flow[["stage", "reason", "n"]].to_numpy().tolist()
    assert ["missing data", "STIR MISSING", 1] in rows
    assert ["analysed", "", PEOPLE - 1] in rows


def test_stacks_score_the_test_side_and_the_report_tells_what_choosing_claims(results):
    predictions = of_study(results, "predictions").query("role == 'test'")
    assert set(predictions["model"]) == set(STUDY["models"])
    assert set(predictions.groupby("model").size()) == {4}
    learners = of_study(results, "models/model-signature_desc-stack_learners")
    assert (learners["chosen"] == "yes").sum() == 1
    assert set(learners["candidate"]) == {"net", "oedema", "logistic", "knn"}
    assert set(of_study(results, "reclassification")["metric"]) >= {"nri_events", "idi"}
    page = (results / "report/index.html").read_text()
    assert "an optimistic figure, which is no result" in page
    assert "so that no face shows" not in page
    assert set(of_study(results, "nomogram")["term"]) >= {"signature", "age", "probability"}
    assert "* signature" in page  # the combined model's equation
    assert (results / "sub-01/figures/sub-01_desc-qc_T1w.webp").is_file()


def test_the_frozen_chain_scores_a_person_of_another_dataset_as_its_study_did(
    results, config, tmp_path
):
    """Region, networks, signature and combined model, of somebody whom the study tested."""
    tested = of_study(results, "predictions").query("role == 'test'")
    tested = tested.set_index(["participant_id", "model"])
    person = tested.index[0][0]
    sidecar = results / person / f"anat/{person}_label-SacroiliacJoints_desc-unet_dseg.json"
    network = json.loads(sidecar.read_text())["Model"].removeprefix("bids::")
    bids = tmp_path / "new"
    shutil.copytree(Path(config["bids_dir"]) / person, bids / person)
    shutil.copy(Path(config["bids_dir"]) / "dataset_description.json", bids)
    table = (Path(config["bids_dir"]) / "participants.tsv").read_text().splitlines()
    rows = [table[0], *(row for row in table if row.startswith(person))]
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n")
    engine = {"kind": "pretrained_unet", "weights": str(results / network)}
    new = {key: config[key] for key in ("scans", "anatomical")} | {
        "bids_dir": str(bids),
        "output_dir": str(tmp_path / "scored"),
        "segmentation": {"regions": {"sacroiliac_joints": {"engines": {"unet": engine}}}},
        "studies": {},
        "frozen_models": str(results / "studies/dlr/models"),
        "frozen_label": "diagnosis",
    }
    finished("predict", config=new, folder=tmp_path)
    for name, models in (("sessions", ["net", "oedema"]), ("stacks", ["signature", "combined"])):
        given = read_table(tmp_path / f"scored/predictions/{name}.tsv").set_index("model")
        assert (given["participant_id"] == person).all() and len(given) == 2
        assert (given["label"] == STUDY["classes"][ill(int(person[4:]))]).all()
        for model in models:
            score = given.at[f"model-{model}_split-1_repeat-1", "probability"]
            assert score == pytest.approx(tested.at[(person, model), "probability"], abs=1e-6)
    metrics = read_table(tmp_path / "scored/predictions/metrics.tsv")
    assert set(metrics["model"]) == {"net", "oedema", "signature", "combined"}


@pytest.fixture(scope="module")
def by_split(results, config, tmp_path_factory):
    """Output folder of the same scans in two splits, that test two people each."""
    root = tmp_path_factory.mktemp("by_split")
    folder = root / "results"
    shutil.copytree(results, folder)
    rows = [
        f"{split}\tsub-{number:02d}\t{'test' if number in tested else 'train'}"
        for split, tested in TESTED.items()
        for number in range(1, PEOPLE)  # the last one has no STIR
    ]
    (root / "splits.tsv").write_text("\n".join(["split\tparticipant_id\trole", *rows]) + "\n")
    study = STUDY | {"split": 2, "design": {"kind": "given", "table": str(root / "splits.tsv")}}
    study |= {"models": {"oedema": NET | {"inputs": ["STIR"]}}, "evaluation": {"metrics": {}}}
    new = deepcopy(config) | {"output_dir": str(folder), "studies": {"dlr": study}}
    region = new["segmentation"]["regions"]["sacroiliac_joints"]
    region["engines"]["unet"] |= {"folds": 2, "epochs": 6}
    finished("studies", config=new, folder=root)
    return folder


def test_each_of_several_splits_has_a_network_of_the_region_of_its_own(by_split):
    """Trained on nobody whom the split tests, and not on whom it segments."""
    for split, tested in TESTED.items():
        paths = [*(by_split / "segmentation").glob(f"*_unetsplit{split}_fold-*_model.json")]
        assert len(paths) == 2
        for path in paths:
            sources = " ".join(json.loads(path.read_text())["Sources"])
            assert not [number for number in tested if f"sub-{number:02d}" in sources]
            users = [
                sidecar.name[:6]
                for sidecar in by_split.glob(f"sub-*/anat/*_desc-unetsplit{split}_dseg.json")
                if path.stem in sidecar.read_text()
            ]
            assert users and not [name for name in users if name in sources]


def test_images_are_cut_around_the_masks_of_their_split(by_split):
    """And who is tested has for volume and picture the mask of that split."""
    first, second = (
        np.load(by_split / f"studies/dlr/input-STIR_split-{split}_volumes.npy") for split in TESTED
    )
    assert first.shape == second.shape == (PEOPLE - 1, 1, 32, 8, 16)
    assert (first != second).any(axis=(1, 2, 3, 4)).sum() > PEOPLE / 2
    for split, tested in TESTED.items():
        for number in tested:
            beginning = f"sub-{number:02d}/anat/sub-{number:02d}_label-SacroiliacJoints_desc-unet"
            taken, own = (
                nib.load(by_split / f"{beginning}{of}_dseg.nii.gz").get_fdata()
                for of in ("", f"split{split}")
            )
            np.testing.assert_array_equal(taken, own)
    tested = of_study(by_split, "predictions").query("role == 'test'")
    found = tested.groupby("split")["participant_id"].agg(set).to_dict()
    assert found == {s: {f"sub-{number:02d}" for number in who} for s, who in TESTED.items()}


def test_an_unchanged_run_does_nothing(results, config, tmp_path):
    assert "Nothing to be done" in said(snakemake("--dry-run", config=config, folder=tmp_path))
