"""Six skull-stripped brains of 4 mm, which are quick to work on, as a BIDS dataset."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn.datasets import load_mni152_template

STUDY = {
    "label": "diagnosis",
    "classes": ["control", "patient"],
    "permutations": 10,
    "bootstraps": 50,
    "inputs": {"volumes": {"columns": ["tiv_ml"]}},
    "design": {
        "kind": "random_trials",
        "trials": 1,
        "train": {"control": 2, "patient": 2},
        "test": {"control": 1, "patient": 1},
        "repeat_minority": False,
    },
    "models": {
        "svm": {"kind": "svm", "inputs": ["volumes"]},
        "logistic": {"kind": "logistic", "inputs": ["volumes"]},
        "majority": {"kind": "majority"},
    },
    "evaluation": ["metrics", "permutation"],
}
# Of section anatomical: quick, and good enough for these brains.
QUICK = {"template_resolution": 2, "brain_extraction": "template", "registration": "affine"}
LABELS = ["control", "patient"] * 3


def participants(labels=LABELS) -> str:
    """Content of participants.tsv."""
    rows = [f"sub-{i}\t{30 + i}\t{label}" for i, label in enumerate(labels, 1)]
    return "\n".join(["participant_id\tage\tdiagnosis", *rows]) + "\n"


def small_brain() -> nib.Nifti1Image:
    image = load_mni152_template(4)
    data = np.where(image.get_fdata() > 0.1, image.get_fdata() * 1000, 0).astype(np.int16)
    return nib.Nifti1Image(data, image.affine)


def scaled(brain: nib.Nifti1Image, size: float) -> nib.Nifti1Image:
    return nib.Nifti1Image(brain.dataobj, np.diag([size, size, size, 1]) @ brain.affine)


def t1w(root: Path, number: int) -> Path:
    return root / f"sub-{number}/anat/sub-{number}_T1w.nii.gz"


def make_dataset(root: Path, brain: nib.Nifti1Image, size: int = 6) -> None:
    """Six participants, or the first of them, with brains that differ in size alone."""
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    (root / "participants.tsv").write_text(participants(LABELS[:size]))
    for number in range(1, size + 1):
        path = t1w(root, number)
        path.parent.mkdir(parents=True)
        nib.save(scaled(brain, 1 + 0.002 * number), path)


def configuration(bids: Path, **changes) -> dict:
    """Configuration of a study on the dataset, with results beside it."""
    config = {
        "bids_dir": str(bids),
        "output_dir": str(bids.parent / "results"),
        "anatomical": QUICK,
        "studies": {"study": STUDY},
    }
    return config | changes


def draw_thalami(folder: Path, prefix: str, size: float) -> None:
    """Masks of the rater anna in a derivatives folder: two balls, 8.5 mL each in a brain of size 1.

    Parameters
    ----------
    prefix : session's, with a label of its own
    size : of its brain, see `scaled`
    """
    grid = scaled(small_brain(), size)
    inside = np.zeros(grid.shape, bool)
    indices = np.moveaxis(np.indices(grid.shape), 0, -1)
    points = nib.affines.apply_affine(grid.affine, indices) / size
    for side in (-13, 13):
        inside |= np.linalg.norm(points - [side, -18, 8], axis=-1) < 12.7
    place = folder / prefix.replace("_", "/") / "anat"
    place.mkdir(parents=True)
    described = {"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    (folder / "dataset_description.json").write_text(json.dumps(described))
    image = nib.Nifti1Image(inside.astype(np.uint8), grid.affine)
    nib.save(image, place / f"{prefix}_label-Thalamus_desc-anna_mask.nii.gz")


SITES = "AABBAACC"
SCANNERS = "XXXYYYXY"  # without the people of site A two each, else three or more
TWICE, WITHOUT_T1W = {1, 2}, {3, 4}  # participants with a second session, and such a one


def person(number: int) -> dict:
    """Class, site, scanner and age of a participant of the cohort with two sessions."""
    return {
        "diagnosis": LABELS[(number - 1) % 2],
        "site": SITES[number - 1],
        "scanner": SCANNERS[number - 1],
        "age": 30 + 3 * number % 7,
    }


def size_of(number: int) -> float:
    """Of the brain of such a participant."""
    return 1 + 0.05 * (person(number)["diagnosis"] == "patient") + 0.002 * number


def make_sessions(root: Path, brain: nib.Nifti1Image) -> None:
    """Eight participants at three sites with T1w and FLAIR, some of them twice.

    Patients' brains are 5 % larger along each axis, and a bit larger in each participant, so
    that the volumes tell the classes apart. EDSS stands per session in sessions.tsv, and is at
    least 3.0 in patients and in the second session of sub-1, a control. In the second session of
    sub-2 it was assessed a year after the scan. Those of sub-3 and sub-4 have a FLAIR alone, and
    that of sub-4 no EDSS.
    """
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    rows = ["participant_id\tage\tdiagnosis\tsite\tscanner"]
    for number in range(1, len(SITES) + 1):
        who, name = person(number), f"sub-{number}"
        columns = ("age", "diagnosis", "site", "scanner")
        rows.append("\t".join([name, *(str(who[column]) for column in columns)]))
        ill = who["diagnosis"] == "patient"
        image = scaled(brain, size_of(number))
        dark = nib.Nifti1Image(1100 * (brain.get_fdata() > 0) - brain.get_fdata(), image.affine)
        edss = ["session_id\tacq_time\tedss\tedss_date"]
        for session in ("ses-01", "ses-02")[: 2 if number in TWICE | WITHOUT_T1W else 1]:
            folder, later = root / name / session / "anat", session == "ses-02"
            folder.mkdir(parents=True)
            if not (later and number in WITHOUT_T1W):
                nib.save(image, folder / f"{name}_{session}_T1w.nii.gz")
            nib.save(dark, folder / f"{name}_{session}_FLAIR.nii.gz")
            worse = ill or (number == 1 and later)
            year = 1926 + (number == 2 and later)
            score = "n/a" if number == 4 and later else 4.0 if worse else 1.5
            edss.append(f"{session}\t1926-05-01T09:00:00\t{score}\t{year}-06-01")
        (root / name / f"{name}_sessions.tsv").write_text("\n".join(edss) + "\n")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
