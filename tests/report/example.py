"""A small finished output folder, made up, for the tests of the report."""

import json
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd

from tests.report import contrastive, multimodal
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.compare_with_truth import summarise, with_error
from workflow_scripts.report.acquisition import TAKEN

# A black picture of 4 x 2 px.
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0e\x00\x00\x00/\x03@\x00\x00\x07\x10\x11\xfd\x0fDD\xff\x03"
CLASSES = ["controls", "patients"]
MODELS = {"svm": 0.1, "logistic": -0.2, "majority": 0.5, "one_class_svm": 0.0}  # thresholds
METRICS = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision"]
METRICS += ["precision_published", "auc"]
ROLES = np.repeat(["train", "test", "train", "test", "rest"], (4, 2, 3, 2, 1))
FEATURES = ["gm_fraction", "ventricles_volume_ml"]
CONFIG = {
    "output_dir": "results",
    "anatomical": {},
    "studies": {
        "example": {
            "label": "diagnosis",
            "classes": CLASSES,
            "permutations": 20,
            "bootstraps": 100,
            "inputs": {
                "brain": {"channels": ["T1w"], "downsample": 2},
                "volumes": {"columns": FEATURES},
            },
            "design": {
                "kind": "random_trials",
                "trials": 2,
                "train": {"controls": 4, "patients": 3},
                "test": {"controls": 2, "patients": 2},
            },
            "models": {
                "svm": {"kind": "svm", "inputs": ["volumes"]},
                "logistic": {"kind": "logistic", "inputs": ["volumes"]},
                "majority": {"kind": "majority"},
                "one_class_svm": {"kind": "one_class_svm", "inputs": ["brain"], "nu": 0.5},
                **contrastive.MODELS,
            },
            "evaluation": {
                "metrics": None,
                "permutation": None,
                "repeated_measures": {"models": contrastive.STRATEGIES},
                "gradcam": None,
                "fractions": None,
                "regions": None,
                "published": {"tables": "inglese2022"},
            },
        },
        "multimodal": multimodal.STUDY,
    },
    "report": {"title": "Example cohort"},
}
CONFIG = check_config(CONFIG) | {"exclusions": None}
NAMES = [f"sub-{number:02d}" for number in range(1, 13)]
# Which of the twelve sessions have what.
WITH = {"T1w": range(1, 12), "dwi": [*range(1, 10), 12], "vesselwall": range(1, 7)}
FIGURES = [
    "figure-qc-measures",
    *(f"figure-qc-sub-{number:02d}-{kind}" for kind in WITH for number in WITH[kind]),
    *(f"figure-example-{name}" for name in ("flow", "features", "roc", "scores")),
    *(f"figure-multimodal-{name}" for name in ("flow", "groups", "correlations", "roc", "scores")),
    *(f"figure-multimodal-{name}" for name in ("calibration", "decision", "coefficients")),
    *(f"figure-truth-{name}" for name in ("volumes", "alps", "vessels")),
]
SIDECARS = {
    "T1w": {
        "desc-preproc_T1w": {"BrainExtraction": "deepbet", "BiasCorrection": "N4"},
        "space-MNI152NLin2009aSym_desc-preproc_T1w": {"Registration": "ANTs affine, then SyN"},
        "dseg": {
            "TissueSegmentation": "atropos",
            "PartialVolumes": True,
            "Labels": "atlas",
            "LesionsFilled": False,
        },
    },
    "dwi": {
        "desc-preproc_dwi": {
            "Denoising": "mppca",
            "GibbsRemoval": "none",
            "MotionCorrection": "affine",
            "DistortionCorrection": "pyhysco, with sub-x_dir-PA_epi.nii.gz",
        },
        "model-tensor_dwimap": {"GradientTable": "as given"},
        "from-dwi_to-T1w_xfm": {},
        "alps": {},
    },
    "vesselwall": {"vesselwall": {"Vessels": {"MCA_L": "binary", "MCA_R": "automatic"}}},
}


def write(table: pd.DataFrame, path, wing: str) -> str:
    columns = {
        "cohort": resource("columns/cohort.tsv"),
        "statistics": resource("columns/statistics.tsv"),
        "baselines": resource("columns/baselines.tsv"),
        "demo": resource("columns/demo.tsv"),
        "learning": resource("columns/learning.tsv"),
        "report": resource("columns/report.tsv"),
    }
    write_table(table, path, columns[wing])
    return str(path)


