import copy
import re

import pytest
import yaml

from tests.conftest import ROOT
from workflow_scripts.cohort.config import (
    OLD_KEYS,
    check_config,
    clinical_columns,
    image_inputs,
    load_schema,
    models_of,
)
from workflow_scripts.common.job import InputError

CONTRASTIVE, MULTIMODAL = "npsle_contrastive", "npsle_multimodal"


@pytest.fixture(scope="module")
def demo():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def config(demo):
    return copy.deepcopy(demo)


STUDY = """
label: dx
classes: [a, b]
other_labels: [c]
inputs:
  brain: {channels: [T1w, FLAIR]}
  wrist: {channels: [STIR], space: native, spacing: [0.6, 0.6, 3.3], shape: [64, 64, 16]}
  table: {columns: [age, gm_fraction]}
design: {kind: folds}
models:
  net: {kind: cnn, inputs: [brain]}
  linear: {kind: logistic, inputs: [table]}
evaluation: [metrics]
"""


@pytest.fixture
def small():
    """A configuration of one study, ``s``, with a contrast of a name of its own."""
    return {
        "output_dir": "out",
        "anatomical": {},
        "scans": {"R1map": {}, "STIR": {"suffix": "T2w", "acq": "stir"}},
        "studies": {"s": yaml.safe_load(STUDY)},
    }


def put(target, keys, value):
    *path, last = keys.split(".")
    for key in path:
        target = target[key]
    target[last] = value


def test_demo_config_is_valid_and_gets_defaults(config):
    del config["report"], config["anatomical"]["registration"]
    checked = check_config(config)
    assert checked["report"]["qc_subjects"] == 200
    assert checked["anatomical"]["registration"] == "syn"


def test_checking_leaves_the_given_config_alone(config, small):
    for given in (config, small):
        before = copy.deepcopy(given)
        check_config(given)
        assert given == before


def test_a_checked_configuration_is_valid_and_stays_as_it_is(config, small):
    for given in (config, small):
        checked = check_config(given)
        assert check_config(copy.deepcopy(checked)) == checked


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("colour", 1, r"unknown key colour; known keys: .*bids_dir"),
        ("anatomical.registraton", "syn", r"anatomical: unknown key registraton"),
        ("anatomical.registration", "spm", r"anatomical.registration: 'spm' is not one of"),
        ("anatomical.template_resolution", "2", r"anatomical.template_resolution"),
        ("output_dir", 3, r"output_dir: 3 is not of type 'string'; expected: Folder"),
        ("studies.npsle_contrastive.permutations", "many", r"permutations: 'many'"),
        ("studies.npsle_contrastive.classes", ["a"], r"npsle_contrastive.classes"),
        ("studies.../x", {}, r"'../x' does not match"),
        ("studies.npsle_contrastive.classes", ["SLE", "NPSLE"], r"design.train: has the"),
        ("studies.npsle_contrastive.classes", ["a", "b", "c"], r"models take two classes.*are 3"),
        ("studies.npsle_multimodal.design.classes", ["SLE", "NPSLE"], r"'SLE'\] is not"),
        (
            "studies.npsle_multimodal.evaluation.correlations.method",
            "kendall",
            r"'kendall' is not",
        ),
        ("diffusion.denoise", True, r"diffusion.denoise: True is not one of"),
    ],
)
def test_errors_name_the_key(config, keys, value, message):
    if keys == "studies.../x":
        config["studies"]["../x"] = value
    else:
        put(config, keys, value)
    with pytest.raises(InputError, match=message):
        check_config(config)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("classes", ["01", 2], r"studies.s.classes.1: 2 is not of type 'string'"),
        ("label", {"column": "edss"}, r"studies.s.label: .*edss"),
        ("sessions", "second", r"studies.s.sessions: 'second' does not match"),
        ("external", {"column": "site"}, r"studies.s.external: 'values' is a required"),
        ("design.kind", "bootstrap", r"studies.s.design: kind 'bootstrap' is none of random_tri"),
        ("design.kind", ["folds"], r"studies.s.design: kind \['folds'\] is none of"),
        ("design", {"folds": 3}, r"studies.s.design: 'kind' is a required"),
        ("design.trials", 3, r"studies.s.design: unknown key trials; known keys: .*folds"),
        ("models.net.kind", "unet", r"studies.s.models.net: kind 'unet' is none of contrastive"),
        ("models.net.penalties", [1], r"studies.s.models.net: unknown key penalties; known"),
        ("models.linear.epochs", 3, r"studies.s.models.linear: unknown key epochs"),
        ("models.net.augmentation", "spin", r"studies.s.models.net.augmentation: 'spin'"),
        ("models.net/2", {}, r"'net/2' does not match"),
        ("inputs.brain.shape", [4, 8, 8], r"studies.s.inputs.brain.shape.0: 4 is less"),
        ("inputs.brain.space", "T1w", r"studies.s.inputs.brain.space: 'T1w' is not one"),
        ("evaluation", ["metric"], r"studies.s.evaluation: unknown key metric; known"),
        ("evaluation", [{"groups": {}}], r"evaluation: .*not of type .object.*A list of"),
        ("evaluation", "metrics", r"studies.s.evaluation: 'metrics' is not of type"),
        ("evaluation.gradcam", {"thresholds": [2]}, r"evaluation.gradcam.thresholds.0: 2 is"),
        ("evaluation.published", {}, r"evaluation.published: 'tables' is a required"),
    ],
)
def test_errors_of_a_kind_name_the_key(small, keys, value, message):
    small["studies"]["s"]["evaluation"] = {"metrics": {}}
    put(small["studies"]["s"], keys, value)
    with pytest.raises(InputError, match=message):
        check_config(small)


