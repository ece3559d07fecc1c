"""EDSS of 3.0 and above by the lesions of real masks, as a study of the table models.

python benchmarks/lesions.py FOLDER

``FOLDER`` holds ``patientNN_lesions.nii.gz``, consensus masks of 30 people with multiple sclerosis
in MNI152, and ``patient_info.csv`` with age and EDSS (Lesjak et al. 2017,
10.1007/s12021-017-9348-7; github.com/muschellij2/open_ms_data). Volumes are those of
`measure_lesions` in the regions of the template, and thus relative to the size of the head.
Folds, logistic regression, metrics and permutations are those of a study with the defaults.
Printed are volumes by class, then AUC and balanced accuracy of each model in repeated folds, with
their 95 % limits, and p of as many refits with permuted labels.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nibabel as nib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from nilearn.datasets import (
    load_mni152_brain_mask,
    load_mni152_gm_template,
    load_mni152_wm_template,
)
from nilearn.image import resample_to_img

from workflow_scripts.anatomical.measure_lesions import lesion_volumes
from workflow_scripts.baselines.cases import build_cases
from workflow_scripts.baselines.fit_features import predict
from workflow_scripts.baselines.permute_features import permute
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.draw_splits import draw_splits
from workflow_scripts.common.atlas import atlas_regions, named_regions
from workflow_scripts.common.resources import resource
from workflow_scripts.statistics.permutation_test import compare_with_permutations
from workflow_scripts.statistics.split_metrics import evaluate

CLASSES, DISABLED = ["mild", "severe"], 3.0
TOTAL = "lesions_volume_ml"
PLACES = [f"lesions_{place}_volume_ml" for place in ("white_matter", "periventricular")]
PLACES += [f"lesions_{place}_volume_ml" for place in ("grey_matter", "brainstem", "thalamus")]
STUDY = {
    "label": {"column": "edss", "at_least": DISABLED},
    "classes": CLASSES,
    "inputs": {
        "age": {"columns": ["age"]},
        "total": {"columns": [TOTAL]},
        "places": {"columns": PLACES},
    },
    "design": {"kind": "folds", "folds": 5, "repeats": 5},
    "models": {
        "age": {"kind": "logistic", "inputs": ["age"]},
        "lesions": {"kind": "logistic", "inputs": ["total"]},
        "lesions+age": {"kind": "logistic", "inputs": ["total", "age"]},
        "places+age": {"kind": "logistic", "inputs": ["total", "places", "age"]},
    },
    "evaluation": ["metrics", "permutation"],
}
SEED, BOOTSTRAPS = 1, 2000


def template_regions(like: nib.Nifti1Image) -> tuple[np.ndarray, dict[str, int], float]:
    """Regions of MNI152 on the grid of an image, their indices, and the brain's volume in mL."""
    table = pd.read_csv(resource("regions.tsv"), sep="\t")
    index = dict(zip(table["region"], table["index"], strict=True))

    def there(image, interpolation="linear"):
        options = {"force_resample": True, "copy_header": True}
        return resample_to_img(image, like, interpolation, **options).get_fdata()

    grey, white = there(load_mni152_gm_template(1)), there(load_mni152_wm_template(1))
    atlas = atlas_regions(like, named_regions())
    tissue = np.where(white > grey, index["white_matter"], index["grey_matter"])
    regions = np.where(atlas > 0, atlas, np.where(grey + white > 0.5, tissue, 0))
    return regions, index, there(load_mni152_brain_mask(1), "nearest").sum() / 1000


def read_patients(folder: Path) -> pd.DataFrame:
    """Patients whose EDSS is known: label, age and volumes of lesions."""
    known = pd.read_csv(folder / "patient_info.csv").dropna(subset="edss")
    rows, regions = [], None
    for patient in known.itertuples():
        mask = nib.load(folder / f"patient{patient.patient_id:02d}_lesions.nii.gz")
        if regions is None:
            regions, index, brain_ml = template_regions(mask)
        zooms = mask.header.get_zooms()[:3]
        volumes = lesion_volumes(mask.get_fdata(dtype="f4"), regions, index, zooms, brain_ml)
        who = {"participant_id": f"sub-{patient.patient_id:02d}", "session_id": None}
        label = CLASSES[patient.edss >= DISABLED]
        rows.append(who | {"label": label, "external": "no", "age": patient.age} | volumes)
    return pd.DataFrame(rows)


def main(folder: Path, permutations: int, threads: int) -> None:
    patients = read_patients(folder)
    print(patients.groupby("label")[["age", TOTAL, *PLACES]].median().T.round(2).to_string())
    config = {"output_dir": "x", "anatomical": {}, "studies": {"lesions": STUDY}}
    study = check_config(config)["studies"]["lesions"]
    keys = ["participant_id", "session_id"]
    splits = draw_splits(patients[[*keys, "label", "external"]], study["design"], SEED, "lesions")
    columns = {name: entry["columns"] for name, entry in study["inputs"].items()}
    features = patients[[*keys, TOTAL, *PLACES]]
    cases = build_cases(splits, features, patients[[*keys, "age"]], columns, CLASSES, "lesions")
    predictions, refits = [], []
    for name, settings in study["models"].items():
        predictions.append(predict(cases, name, settings, CLASSES, SEED)[0])
        rows = Parallel(n_jobs=threads)(
            delayed(permute)(cases, settings, number, SEED) for number in range(1, permutations + 1)
        )
        refits += [row | {"model": name} for one in rows for row in one]
    metrics = evaluate(pd.concat(predictions, ignore_index=True), CLASSES, BOOTSTRAPS, SEED)
    tested = compare_with_permutations(metrics, pd.DataFrame(refits), pooled=True)
    overall = metrics[metrics["split"] == "all"].merge(tested, on=["model", "metric"])
    shown = ["model", "metric", "value", "ci_low", "ci_high", "p", "ci_method", "n"]
    print(overall[shown].round(3).to_string(index=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    main(asked.folder, asked.permutations, asked.threads)