def phantom(folder, zooms=(2.0, 2.0, 2.0), codes="RAS"):
    """Images of a head whose right half is brighter, as the inputs of draw_qc.

    The brain is an ellipsoid of 140 x 170 x 120 mm in a field of 200 mm; its
    front third is 1.5 times as bright as the rest, the right half twice the left.
    """
    zooms = np.array(zooms)
    shape = np.round(200 / zooms).astype(int)
    mm = [(np.arange(n) - (n - 1) / 2) * z for n, z in zip(shape, zooms, strict=True)]
    x, y, z = np.meshgrid(*mm, indexing="ij")
    radius = np.sqrt((x / 70) ** 2 + (y / 85) ** 2 + (z / 60) ** 2)
    brain = radius < 1
    t1w = 100.0 * np.where(x > 0, 2, 1) * np.where(y > 30, 1.5, 1)
    t1w = np.select([brain, radius < 1.6], [t1w, 80.0], 0)
    tissues = np.select([radius < 0.2, radius < 0.8, brain], [1, 3, 2], 0)
    regions = np.select([radius < 0.2, radius < 0.4, brain], [4, 6, 2], 0)
    affine = np.diag([*zooms, 1.0])
    affine[:3, 3] = [axis[0] for axis in mm]
    arrays = {"t1w": t1w, "mask": brain, "tissues": tissues, "regions": regions}
    arrays |= {"normalized": t1w, "template_mask": brain, "template_wm": radius < 0.8}
    paths = {}
    for name, array in arrays.items():
        image = nib.Nifti1Image(array.astype(np.float32), affine)
        target = nib.orientations.axcodes2ornt(tuple(codes))
        image = image.as_reoriented(
            nib.orientations.ornt_transform(nib.io_orientation(affine), target)
        )
        paths[name] = str(folder / f"{name}.nii.gz")
        nib.save(image, paths[name])
    return SimpleNamespace(**paths, before=[])


def cohort_features(ids, rng) -> pd.DataFrame:
    number = np.arange(1, 13)
    columns = {
        "T1w": {
            "gm_fraction": rng.normal(0.4, 0.02, 12),
            "wm_fraction": rng.normal(0.34, 0.02, 12),
            "csf_fraction": rng.normal(0.26, 0.02, 12),
            "tiv_ml": rng.normal(1400, 80, 12),
            "brain_mask_volume_ml": rng.normal(1400, 80, 12),
            "template_correlation": rng.normal(0.7, 0.02, 12),
            "gm_volume_ml": rng.normal(560, 30, 12),
            "wm_volume_ml": rng.normal(480, 30, 12),
            "ventricles_volume_ml": rng.normal(20, 4, 12) + 10 * (number > 7),
        },
        "dwi": {
            "alps": rng.normal(1.5, 0.1, 12),
            "dwi_snr": rng.normal(30, 3, 12),
            "dwi_outlier_slices": rng.integers(0, 3, 12),
        },
        "vesselwall": {"nwi": rng.normal(0.5, 0.03, 12), "lumen_area_mm2": rng.normal(6, 0.3, 12)},
    }
    return ids.assign(
        **{
            name: np.where(np.isin(number, list(WITH[kind])), values, np.nan)
            for kind, group in columns.items()
            for name, values in group.items()
        }
    )