@pytest.mark.parametrize("study", [None, "x", 3, ["a"]])
def test_a_study_that_is_none_is_named(small, study):
    small["studies"]["s"] = study
    with pytest.raises(InputError, match=r"studies.s: .*is not of type 'object'"):
        check_config(small)
    small["studies"] = study
    with pytest.raises(InputError, match=r"studies: .*is not of type 'object'"):
        check_config(small)


def test_all_errors_at_once(config):
    config["colour"] = 1
    config["output_dir"] = 3
    del config["studies"][CONTRASTIVE]["label"]
    with pytest.raises(InputError) as error:
        check_config(config)
    for part in ("colour", "output_dir", "'label' is a required property"):
        assert part in str(error.value)


NATIVE = "studies.s.inputs.wrist"
# What is changed of the small study, and what is said: each contradiction that can be written.
CONTRADICTIONS = {
    "a class left out and analysed": (
        {"other_labels": ["b"]},
        r"studies.s.other_labels: \['b'\] also stands in classes; remove it",
    ),
    "a threshold of three classes": (
        {
            "label": {"column": "edss", "at_least": 3},
            "classes": ["a", "b", "d"],
            "design.classes": ["a", "b"],
        },
        r"studies.s.classes: a threshold makes two classes, these are 3",
    ),
    "classes of the design": (
        {"design.classes": ["a", "x"]},
        r"studies.s.design.classes: \['x'\] is not in studies.s.classes \['a', 'b'\]",
    ),
    "classes of the correlations": (
        {"evaluation": {"correlations": {"features": ["x"], "clinical": ["y"], "classes": ["x"]}}},
        r"studies.s.evaluation.correlations.classes: \['x'\] is not in studies.s.classes",
    ),
    "change over time of first sessions": (
        {"evaluation": {"longitudinal": {"features": ["x"], "outcome": "y"}}},
        r"studies.s.evaluation.longitudinal: compares sessions; set sessions of the study to all",
    ),
    "a contrast without a name": (
        {"inputs.brain.channels": ["T1w", "T2w"]},
        r"studies.s: needs the scan T2w, which scans does not name \(.*R1map.*add scans.T2w",
    ),
    "a required scan without a name": (
        {"requires": ["PDw"]},
        r"studies.s: needs the scan PDw, which scans does not name",
    ),
    "a model that reads its label": (
        {"inputs.table.columns": ["age", "dx"]},
        r"studies.s.inputs.table.columns: dx is the label itself, .* take it out",
    ),
    "a model that reads the number of its threshold": (
        {"label": {"column": "age", "at_least": 40}},
        r"studies.s.inputs.table.columns: age is the label itself",
    ),
    "models without a design": (
        {"design": None},
        r"studies.s.design: missing; models are tested on the splits that it draws",
    ),
    "three classes for models": (
        {"classes": ["a", "b", "d"]},
        r"studies.s.design.classes: models take two classes, these are 3; name the two",
    ),
    "trials of other classes": (
        {
            "design": {
                "kind": "random_trials",
                "trials": 1,
                "train": {"a": 2, "b": 2},
                "test": {"a": 1},
            }
        },
        r"studies.s.design.test: has the classes \['a'\], the design \['a', 'b'\]; name the same",
    ),
    "two folds and one for validation": (
        {"design": {"kind": "folds", "folds": 2, "validation": True}},
        r"studies.s.design.folds: a fold for validation leaves none to train on; raise it to 3",
    ),
    "a holdout of everybody": (
        {"design": {"kind": "holdout", "test": 0.5, "validation": 0.5}},
        r"studies.s.design: test and validation leave nobody to train on; lower one",
    ),
    "an input of two kinds": (
        {"inputs.brain.columns": ["age"]},
        r"inputs.brain: is either columns of tables, channels of an image or radiomics",
    ),
    "an input of no kind": (
        {"inputs.other": {"downsample": 2}},
        r"studies.s.inputs.other: is either columns of tables, channels of an image or radiomics",
    ),
    "a table with a shape": (
        {"inputs.table.shape": [8, 8, 8], "inputs.table.spacing": [1, 1, 1]},
        r"studies.s.inputs.table: shape, spacing is of images; remove it",
    ),
    "a channel that is no image": (
        {"inputs.brain.channels": ["T1w", "dwi"]},
        r"studies.s.inputs.brain.channels: dwi is no contrast of an image",
    ),
    "a native input without a shape": (
        {"inputs.wrist": {"channels": ["STIR"], "space": "native", "spacing": [1, 1, 1]}},
        rf"{NATIVE}: a native input needs spacing \(mm\) and shape \(voxels\); give both",
    ),
    "a native region": (
        {"inputs.wrist.region": "brainstem"},
        rf"{NATIVE}.region: regions are of MNI152; leave it out",
    ),
    "a native input that is downsampled": (
        {"inputs.wrist.downsample": 2},
        rf"{NATIVE}.downsample: a native input has its spacing; leave it out",
    ),
    "an unknown region": (
        {"inputs.brain.region": "brainstem+wrist"},
        r"inputs.brain.region: wrist is none of brain, white_matter, .*thalamus, .*; correct it",
    ),
    "an ensemble of a model that is not there": (
        {"models.both": {"kind": "ensemble", "of": ["net", "x"]}},
        r"studies.s.models.both.of: x is no other model of the study or an ensemble itself",
    ),
    "a stack of what is no network": (
        {
            "models.svm": {"kind": "svm", "inputs": ["table"]},
            "models.both": {"kind": "stack", "of": ["net", "svm"]},
        },
        r"studies.s.models.both.of: svm is no network of the study and no stack",
    ),
    "a stack of itself": (
        {"models.both": {"kind": "stack", "of": ["net", "both"]}},
        r"studies.s.models.both.of: both is no network of the study and no stack",
    ),
    "a region that is not segmented": (
        {"inputs.wrist.segmented": {"region": "thalamus", "engine": "atlas"}},
        rf"{NATIVE}.segmented: segmentation has no engine atlas of thalamus; correct it",
    ),
    "a segmented region in MNI152": (
        {"inputs.brain.segmented": {"region": "thalamus", "engine": "atlas"}},
        r"inputs.brain.segmented: is of native inputs; write space: native, or region",
    ),
    "reclassification by what has no probability": (
        {
            "models.svm": {"kind": "svm", "inputs": ["table"]},
            "evaluation": {
                "comparisons": {},
                "decision_curve": {},
                "reclassification": {"model": "net", "base": "svm"},
            },
        },
        r"evaluation.reclassification.base: svm is no model of the study that gives",
    ),
    "a nomogram of a network": (
        {"evaluation": {"nomogram": {"model": "net"}}},
        r"evaluation.nomogram.model: net is no logistic model of the study; correct it",
    ),
    "own weights of a network that is not MONAI's": (
        {"models.net.weights": "w.pth"},
        r"studies.s.models.net.weights: are of networks of MONAI",
    ),
    "an ensemble of itself": (
        {"models.both": {"kind": "ensemble", "of": ["net", "both"]}},
        r"studies.s.models.both.of: both is no other model of the study or an ensemble itself",
    ),
    "a mean of what has no probability": (
        {
            "models.svm": {"kind": "svm", "inputs": ["table"]},
            "models.both": {"kind": "ensemble", "of": ["net", "svm"]},
        },
        r"studies.s.models.both.of: svm gives no probability; take by: majority, or leave it out",
    ),
    "patience without scans for validation": (
        {"models.net.patience": 5},
        r"studies.s.models.net.patience: needs scans for validation, and the design keeps none",
    ),
    "thresholds without scans for validation": (
        {"evaluation": ["thresholds"]},
        r"studies.s.evaluation.thresholds: are chosen on scans for validation, and the design",
    ),
    "spacing in MNI152": (
        {"inputs.brain.spacing": [1, 1, 1]},
        r"studies.s.inputs.brain.spacing: of MNI152 it is the template's times downsample",
    ),
    "an input that is not there": (
        {"models.net.inputs": ["head"]},
        r"studies.s.models.net.inputs: head is none of the study's inputs \(brain, wrist, table\)",
    ),
    "a network of tables": (
        {"models.net.inputs": ["table"]},
        r"studies.s.models.net.inputs: table is a table, cnn reads images",
    ),
    "a regression of images": (
        {"models.linear.inputs": ["brain"]},
        r"studies.s.models.linear.inputs: brain is an image, logistic reads tables",
    ),
    "voxels of native images": (
        {"models.one": {"kind": "one_class_svm", "inputs": ["wrist"]}},
        r"studies.s.models.one.inputs: one_class_svm compares voxels, which native images do not",
    ),
    "a column twice": (
        {
            "inputs.more": {"columns": ["age", "sex"]},
            "models.linear.inputs": ["table", "more"],
        },
        r"studies.s.models.linear.inputs: age stands in two of them; keep it in one",
    ),
    "an optimism of networks": (
        {"models": {"net": {"kind": "cnn", "inputs": ["brain"]}}, "evaluation": ["optimism"]},
        r"studies.s.evaluation.optimism: is of logistic models; add one, or remove it",
    ),
    "maps without a network": (
        {"models": {"most": {"kind": "majority"}}, "evaluation": ["gradcam"]},
        r"studies.s.evaluation.gradcam: is of networks; add one, or remove it",
    ),
    "maps of native images": (
        {"models.net.inputs": ["wrist"], "evaluation": ["gradcam"]},
        r"studies.s.evaluation.gradcam: net reads native images, which have no mean",
    ),
    "an analysis of models that are not there": (
        {"evaluation": {"metrics": {}, "repeated_measures": {"models": ["net", "x", "y"]}}},
        r"studies.s.evaluation.repeated_measures.models: x, y is no model of the study",
    ),
    "a permutation test of nothing": (
        {"evaluation": ["permutation"]},
        r"studies.s.evaluation.permutation: needs studies.s.evaluation.metrics; add it",
    ),
    "an analysis of nothing": (
        {"evaluation": {"repeated_measures": {"models": ["net", "linear"]}}},
        r"evaluation.repeated_measures: needs studies.s.evaluation.metrics; add it",
    ),
    "published tables beside nothing": (
        {"evaluation": {"metrics": {}, "published": {"tables": "inglese2022"}}},
        r"evaluation.published: needs studies.s.evaluation.repeated_measures; add it",
    ),
}
CONTRADICTIONS |= {
    f"{name} of no model": (
        {"models": {}, "evaluation": [name]},
        rf"studies.s.evaluation.{name}: the study has no models; add some, or remove it",
    )
    for name in ("metrics", "comparisons", "roc", "calibration", "decision_curve")
}
CONTRADICTIONS |= {
    f"{name} of no design": (
        {"models": {}, "design": None, "evaluation": [name]},
        rf"studies.s.evaluation.{name}: compares the two classes of a design; add design",
    )
    for name in ("fractions", "regions")
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_named_with_their_key(small, name):
    changes, message = CONTRADICTIONS[name]
    study = small["studies"]["s"]
    for keys, value in changes.items():
        put(study, keys, value)
        if value is None:
            del study[keys]
    with pytest.raises(InputError, match=message) as error:
        check_config(small)
    assert len(str(error.value).splitlines()) == 2  # and nothing else is said


def test_contradictions_of_all_studies_at_once(small):
    other = copy.deepcopy(small["studies"]["s"])
    small["studies"]["t"] = other
    small["studies"]["s"]["other_labels"] = other["other_labels"] = ["a"]
    with pytest.raises(InputError, match=r"(?s)studies.s.other_labels.*studies.t.other_labels"):
        check_config(small)


def test_what_follows_from_other_keys(small):
    study = small["studies"]["s"]
    study["evaluation"] = {"correlations": {"features": ["alps"], "clinical": ["moca"]}}
    checked = check_config(small)["studies"]["s"]
    assert checked["requires"] == ["T1w", "FLAIR", "STIR"]
    assert checked["design"]["classes"] == checked["classes"]
    assert checked["evaluation"]["correlations"]["classes"] == checked["classes"]
    assert checked["sessions"] == "first"
    assert list(image_inputs(checked)) == ["brain", "wrist"]
    assert list(models_of(checked, "cnn", "svm")) == ["net"]
    study |= {"models": {}, "evaluation": {}, "inputs": {"wrist": study["inputs"]["wrist"]}}
    assert check_config(small)["studies"]["s"]["requires"] == ["STIR"]
    study["inputs"] = {}
    assert check_config(small)["studies"]["s"]["requires"] == ["T1w"]


def test_a_list_of_evaluations_takes_their_defaults(small):
    study = small["studies"]["s"]
    study["evaluation"] = ["metrics", "gradcam", "optimism"]
    listed = check_config(small)["studies"]["s"]["evaluation"]
    study["evaluation"] = {"metrics": None, "gradcam": {}, "optimism": None}
    assert check_config(small)["studies"]["s"]["evaluation"] == listed
    assert listed == {
        "metrics": {},
        "gradcam": {"thresholds": [0.75, 0.85, 0.95]},
        "optimism": {"samples": 200},
    }
    del study["evaluation"]
    assert check_config(small)["studies"]["s"]["evaluation"] == {}


def test_columns_that_a_study_names_come_with_their_key(small):
    study = small["studies"]["s"]
    study |= {"label": {"column": "edss", "at_least": 3}, "table1": ["age"]}
    study["external"] = {"column": "site", "values": ["B"]}
    study["design"] = {"kind": "leave_site_out", "column": "scanner"}
    study["evaluation"] = {
        "correlations": {"features": ["alps"], "clinical": ["moca"], "covariates": ["sex"]},
        "associations": {"features": ["alps"], "outcomes": ["sdmt"]},
        "longitudinal": {"features": ["alps"], "outcome": "edss"},
    }
    study["sessions"] = "all"
    assert clinical_columns(check_config(small)["studies"]["s"]) == {
        "label": ["edss"],
        "table1": ["age"],
        "external.column": ["site"],
        "design.column": ["scanner"],
        "site": ["scanner"],
        "evaluation.correlations.clinical": ["moca"],
        "evaluation.correlations.covariates": ["sex"],
        "evaluation.associations.outcomes": ["sdmt"],
        "evaluation.longitudinal.outcome": ["edss"],
        "evaluation.longitudinal.time": ["acq_time"],
    }


def test_classes_that_look_like_numbers_stay_text(small):
    small["studies"]["s"]["classes"] = ["01", "02"]
    assert check_config(small)["studies"]["s"]["classes"] == ["01", "02"]


# like


def test_like_takes_what_an_entry_does_not_say(small):
    study = small["studies"]["s"]
    study["models"] = {
        "last": {"like": "second", "crop_voxels": 3},
        "first": {"kind": "cnn", "inputs": ["brain"], "epochs": 7},
        "second": {"like": "first", "epochs": 9},
    }
    study["inputs"]["stem"] = {"like": "brain", "region": "brainstem"}
    checked = check_config(small)["studies"]["s"]
    last = checked["models"]["last"]
    assert (last["kind"], last["epochs"], last["crop_voxels"]) == ("cnn", 9, 3)
    assert checked["models"]["first"]["crop_voxels"] == 15
    assert "like" not in last
    assert checked["inputs"]["stem"]["channels"] == ["T1w", "FLAIR"]
    assert checked["inputs"]["brain"]["region"] == "brain"


def test_engines_take_what_they_do_not_say_from_another(small):
    net = {"kind": "unet", "rater": "anna", "epochs": 7}
    engines = {"net": net, "flair": {"like": "net", "channels": ["FLAIR"]}}
    regions = {"thalamus": {"engines": engines}}
    small["segmentation"] = {"manual": "masks", "regions": regions}
    checked = check_config(small)["segmentation"]["regions"]["thalamus"]["engines"]
    assert checked["flair"] == checked["net"] | {"channels": ["FLAIR"]}
    assert checked["net"]["epochs"] == 7
    engines["flair"]["like"] = "flair"
    where = "segmentation.regions.thalamus.engines"
    with pytest.raises(InputError, match=f"{where}.flair.like: 'flair' is no other entry"):
        check_config(small)


def test_published_directions_name_engines_that_there_are(small):
    small["segmentation"] = {"regions": {"thalamus": {"engines": {"atlas": {"kind": "atlas"}}}}}
    small["studies"]["s"]["evaluation"] = {
        "associations": {"features": ["tiv_ml"], "outcomes": ["edss"]},
        "longitudinal": {"features": ["tiv_ml"], "outcome": "edss"},
        "published_directions": {"of": "ibrahim", "rater": "a", "engines": {"FIRST": "first"}},
    }
    with pytest.raises(InputError, match=r"engines\.FIRST: first is no engine .*\(atlas\)"):
        check_config(small)


@pytest.mark.parametrize("part", ["inputs", "models"])
@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"a": {"like": "b"}}, r"{}.a.like: 'b' is no other entry of {}; name one of them \(there"),
        ({"a": {"like": "a"}, "b": {}}, r"{}.a.like: 'a' is no other entry of {}; name one of b"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, r"{}.b.like: 'a' is no other entry of {}"),
        (
            {"a": {"like": "b"}, "b": {"like": "c"}, "c": {"like": "b"}},
            r"{}.c.like: 'b' is no other entry",
        ),
        ({"a": {"like": ["b"]}, "b": {}}, r"{}.a.like: \['b'\] is no other entry of {}"),
    ],
    ids=["unknown", "itself", "loop of two", "loop beyond", "a list"],
)
def test_like_that_leads_nowhere_is_named(small, part, entries, message):
    small["studies"]["s"][part] = entries
    where = f"studies.s.{part}"
    with pytest.raises(InputError, match=message.replace("{}", re.escape(where))):
        check_config(small)


