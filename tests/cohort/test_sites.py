"""Sites of sessions: a declared column, or the scanner that sidecars name."""

import json
from pathlib import Path

import pytest

from tests.cohort.test_population import cohort, inside, scan
from workflow_scripts.cohort.clinical import add_scanners, columns_of_study
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.population import clinical_of_population
from workflow_scripts.common.job import InputError

STUDY = {
    "label": "dx",
    "classes": ["a", "b"],
    "inputs": {"mri": {"columns": ["alps"]}, "clinical": {"columns": ["age"]}},
    "design": {"kind": "folds"},
    "models": {"line": {"kind": "logistic", "inputs": ["mri"]}},
}


def checked(**study):
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": STUDY | study}}
    return check_config(config)["studies"]["s"]


def test_the_site_of_leave_site_out_is_the_study_s():
    study = checked(design={"kind": "leave_site_out", "column": "centre"})
    assert study["site"] == "centre" and columns_of_study(study).count("centre") == 1
    own = checked(site="scanner", design={"kind": "leave_site_out", "column": "centre"})
    assert own["site"] == "scanner" and {"scanner", "centre"} <= set(columns_of_study(own))
    assert "site" not in checked()


def test_the_site_stands_beside_the_clinical_columns():
    everyone = cohort(["a"], [scan("sub-1", "ses-1")], age=["40"], centre=["B"])
    rows = clinical_of_population(everyone, [inside("sub-1", "ses-1", "a")], ["age"], "centre")
    assert rows == [
        {"participant_id": "sub-1", "session_id": "ses-1", "age": "40", "session_site": "B"}
    ]


@pytest.fixture
def dataset(tmp_path):
    """Index of three sessions: two scanners in one, the root's sidecar, and none."""
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "task-x_T1w.json").write_text("{}")
    fields = {"Manufacturer": "Siemens ", "ManufacturersModelName": "Prisma"}
    index = []
    for who, suffix, said in (
        ("sub-1", "T1w", fields | {"MagneticFieldStrength": 3}),
        ("sub-1", "dwi", {"Manufacturer": "GE", "MagneticFieldStrength": 1.5}),
        ("sub-2", "T1w", fields | {"MagneticFieldStrength": 3.0}),
        ("sub-3", "T1w", {}),
    ):
        image = tmp_path / who / "anat" / f"{who}_{suffix}.nii.gz"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.with_name(f"{who}_{suffix}.json").write_text(json.dumps(said))
        index.append(scan(who, None, suffix) | {"path": str(image)})
    return index


def test_scanners_are_read_from_the_sidecars(dataset):
    rows = [{"participant_id": f"sub-{i}", "session_id": None} for i in (1, 2, 3, 4)]
    add_scanners(rows, dataset, {"s": checked()})
    assert "sidecars" not in rows[0]
    add_scanners(rows, dataset, {"s": checked(site="sidecars")})
    assert [row["sidecars"] for row in rows] == [
        "GE 1.5 T and Siemens Prisma 3 T", "Siemens Prisma 3 T", None, None
    ]  # fmt: skip
    assert "sidecars" not in columns_of_study(checked(site="sidecars"))


@pytest.mark.parametrize(
    "said",
    [
        {"Manufacturer": "SIEMENS", "ManufacturersModelName": "prisma", "MagneticFieldStrength": 3},
        {
            "Manufacturer": "Siemens",
            "ManufacturersModelName": "Prisma ",
            "MagneticFieldStrength": "3",
        },
        {"ManufacturersModelName": "Prisma", "MagneticFieldStrength": "3T"},
        {"Manufacturer": "Siemens", "MagneticFieldStrength": float("nan")},
        {"ManufacturersModelName": "Prisma_fit", "MagneticFieldStrength": 2.89362},
        {"ManufacturersModelName": "MAGNETOM Prisma Fit", "MagneticFieldStrength": "2.89 T"},
        {"Manufacturer": "Siemens Healthineers", "MagneticFieldStrength": 30000},
        {"Manufacturer": "SIEMENS_MEDICAL", "MagneticFieldStrength": 3000},
    ],
)
def test_capitals_and_sidecars_that_say_less_make_no_other_scanner(dataset, said):
    image = Path(dataset[2]["path"])
    more = image.with_name("sub-2_FLAIR.nii.gz")
    more.with_name("sub-2_FLAIR.json").write_text(json.dumps(said))
    index = [*dataset, scan("sub-2", None, "FLAIR") | {"path": str(more)}]
    rows = [{"participant_id": "sub-2", "session_id": None}]
    add_scanners(rows, index, {"s": checked(site="sidecars")})
    assert rows[0]["sidecars"] == "Siemens Prisma 3 T"


