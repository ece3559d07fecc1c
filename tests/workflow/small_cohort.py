"""Six skull-stripped brains of 4 mm, which are quick to work on, as a BIDS dataset."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_template

STUDY = {
    "label": "diagnosis",
    "classes": ["control", "patient"],
    "design": {
        "trials": 1,
        "train": {"control": 2, "patient": 2},
        "test": {"control": 1, "patient": 1},
        "repeat_minority": False,
    },
    "features": ["gm_fraction"],
}
# Of section anatomical: quick, and good enough for these brains.
QUICK = {"template_resolution": 2, "brain_extraction": "template"}
LABELS = ["control", "patient"] * 3


def participants(labels=LABELS) -> str:
    """Content of participants.tsv."""
    rows = [f"sub-{i}\t{30 + i}\t{label}" for i, label in enumerate(labels, 1)]
    return "\n".join(["participant_id\tage\tdiagnosis", *rows]) + "\n"


def small_brain() -> nib.Nifti1Image:
    image = load_mni152_template(4)
    data = np.where(image.get_fdata() > 0.1, image.get_fdata() * 1000, 0).astype(np.int16)
    return nib.Nifti1Image(data, image.affine)


def t1w(root: Path, number: int) -> Path:
    return root / f"sub-{number}/anat/sub-{number}_T1w.nii.gz"


def make_dataset(root: Path, brain: nib.Nifti1Image) -> None:
    """Six participants with the same brain each."""
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    (root / "participants.tsv").write_text(participants())
    for number in range(1, 7):
        path = t1w(root, number)
        path.parent.mkdir(parents=True)
        nib.save(brain, path)


def configuration(bids: Path, **changes) -> dict:
    """Configuration of a study on the dataset, with results beside it."""
    config = {
        "bids_dir": str(bids),
        "output_dir": str(bids.parent / "results"),
        "anatomical": {"registration": "affine", "template_resolution": 2},
        "studies": {"study": STUDY},
    }
    return config | changes