# Configurations of version 0.6


@pytest.mark.parametrize("key", OLD_KEYS)
def test_keys_of_version_0_6_come_with_what_to_write_now(small, key):
    small["studies"]["s"][key] = {}
    message = rf"studies.s.{key}: is of version 0.6; write {re.escape(OLD_KEYS[key])}"
    with pytest.raises(InputError, match=message):
        check_config(small)


OLD_STUDIES = """
npsle_contrastive:
  label: diagnosis
  classes: [non-NPSLE, NPSLE]
  session: first
  features: [gm_fraction]
  design: {trials: 6, train: {non-NPSLE: 4, NPSLE: 3}, test: {non-NPSLE: 3, NPSLE: 3}}
  learning: {strategies: [crop], downsample: 2}
npsle_multimodal:
  label: diagnosis
  classes: [control, non-NPSLE, NPSLE]
  comparison: {features: [alps]}
  models: {clinical: [age], mri: [alps], classes: [non-NPSLE, NPSLE], folds: 3}
"""


def test_studies_of_version_0_6_are_told_all_at_once_and_nothing_else(small):
    small["studies"] = yaml.safe_load(OLD_STUDIES)
    with pytest.raises(InputError) as error:
        check_config(small)
    first, *told = str(error.value).splitlines()
    assert first == "the configuration has errors:"
    keys = [line.split(":")[0].strip() for line in told]
    assert sorted(keys) == sorted(
        [f"studies.{CONTRASTIVE}.{key}" for key in ("session", "features", "learning", "design")]
        + [f"studies.{MULTIMODAL}.{key}" for key in ("comparison", "models")]
    )
    assert all("docs/configuration.md" in line for line in told)
    for part in ("kind: random_trials", "channels: [T1w]", "kind: folds", "groups: {features"):
        assert part in str(error.value)