def cohort(folder, picture: bytes) -> SimpleNamespace:
    """Inputs of write_report for 12 sessions without a study, in ``folder``."""
    ids = pd.DataFrame({"participant_id": NAMES, "session_id": np.nan})
    status = ids.assign(
        suffix="T1w", status="AVAILABLE", reason=None, note=None, voxel_size_mm="1x1x1"
    )
    status.loc[2, "note"] = "age 3 years: templates are those of adults"
    status["manufacturer"] = ["Siemens"] * 5 + ["Philips"] * 7
    status["echo_time_s"] = [0.003] * 11 + [None]
    status = status.reindex(columns=list(dict.fromkeys([*status, *TAKEN])))
    left_out = pd.DataFrame(
        {
            "participant_id": ["sub-13", "sub-14"],
            "suffix": "T1w",
            "status": ["EXCLUDED", "MISSING"],
            "reason": ["motion", "no T1w in the dataset"],
        }
    )
    features = cohort_features(ids, np.random.default_rng(0))
    outliers = ids.iloc[[4]].assign(
        measure="tiv_ml", level="unusable", common="no", value=2400.0, median=1400.0,
        robust_z=8.1, low=734.0, high=1979.0, reason="implausible",
    )  # fmt: skip
    source = SimpleNamespace(
        scans=write(pd.concat([status, left_out]), folder / "cohort/scans.tsv", "cohort"),
        features=write(features, folder / "cohort/features.tsv", "cohort"),
        outliers=write(outliers, folder / "cohort/outliers.tsv", "report"),
        studies=[],
        pictures=[],
        ratings=[],
        sites=[],
        sidecars=str(folder / "cohort/sidecars.json"),
        recovered=[],
        gradcam=[],
        gradcam_truth=[],
        models=[],
        segmentation=[],
        engine_pictures=[],
        viewers=[],
    )
    software = {"antspyx": "0.6.1", "deepbet": "9.8.7", "dipy": "1.12.0"}
    sidecars = {}
    for kind, numbers in WITH.items():
        for name in [NAMES[number - 1] for number in numbers]:
            path = folder / name / "figures" / f"{name}_desc-qc_{kind}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture)
            source.pictures.append(str(path))
            for suffix, fields in SIDECARS[kind].items():
                sidecars[f"{name}/{name}_{suffix}.json"] = {**fields, "Software": software}
    Path(source.sidecars).write_text(json.dumps(sidecars))
    return source


def example(folder, picture: bytes) -> SimpleNamespace:
    """All inputs of write_report for the cohort, two studies and the truth, in ``folder``."""
    source, rng = cohort(folder, picture), np.random.default_rng(0)
    ids = pd.DataFrame({"participant_id": NAMES, "session_id": np.nan})
    features = cohort_features(ids, rng)
    source.studies = study_tables(folder / "studies/example", ids, features, rng)
    source.recovered = truth_tables(folder / "demo", NAMES, rng)
    for name, content in multimodal.fitted().items():
        path = folder / f"studies/multimodal/models/model-{name}_models.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        source.models.append(str(path))
    for model in contrastive.STRATEGIES:
        path = folder / f"studies/example/gradcam/model-{model}_gradcam.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        source.gradcam.append(str(path))
        table = path.with_name(f"model-{model}_regions.tsv")
        source.studies.append(write(contrastive.regions(CLASSES), table, "learning"))
        table = path.with_name(f"model-{model}_agreement.tsv")
        source.studies.append(write(contrastive.agreement(CLASSES), table, "learning"))
    for name, (wing, table) in multimodal.tables().items():
        source.studies.append(write(table, folder / f"studies/multimodal/{name}.tsv", wing))
    for name, table in contrastive.published().items():
        source.studies.append(write(table, folder / f"published/{name}.tsv", "statistics"))
    return source


