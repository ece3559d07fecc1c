"""Real scans through the anatomical wing, where a folder with them is named."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from tests.workflow.snake import finished, said, snakemake
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.tables import read_table
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.models import save_model
from workflow_scripts.learning.train_classifier import describe

DATA = Path(os.environ.get("NEUROIMMUNE_MRI_TEST_DATA", "/nonexistent")) / "real-mini"


STUDIES = Path(__file__).parent / "studies"
NETWORK = "model-brain_split-1_repeat-1_model"


def shorten(raw: Path, folder: Path, volumes: int) -> None:
    """The first volumes of the diffusion series of a folder, which take half the time."""
    folder.mkdir(parents=True)
    [series] = raw.glob("*_dwi.nii.gz")
    nib.save(nib.load(series).slicer[..., :volumes], folder / series.name)
    for ending in ("bval", "bvec"):
        [table] = raw.glob(f"*_dwi.{ending}")
        np.savetxt(folder / table.name, np.loadtxt(table, ndmin=2)[:, :volumes], fmt="%.8g")
    [metadata] = raw.glob("*_dwi.json")
    (folder / metadata.name).write_text(metadata.read_text())


pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        not DATA.is_dir(), reason="NEUROIMMUNE_MRI_TEST_DATA names no folder with real-mini"
    ),
]


def test_real_scans(tmp_path):
    """A whole head, thick slices with a FLAIR, and diffusion series with and without a T1w."""
    bids = tmp_path / "bids"
    bids.mkdir()
    (bids / "dataset_description.json").symlink_to(DATA / "dataset_description.json")
    kept = ["sub-IXI012", "sub-PH08", "sub-XA30", "sub-MS12"]
    rows = (DATA / "participants.tsv").read_text().splitlines()
    rows = [rows[0], *(row for row in rows[1:] if row.split("\t")[0] in kept)]
    (bids / "participants.tsv").write_text("\n".join(rows) + "\n")
    for name in ("sub-IXI012", "sub-XA30"):
        (bids / name).symlink_to(DATA / name)
    shorten(DATA / "sub-PH08/dwi", bids / "sub-PH08/dwi", volumes=16)
    (bids / "sub-MS12").mkdir()
    (bids / "sub-MS12/ses-01").symlink_to(DATA / "sub-MS12/ses-01")
    config = {
        "bids_dir": str(bids),
        "output_dir": str(tmp_path / "results"),
        "anatomical": {"template_resolution": 2},
        "diffusion": {"denoise": "none", "gibbs": "none", "motion": "rigid"},
        "studies": {},
    }
    process = snakemake(config=config, folder=tmp_path)
    assert process.returncode == 0, said(process)[-5000:]
    status = read_table(tmp_path / "results/cohort/scans.tsv")
    found = status.set_index(["participant_id", "suffix"])["status"].to_dict()
    assert found["sub-IXI012", "T1w"] == found["sub-MS12", "FLAIR"] == "AVAILABLE"
    assert found["sub-PH08", "T1w"] == found["sub-IXI012", "FLAIR"] == "MISSING"
    features = read_table(tmp_path / "results/cohort/features.tsv")
    features = features.set_index("participant_id")
    assert features.index.tolist() == ["sub-IXI012", "sub-MS12", "sub-PH08", "sub-XA30"]
    heads = features.drop("sub-PH08")
    assert heads["tiv_ml"].between(1200, 1900).all()
    assert heads["template_correlation"].min() > 0.5
    assert heads["ventricles_volume_ml"].between(5, 60).all()
    # five standard deviations about the healthy mean, 10.1093/rheumatology/keae251
    assert features["alps"].dropna().between(0.94, 2.33).all()
    assert features["alps"].notna().sum() == 2
    assert features.loc["sub-XA30", "dwi_t1w_mutual_information"] > 1.027
    outliers = read_table(tmp_path / "results/cohort/outliers.tsv")
    flagged = outliers[outliers["participant_id"] == "sub-PH08"]
    assert flagged["reason"].str.contains("no T1w").any()


def test_two_visits_of_a_patient_are_members_of_the_stratification_study(tmp_path):
    """Population, input and score by a frozen network, whose weights are random.

    EDSS is made up: it passes the threshold between the visits.
    """
    bids, results = tmp_path / "bids", tmp_path / "results"
    (bids / "sub-MS12").mkdir(parents=True)
    (bids / "dataset_description.json").symlink_to(DATA / "dataset_description.json")
    for session in ("ses-01", "ses-02"):
        (bids / "sub-MS12" / session).symlink_to(DATA / "sub-MS12" / session)
    (bids / "participants.tsv").write_text("participant_id\tage\nsub-MS12\t19\n")
    (bids / "sub-MS12/sub-MS12_sessions.tsv").write_text(
        "session_id\tacq_time\tedss\tedss_date\n"
        "ses-01\t1926-05-01T09:00:00\t2.0\t1926-06-01\n"
        "ses-02\t1927-05-01T09:00:00\t3.0\t1927-06-01\n"
    )
    written = yaml.safe_load((STUDIES / "stratification.yaml").read_text())
    study = {key: written[key] for key in ("label", "classes", "within_days", "sessions")}
    study["inputs"] = {"brain": written["inputs"]["brain"]}
    config = {
        "bids_dir": str(bids),
        "output_dir": str(results),
        "anatomical": {"template_resolution": 2, "registration": "affine"},
        "studies": {"ms": study},
    }
    finished("studies/ms/input-brain_volumes.npy", config=config, folder=tmp_path)
    index = read_table(results / "studies/ms/input-brain_volumes.tsv")
    assert index[["session_id", "label"]].to_numpy().tolist() == [
        ["ses-01", "mild"],
        ["ses-02", "severe"],
    ]
    volumes = np.load(results / "studies/ms/input-brain_volumes.npy").astype(np.float32)
    mask = nib.load(results / "studies/ms/input-brain_mask.nii.gz")
    first, second = volumes[:, :, np.asanyarray(mask.dataobj) > 0]
    np.testing.assert_allclose(first.mean(axis=1), 1, atol=0.1)
    for channel in range(2):  # one head in two positions
        assert np.corrcoef(first[channel], second[channel])[0, 1] > 0.9

    torch.manual_seed(0)
    network = with_classifier(build_encoder("coll2024", [4, 8], 2)).eval()
    (tmp_path / "frozen").mkdir()
    settings = {"encoder": "coll2024", "widths": [4, 8]}
    entry = check_config(config)["studies"]["ms"]["inputs"]["brain"]
    described = describe(settings, entry, study["classes"], ["sub-MS13"], mask)
    save_model(network, tmp_path / f"frozen/{NETWORK}.safetensors", described)
    config |= {"frozen_models": str(tmp_path / "frozen"), "frozen_label": study["label"]}
    finished("predict", config=config, folder=tmp_path)
    frozen = read_table(results / "predictions/sessions.tsv").sort_values("session_id")
    assert frozen["label"].tolist() == study["classes"]
    with torch.no_grad():
        logits = network(torch.from_numpy(volumes)).numpy()
    np.testing.assert_allclose(frozen["score"], logits[:, 1] - logits[:, 0], atol=0.02)
    metrics = read_table(results / "predictions/metrics.tsv")
    assert set(metrics["n"]) == {1}