def test_the_way_out_of_version_0_6_names_kinds_and_evaluations_of_today():
    from workflow_scripts.cohort import config as module

    schema = load_schema()["$defs"]
    kinds = {*schema["design"]["kinds"], *schema["model"]["kinds"]}
    advice = " ".join([*OLD_KEYS.values(), module.OLD_DESIGN, module.OLD_MODELS])
    assert set(re.findall(r"kind: (\w+)", advice)) <= kinds
    evaluations = set(schema["study"]["properties"]["evaluation"]["properties"])
    named = re.findall(r"evaluation: \{(\w+)", advice)
    assert named and set(named) <= evaluations


def pelvis(**changes):
    """Configuration of a study of joints, with other engines or inputs."""
    unet = {"kind": "unet", "rater": "anna", "study": "s"} | changes.pop("unet", {})
    image = {"channels": ["T1w"], "space": "native", "spacing": [4, 4, 4], "shape": [32, 16, 16]}
    image |= {"segmented": {"region": "sacroiliac_joints", "engine": "net"}}
    study = {"label": "diagnosis", "classes": ["no", "yes"], "inputs": {"joints": image}}
    study |= {"design": {"kind": "holdout"}}
    study["models"] = {"cnn": {"kind": "cnn", "inputs": ["joints"]}}
    regions = {"sacroiliac_joints": {"engines": {"net": unet}}}
    return {
        "bids_dir": "b",
        "output_dir": "o",
        "anatomical": {
            "body_part": changes.pop("body_part", "pelvis"),
            "preprocessed": changes.pop("preprocessed", None),
        },
        "segmentation": {"manual": "m", "regions": regions},
        "studies": {"s": study | changes},
    }