@pytest.mark.parametrize(
    ("said", "site"),
    [
        ({"ManufacturersModelName": "Prisma", "MagneticFieldStrength": 7}, "Siemens Prisma 7 T"),
        ({"MagneticFieldStrength": 6.98}, "Siemens 7 T"),
        ({"MagneticFieldStrength": 1.494}, "Siemens 1.5 T"),
        ({"MagneticFieldStrength": 2.3}, "Siemens 2.3 T"),
        ({"ManufacturersModelName": "Skyra", "MagneticFieldStrength": 3}, "Siemens Skyra 3 T"),
        (
            {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturersModelName": "Prisma"},
            "GE Prisma",
        ),
        ({"ManufacturersModelName": "Retrofit"}, "Siemens Retrofit"),
    ],
)
def test_other_models_companies_and_fields_are_other_scanners(dataset, said, site):
    sidecar = Path(dataset[2]["path"].replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"Manufacturer": "Siemens"} | said))
    rows = [{"participant_id": f"sub-{i}", "session_id": None} for i in (1, 2)]
    add_scanners(rows, dataset, {"s": checked(site="sidecars")})
    assert "Siemens Prisma 3 T" in rows[0]["sidecars"] and rows[1]["sidecars"] == site


def test_sidecars_without_a_scanner_are_refused(dataset):
    rows = [{"participant_id": "sub-3", "session_id": None}]
    with pytest.raises(InputError, match=r"studies.s.site: no sidecar .* Manufacturer, "):
        add_scanners(rows, dataset[3:], {"s": checked(site="sidecars")})


def test_confounds_are_a_model_of_their_own_before_the_others():
    study = checked(confounds=["age", "sex"])
    assert list(study["models"]) == ["confounds", "line"]
    own = study["models"]["confounds"]
    assert (own["kind"], own["missing"], own["inputs"]) == ("logistic", "impute", ["confounds"])
    assert study["inputs"]["confounds"]["columns"] == ["age", "sex"]
    assert {"age", "sex"} <= set(columns_of_study(study))
    alone = checked(confounds=["age"], models={})
    assert list(alone["models"]) == ["confounds"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confounds": ["age"], "inputs": {"confounds": {"columns": ["sex"]}}},
         "s.inputs.confounds: is the name of what studies.s.confounds makes"),
        ({"models": {"m": {"kind": "svm", "inputs": ["mri"], "harmonize": True}}},
         "studies.s.models.m.harmonize: needs the site of each session"),
        ({"evaluation": ["sites"]}, "evaluation.sites: needs the site"),
        ({"models": {"m": {"kind": "majority"}}, "evaluation": ["missing"]},
         "evaluation.missing: is of models that read tables"),
        ({"evaluation": {"reliability": {"features": ["alps"]}}},
         "evaluation.reliability: compares sessions; set sessions of the study to all"),
        ({"evaluation": {"reliability": {"features": ["nwi", "csf_fraction"]}}},
         "evaluation.reliability: compares sessions; set sessions of the study to all"),
        ({"evaluation": {"optimism": {}, "added_value": {"model": "line", "base": "x"}}},
         "evaluation.added_value.base: x is no logistic model"),
        ({"evaluation": {"optimism": {}, "added_value": {"model": "line", "base": "line"}}},
         "evaluation.added_value: line must read all inputs of line"),
        ({"evaluation": {"added_value": {"model": "line", "base": "line"}}},
         "added_value: needs studies.s.evaluation.optimism"),
        ({"site": "centre", "models": {
            "a": {"kind": "logistic", "inputs": ["clinical"]},
            "b": {"like": "a", "inputs": ["clinical", "mri"], "harmonize": True},
            "c": {"like": "a", "inputs": ["clinical", "mri"], "missing": "impute"}},
          "evaluation": {"optimism": {}, "added_value": {"model": "b", "base": "a"}}},
         "added_value.model: b harmonizes.*name a model that does not"),
    ],
)  # fmt: skip
def test_contradictions_are_named(change, message):
    with pytest.raises(InputError, match=message):
        checked(**change)