def study_tables(folder, ids, features, rng) -> list[str]:
    label = np.where(np.arange(12) > 6, *CLASSES[::-1])
    people = ids.assign(label=label)
    splits = pd.concat([people.assign(split=t, role=np.roll(ROLES, t), weight=1) for t in (1, 2)])
    scored = pd.concat(
        [
            people.assign(
                model=m,
                split=t,
                repeat=1,
                role="test",
                score=rng.normal(0, 1, 12) + (label == "patients"),
                threshold=threshold,
                probability=np.nan,
                predicted=label,
            )
            for m, threshold in MODELS.items()
            for t in (1, 2)
        ]
    )
    compared = {
        "negative_class": CLASSES[0], "positive_class": CLASSES[1], "n_negative": 7,
        "n_positive": 5, "mean_negative": 0.4, "sd_negative": 0.02, "mean_positive": 0.38,
        "sd_positive": 0.03, "p": 0.0004, "p_bonferroni": 0.0024, "difference": -0.02,
        "difference_low": -0.05, "difference_high": 0.01, "hedges_g": -0.8,
        "hedges_g_low": -1.9, "hedges_g_high": 0.3,
    }  # fmt: skip
    measured = {
        "value": 0.75, "sd": 0.1, "ci_low": 0.5, "ci_high": 0.9, "ci_method": "Wilson", "n": 12,
        "n_splits": 2, "tn": 5, "fp": 2, "fn": 1, "tp": 4,
    }  # fmt: skip
    tested = {
        "observed": 0.75, "null_mean": 0.5, "null_low": 0.3, "null_high": 0.7, "p": 0.0476,
        "p_holm": 0.0952, "refitted": "yes", "n_permutations": 20,
    }  # fmt: skip
    tables = {
        "flow": [
            {"stage": "screened", "n": 14, "sessions": None},
            {"stage": "excluded", "reason": "motion", "n": 1},
            {"stage": "missing data", "reason": "T1w MISSING", "n": 1},
            {"stage": "analysed", "n": 12},
        ],
        "table1": [
            {"variable": "class", "class_1": CLASSES[0], "class_2": CLASSES[1]},
            {"variable": "n", "overall": 12, "class_1": 7, "class_2": 5},
            {"variable": "age", "level": None, "missing": 0, "overall": "40.1 (9.0)",
             "class_1": "39.2 (9.9)", "class_2": "41.3 (8.1)", "p": 0.6543, "test": "t-test"},
        ],
        "sides": contrastive.sides(),
        "fractions": [
            {"split": t, "measure": m, **compared}
            for t in ("1", "2", "all")
            for m in ("gm_fraction", "wm_fraction", "csf_fraction")
        ],
        "regions": [{"split": "all", "measure": "ventricles_fraction", **compared}],
        "metrics": [
            {"model": m, "estimate": "test", "split": t, "metric": k, **measured}
            for m in MODELS
            for t in ("1", "2", "all")
            for k in METRICS
        ],
        "permutation_test": [
            {"model": m, "metric": k, **tested}
            for m in ("svm", "logistic")
            for k in ("balanced_accuracy", "auc")
        ],
    }  # fmt: skip
    learned = contrastive.tables(CLASSES)
    tables["metrics"] += learned["metrics"].to_dict("records")
    tables["strategies"] = learned["strategies"]
    paths = [
        write(pd.DataFrame(rows), folder / f"{name}.tsv", "statistics")
        for name, rows in tables.items()
    ]
    return [
        *paths,
        write(features, folder / "features.tsv", "cohort"),
        write(nu_shares(), folder / "models/model-one_class_svm_desc-nu_shares.tsv", "baselines"),
        write(people.assign(external="no"), folder / "split-1_population.tsv", "cohort"),
        write(splits, folder / "split-1_splits.tsv", "cohort"),
        write(
            pd.concat([scored, contrastive.predictions(CLASSES)]),
            folder / "predictions.tsv",
            "statistics",
        ),
    ]


def nu_shares() -> pd.DataFrame:
    """Shares outside of two trials and their means, at the model's nu and another."""
    shares = {"n_trained": 4, "n_negative": 2, "n_positive": 2, "negative_outside": 0.75}
    return pd.DataFrame(
        {"model": "one_class_svm", "split": split, "nu": nu, "trained_outside": nu / 2,
         "support_vectors": 0.8, "positive_outside": 1.0} | shares
        for split in ("1", "2", "all") for nu in (0.1, 0.5)
    )  # fmt: skip


def truth_tables(folder, names, rng) -> list[str]:
    true = {
        "gm_volume_ml": (600.0, 30), "wm_volume_ml": (500.0, 25), "brain_mask_dice": (1.0, 0),
        "alps": (1.5, 0.1), "nwi": (0.5, 0.03), "lumen_area_mm2": (6.0, 0.3),
    }  # fmt: skip
    rows = []
    for name in names:
        for measure, (mean, sd) in true.items():
            value = rng.normal(mean, sd)
            rows.append((name, measure, value, value * rng.uniform(0.96, 1.0)))
            if measure == "alps":
                rows.append((name, "alps_native_unrotated", value, value * rng.uniform(0.7, 1.0)))
    table = pd.DataFrame(rows, columns=["participant_id", "measure", "true", "recovered"])
    table = with_error(table)
    return [
        write(table, folder / "recovered.tsv", "demo"),
        write(summarise(table), folder / "recovered_summary.tsv", "demo"),
    ]