def test_a_pelvis_has_no_diffusion_and_no_vessels():
    config = check_config(pelvis())
    assert set(config["scans"]) == {"T1w"}
    assert config["studies"]["s"]["requires"] == ["T1w"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"body_part": "brain"}, "is a region of the pelvis, and anatomical.body_part is brain"),
        ({"unet": {"study": "other"}}, "net.study: other is no study"),
        ({"evaluation": {"regions": None}}, "studies.s.evaluation.regions: is of brains"),
        ({"scans": ["T1w", "dwi"]}, "studies.s.scans: dwi is of brains"),
        ({"preprocessed": {"derivatives": "d"}}, "anatomical.preprocessed: is of brains"),
    ],
)
def test_what_a_pelvis_has_not_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        check_config(pelvis(**changes))


def test_a_network_that_saw_who_is_tested_is_named():
    config = pelvis()
    del config["segmentation"]["regions"]["sacroiliac_joints"]["engines"]["net"]["study"]
    with pytest.raises(InputError, match="net is trained on masks of people whom this study tests"):
        check_config(config)


def test_stacks_in_a_circle_are_named(small):
    models = small["studies"]["s"]["models"]
    models["one"] = {"kind": "stack", "of": ["other"]}
    models["other"] = {"kind": "stack", "of": ["one"]}
    with pytest.raises(InputError, match="no network of the study and no stack that stands on"):
        check_config(small)


def test_an_image_too_small_for_a_network_of_monai_is_named():
    config = pelvis(models={"cnn": {"kind": "cnn", "inputs": ["joints"], "encoder": "densenet121"}})
    with pytest.raises(InputError, match="joints has 16 voxels along an axis, and densenet121"):
        check_config(config)
