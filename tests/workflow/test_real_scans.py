"""Real scans through the anatomical wing, where a folder with them is named."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.workflow.snake import said, snakemake
from workflow_scripts.common.tables import read_table

DATA = Path(os.environ.get("NEUROIMMUNE_MRI_TEST_DATA", "/nonexistent")) / "real-mini"


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


@pytest.mark.full
@pytest.mark.skipif(
    not DATA.is_dir(), reason="NEUROIMMUNE_MRI_TEST_DATA names no folder with real-mini"
)
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
