"""Check the configuration against its schema and fill in the defaults."""

import math
from functools import cache

import jsonschema
import yaml

from workflow_scripts.cohort.segmentation import segmentation_problems
from workflow_scripts.common.columns import READ_TWICE
from workflow_scripts.common.job import InputError
from workflow_scripts.common.labels import label_column
from workflow_scripts.common.people import CONFOUNDS
from workflow_scripts.common.resources import resource

MORE_ADVICE = "see docs/configuration.md and config.yaml"
# What to write instead of the keys of a study that version 0.6 had.
OLD_KEYS = {
    "session": "sessions: first, all, or a name",
    "features": "an input of columns, and models that read it: "
    "inputs: {volumes: {columns: [...]}}, models: {svm: {kind: svm, inputs: [volumes]}}",
    "learning": "an input of channels, and a model for each strategy: "
    "inputs: {brain: {channels: [T1w]}}, models: {crop: {kind: contrastive, inputs: [brain], "
    "augmentation: crop}, supervised: {kind: cnn, inputs: [brain]}}, "
    "and evaluation: {gradcam: {}, repeated_measures: {models: [...]}}",
    "one_class_svm": "models: {one_class_svm: {kind: one_class_svm, inputs: [brain]}}",
    "comparison": "evaluation: {groups: {features: [...]}}",
    "correlations": "evaluation: {correlations: {...}}, with the same keys",
    "published": "evaluation: {published: {tables: inglese2022}}",
}
OLD_DESIGN = (
    "design: {kind: random_trials, ...} with the same keys; what version 0.6 computed along with "
    "it is asked for by models (svm, logistic, majority, one_class_svm) and evaluation "
    "(metrics, permutation, fractions, regions)"
)
OLD_MODELS = (
    "inputs: {clinical: {columns: [...]}, mri: {columns: [...]}}, design: {kind: folds, classes, "
    "folds, repeats}, models: {clinical: {kind: logistic, inputs: [clinical]}, mri: ..., combined: "
    "{kind: logistic, inputs: [clinical, mri]}}, evaluation: {metrics, permutation, comparisons, "
    "roc, calibration, decision_curve, optimism: {samples: 200}}"
)
IMAGE_MODELS = ("contrastive", "cnn", "one_class_svm")
NETWORKS = ("contrastive", "cnn")
OF_MONAI, LEAST_OF_MONAI = ("resnet10", "resnet18", "resnet50", "resnet101", "densenet121"), 32
NO_PROBABILITY = ("svm", "one_class_svm")
SIDECARS = "sidecars"  # whose scanner is the site, instead of a column
PAIR = ("model", "base")  # of added_value
WITH_RATERS = ("thalamus", "spondyloarthritis")  # simulated cohorts with masks drawn by hand
OF_BRAINS = ("FLAIR", "dwi", "epi", "VWI")
NOT_OF_IMAGES = {"dwi", "epi", "vesselwall", "VWI", "lesions"}
# Evaluations, and those without which they have nothing to read.
NEEDS = {
    "permutation": ["metrics"],
    "repeated_measures": ["metrics"],
    "published": ["metrics", "repeated_measures"],
    "published_figures": ["metrics"],
    "published_directions": ["associations", "longitudinal"],
    "added_value": ["optimism"],
    "reclassification": ["comparisons", "decision_curve"],
}
OF_MODELS = ("metrics", "thresholds", "comparisons", "roc", "calibration", "decision_curve")
OF_MODELS += ("missing", "sites", "sensitivity")


@cache
def load_schema() -> dict:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where there is one
    return loader(resource("schemas/config.schema.yaml").read_text()).get_single_data()


@cache
def regions() -> list[str]:
    """Regions of MNI152 that an input can be."""
    header, *rows = resource("regions.tsv").read_text().splitlines()
    place = header.split("\t").index("region")
    return ["brain", *(row.split("\t")[place] for row in rows)]


def check_config(config: dict) -> dict:
    """Return ``config`` with defaults filled in, ``like`` and what follows from it resolved.

    Raises
    ------
    InputError
        Listing every unknown key, wrong type, missing key and contradiction; a study of
        version 0.6 with what to write now.
    """
    schema = load_schema()
    studies = config.get("studies")
    problems = []
    if isinstance(studies, dict):
        problems = [p for name, study in studies.items() for p in _of_version_0_6(name, study)]
        if not problems:
            studies = {name: _spelled_out(name, study) for name, study in studies.items()}
            config = config | {"studies": studies}
    if not problems:
        config = _with_engines(config)
        config = _with_defaults(config, schema, schema)
        problems = [_explain(error) for error in _validator()(schema).iter_errors(config)]
    if not problems:
        if config["exclude_rated"] and not config["ratings"]:
            problems.append("exclude_rated: needs ratings, the folder with the raters' files")
        simulated = not config["bids_dir"] and config["demo"]["cohort"] in WITH_RATERS
        drawn = {"manual": "simulated"} if simulated else {}
        body_part = config["anatomical"]["body_part"]
        section, studies = config["segmentation"] | drawn, config["studies"]
        problems += segmentation_problems(section, config["scans"], body_part, studies)
        for name, study in studies.items():
            _complete(study)
            problems += _contradictions(f"studies.{name}", study, config["scans"])
            problems += _unknown_engines(f"studies.{name}", study, config["segmentation"])
            problems += _segmented_problems(name, study, config["segmentation"]["regions"])
            if body_part != "brain":
                problems += _of_brains(f"studies.{name}", study, body_part)
        if body_part != "brain":
            if config["corrections"]:
                problems.append(
                    f"corrections: are of brain masks, not of a {body_part}; leave it out"
                )
            if config["anatomical"]["preprocessed"]:
                problems.append(
                    f"anatomical.preprocessed: is of brains, not of a {body_part}; leave it out"
                )
            config["scans"] = {n: f for n, f in config["scans"].items() if n not in OF_BRAINS}
    if problems:
        raise InputError("the configuration has errors:\n  " + "\n  ".join(problems))
    return config


def _unknown_engines(where: str, study: dict, section: dict):
    """Engines of published directions that no region has."""
    known = {name for region in section["regions"].values() for name in region["engines"]}
    asked = study["evaluation"].get("published_directions", {}).get("engines", {})
    for theirs, ours in asked.items():
        if ours not in known:
            yield (
                f"{where}.evaluation.published_directions.engines.{theirs}: {ours} is no engine of "
                f"segmentation ({', '.join(sorted(known)) or 'there is none'}); correct it"
            )


def _segmented_problems(name: str, study: dict, regions: dict):
    """Inputs of a region that no engine segments, or one that saw who is tested."""
    for key, entry in study["inputs"].items():
        measured, cut = "radiomics" in entry, "segmented" in entry and entry["space"] == "native"
        if not (measured or cut):
            continue
        where = f"studies.{name}.inputs.{key}.{'radiomics' if measured else 'segmented'}"
        region = entry["radiomics" if measured else "segmented"]["region"]
        engines = regions.get(region, {"engines": {}})["engines"]
        if measured and "radiomics" not in regions.get(region, {}):
            yield f"{where}: segmentation.regions.{region} has no key radiomics; add it"
            continue
        engine = (
            regions[region]["radiomics"]["engine"] if measured else entry["segmented"]["engine"]
        )
        if engine not in engines:
            if not measured:  # what is measured may be a rater's mask
                yield f"{where}: segmentation has no engine {engine} of {region}; correct it"
            continue
        for one in [engine, *engines[engine].get("of", [])]:
            if engines[one]["kind"] == "unet" and engines[one].get("study") != name:
                yield (
                    f"{where}: the network {one} is trained on masks of people whom this study "
                    f"tests; set segmentation.regions.{region}.engines.{one}.study to {name}"
                )


def _of_brains(where: str, study: dict, body_part: str):
    """What a study asks for that another part of the body has not."""
    for key, entry in image_inputs(study).items():
        if entry["space"] == "MNI152":
            yield f"{where}.inputs.{key}.space: a {body_part} has no place in MNI152; write native"
    if other := [name for name in study["scans"] if name != "T1w"]:
        yield f"{where}.scans: {', '.join(other)} is of brains; remove it"
    for key in ("fractions", "regions"):
        if key in study["evaluation"]:
            yield f"{where}.evaluation.{key}: is of brains; remove it"


def image_inputs(study: dict) -> dict[str, dict]:
    """Inputs of a checked study that are images, by name."""
    return {name: entry for name, entry in study["inputs"].items() if "channels" in entry}


def models_of(study: dict, *kinds: str) -> dict[str, dict]:
    """Models of a checked study that are of these kinds, by name."""
    return {name: model for name, model in study["models"].items() if model["kind"] in kinds}


def shown_config(config: dict, written: dict) -> dict:
    """Checked configuration without the places that a study has on this machine.

    So that the report of a moved study is not made again.

    Parameters
    ----------
    config : checked
    written : as the user wrote it, whose paths are kept
    """
    shown = {key: value for key, value in config.items() if key != "output_dir"}
    alps_rois = written.get("diffusion", {}).get("alps_rois")
    lesions = written.get("anatomical", {}).get("lesions")
    return shown | {
        "exclusions": written.get("exclusions"),
        "ratings": written.get("ratings"),
        "anatomical": config["anatomical"] | {"lesions": lesions},
        "diffusion": config["diffusion"] | {"alps_rois": alps_rois},
        "vessel_wall": written.get("vessel_wall", {}),
        "segmentation": _as_written(config["segmentation"], _with_engines(written)),
    }


def _as_written(section: dict, written: dict) -> dict:
    """Checked section ``segmentation`` with the paths as they were written."""
    own = written.get("segmentation", {})
    regions = {
        name: region
        | {
            "engines": {
                key: engine | own["regions"][name]["engines"][key]
                for key, engine in region["engines"].items()
            }
        }
        for name, region in section["regions"].items()
    }
    for name, region in regions.items():
        if "radiomics" in region:
            region["radiomics"] = region["radiomics"] | own["regions"][name]["radiomics"]
    return section | {"manual": own.get("manual"), "regions": regions}


def clinical_columns(study: dict) -> dict[str, list[str]]:
    """Columns of the participants' tables that a checked study names, by the key that does.

    A column of an input or one that group tests are adjusted for may also be one of features.tsv.
    """
    label = study["label"]
    columns = {"label": [label_column(label)]}
    if "within_days" in study:
        columns["within_days"] = [study["within_days"][key] for key in ("date", "scan")]
    columns["table1"] = study["table1"]
    if study.get("site") not in (None, SIDECARS):
        columns["site"] = [study["site"]]
    for key in ("external", "design"):
        if "column" in study.get(key, {}):
            columns[f"{key}.column"] = [study[key]["column"]]
    for part in ("clinical", "covariates"):
        columns[f"evaluation.correlations.{part}"] = (
            study["evaluation"].get("correlations", {}).get(part, [])
        )
    if associations := study["evaluation"].get("associations"):
        columns["evaluation.associations.outcomes"] = associations["outcomes"]
    if longitudinal := study["evaluation"].get("longitudinal"):
        columns["evaluation.longitudinal.outcome"] = [longitudinal["outcome"]]
        columns["evaluation.longitudinal.time"] = [longitudinal["time"]]
    return columns


def _of_version_0_6(name: str, study):
    if not isinstance(study, dict):
        return
    old = {key: now for key, now in OLD_KEYS.items() if key in study}
    design, models = study.get("design"), study.get("models")
    if isinstance(design, dict) and "kind" not in design and "trials" in design:
        old["design"] = OLD_DESIGN
    if isinstance(models, dict) and {"clinical", "mri"} & {
        key for key, value in models.items() if isinstance(value, list)
    }:
        old["models"] = OLD_MODELS
    for key, now in old.items():
        yield f"studies.{name}.{key}: is of version 0.6; write {now} ({MORE_ADVICE})"


def _spelled_out(name: str, study):
    """A study with its lists of evaluations as a dictionary, and every ``like`` replaced."""
    if not isinstance(study, dict):
        return study
    study = dict(study)
    _add_confounds(name, study)
    asked = study.get("evaluation")
    if isinstance(asked, list) and all(isinstance(key, str) for key in asked):
        asked = dict.fromkeys(asked)
    if isinstance(asked, dict):
        study["evaluation"] = {key: {} if value is None else value for key, value in asked.items()}
    for part in ("inputs", "models"):
        if isinstance(study.get(part), dict):
            study[part] = _all_like(f"studies.{name}.{part}", study[part])
    return study


def _with_engines(config: dict) -> dict:
    """A configuration with every ``like`` of its engines replaced."""
    segmentation = config.get("segmentation")
    regions = segmentation.get("regions") if isinstance(segmentation, dict) else None
    if not isinstance(regions, dict):
        return config
    regions = {
        name: region
        | {"engines": _all_like(f"segmentation.regions.{name}.engines", region["engines"])}
        if isinstance(region, dict) and isinstance(region.get("engines"), dict)
        else region
        for name, region in regions.items()
    }
    return config | {"segmentation": segmentation | {"regions": regions}}


def _add_confounds(name: str, study: dict) -> None:
    """Put a study's model of confounds first among its models, and its input among the inputs.

    Unless they are there, as in a configuration that was checked before.
    """
    if not study.get(CONFOUNDS) or not isinstance(study.get("models"), dict):
        return
    own = {"kind": "logistic", "inputs": [CONFOUNDS], "missing": "impute"}
    for part, entry in (("inputs", {"columns": study[CONFOUNDS]}), ("models", own)):
        entries = study.get(part) or {}
        if isinstance(entries, dict):
            there = entries.get(CONFOUNDS, entry)
            if not isinstance(there, dict) or there | entry != there:
                raise InputError(
                    f"studies.{name}.{part}.{CONFOUNDS}: is the name of what "
                    f"studies.{name}.{CONFOUNDS} makes; rename it"
                )
            study[part] = {CONFOUNDS: there} | entries


def _all_like(where: str, entries: dict) -> dict:
    return {key: _like(where, entries, key, ()) for key in entries}


def _like(where: str, entries: dict, key: str, seen: tuple):
    entry = entries[key]
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    other = entry["like"]
    if not isinstance(other, str) or other not in entries or other in (*seen, key):
        raise InputError(
            f"{where}.{key}.like: {other!r} is no other entry of {where}; name one of "
            f"{', '.join(name for name in entries if name != key) or 'them (there is none)'}"
        )
    taken = _like(where, entries, other, (*seen, key))
    own = {name: value for name, value in entry.items() if name != "like"}
    return taken | own if isinstance(taken, dict) else entry


def _resolved(schema: dict, value) -> dict:
    """A piece of the schema with what it refers to, for this value's ``kind``."""
    if "$ref" in schema:
        target = load_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        schema = target | {key: part for key, part in schema.items() if key != "$ref"}
    if "kinds" in schema and isinstance(value, dict):
        schema = schema["kinds"].get(str(value.get("kind")), schema)
    return schema


def _with_defaults(value, schema: dict, root: dict):
    schema = _resolved(schema, value)
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, child in schema.get("properties", {}).items():
        if key not in filled and "default" in child:
            filled[key] = child["default"]
        if key in filled:
            filled[key] = _with_defaults(filled[key], child, root)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        for key in filled.keys() - schema.get("properties", {}).keys():
            filled[key] = _with_defaults(filled[key], extra, root)
    return filled


def _one_of_kinds(validator, kinds: dict, instance, schema):
    """Keyword of our schema: the piece that ``kind`` names describes the object."""
    if not isinstance(instance, dict) or "kind" not in instance:
        return
    if not isinstance(instance["kind"], str) or instance["kind"] not in kinds:
        yield jsonschema.ValidationError(f"kind {instance['kind']!r} is none of {', '.join(kinds)}")
        return
    yield from validator.descend(instance, kinds[instance["kind"]])


@cache
def _validator():
    base = jsonschema.Draft202012Validator
    types = base.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number})
    return jsonschema.validators.extend(base, {"kinds": _one_of_kinds}, type_checker=types)


def _is_integer(checker, value) -> bool:
    """Not a float either, which no step can count to."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker, value) -> bool:
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


def _explain(error: jsonschema.ValidationError) -> str:
    deeper = [one for one in error.context if one.relative_path]
    if error.validator == "anyOf" and deeper:
        error = deeper[0]
    key = ".".join(str(part) for part in error.absolute_path) or "(top level)"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = sorted(map(str, set(error.instance) - set(known)))
        return f"{key}: unknown key {', '.join(unknown)}; known keys: {', '.join(known)}"
    if error.validator == "required":
        return f"{key}: {error.message}; add it (see docs/configuration.md)"
    schema = error.schema if isinstance(error.schema, dict) else {}
    description = schema.get("description", "")
    expected = f"; expected: {description}" if description else ""
    hints = map(_what_yaml_made, [error, *error.context])
    return f"{key}: {error.message}{expected}{next(filter(None, hints), '')}"


def _what_yaml_made(error: jsonschema.ValidationError) -> str:
    """Why a value is of another type than it was meant to be, and how to write it."""
    value, wanted = error.instance, error.validator_value
    wanted = (
        {wanted} if isinstance(wanted, str) else set(wanted) if error.validator == "type" else ()
    )
    if error.validator == "enum":
        wanted = {"string"}
    if isinstance(value, bool) and "boolean" not in wanted and wanted:
        read = "yes, on and true" if value else "no, off and false"
        return f" (YAML reads {read} as {value}; write the text in quotes, such as 'no')"
    if isinstance(value, int | float) and "string" in wanted:
        return f" (YAML reads it as a number; write the text in quotes, such as '{value}')"
    if isinstance(value, float) and "integer" in wanted:
        return " (write it without a decimal point)"
    if value is None and "string" in wanted:
        return " (an empty value and ~ alone are null to YAML; write a text)"
    if isinstance(value, str) and {"number", "integer"} & set(wanted):
        return " (YAML reads it as text; write digits without quotes, 1000 or 1.0e+3 for 1e3)"
    return ""


def _complete(study: dict) -> None:
    """Fill in what follows from other keys of a study."""
    images = image_inputs(study).values()
    needed = list(study["requires"])
    for entry in images:
        on_t1w = entry["space"] == "MNI152" or "segmented" in entry
        needed += ["T1w"] * on_t1w + entry["channels"]
    study["requires"] = list(dict.fromkeys(needed)) or ["T1w"]
    if "design" in study:
        study["design"].setdefault("classes", study["classes"])
        if study["design"]["kind"] == "leave_site_out":
            study.setdefault("site", study["design"]["column"])
    if added := study["evaluation"].get("added_value"):
        own, base = (study["models"].get(added[key], {}).get("inputs", []) for key in PAIR)
        added["inputs"] = [name for name in own if name not in base]
    if "correlations" in study["evaluation"]:
        study["evaluation"]["correlations"].setdefault("classes", study["classes"])


def _contradictions(where: str, study: dict, scans: dict):
    classes = study["classes"]
    overlap = set(classes) & set(study["other_labels"])
    if overlap:
        yield f"{where}.other_labels: {sorted(overlap)} also stands in classes; remove it"
    if isinstance(study["label"], dict) and len(classes) != 2:
        yield f"{where}.classes: a threshold makes two classes, these are {len(classes)}"
    for key, listed in (
        ("design", study.get("design", {}).get("classes", [])),
        ("evaluation.correlations", study["evaluation"].get("correlations", {}).get("classes", [])),
    ):
        if unknown := set(listed) - set(classes):
            yield (
                f"{where}.{key}.classes: {sorted(unknown)} is not in {where}.classes {classes}; "
                "correct it"
            )
    for suffix in study["requires"]:
        if suffix not in scans and suffix not in ("vesselwall", "lesions"):
            yield (
                f"{where}: needs the scan {suffix}, which scans does not name "
                f"({', '.join(scans)}); correct it, or add scans.{suffix}"
            )
    yield from _design_problems(where, study)
    label = label_column(study["label"])
    for name, entry in study["inputs"].items():
        yield from _input_problems(f"{where}.inputs.{name}", entry)
        if label in entry.get("columns", []):
            yield (
                f"{where}.inputs.{name}.columns: {label} is the label itself, which models are to "
                "tell from the others; take it out"
            )
    for name, model in study["models"].items():
        yield from _model_problems(f"{where}.models.{name}", model, study)
    yield from _evaluation_problems(f"{where}.evaluation", study)


def _design_problems(where: str, study: dict):
    if "design" not in study:
        if study["models"]:
            yield f"{where}.design: missing; models are tested on the splits that it draws"
        return
    design = study["design"]
    if len(design["classes"]) != 2:
        yield (
            f"{where}.design.classes: models take two classes, these are "
            f"{len(design['classes'])}; name the two, the negative one first"
        )
        return
    for part in ("train", "test") if design["kind"] == "random_trials" else ():
        if set(design[part]) != set(design["classes"]):
            yield (
                f"{where}.design.{part}: has the classes {sorted(design[part])}, the design "
                f"{sorted(design['classes'])}; name the same two"
            )
    if design["kind"] == "folds" and design["validation"] and design["folds"] < 3:
        yield f"{where}.design.folds: a fold for validation leaves none to train on; raise it to 3"
    if design["kind"] == "holdout" and design["test"] + design["validation"] >= 1:
        yield f"{where}.design: test and validation leave nobody to train on; lower one"


def _input_problems(where: str, entry: dict):
    if len({"columns", "channels", "radiomics"} & entry.keys()) != 1:
        yield (
            f"{where}: is either columns of tables, channels of an image or radiomics of a region; "
            "give one of them"
        )
        return
    given = {key for key in ("spacing", "shape", "segmented") if key in entry}
    if "channels" not in entry:
        if given:
            yield f"{where}: {', '.join(sorted(given))} is of images; remove it"
    elif wrong := NOT_OF_IMAGES & set(entry["channels"]):
        yield f"{where}.channels: {', '.join(sorted(wrong))} is no contrast of an image"
    elif entry["space"] == "native":
        if not given >= {"spacing", "shape"}:
            yield f"{where}: a native input needs spacing (mm) and shape (voxels); give both"
        if entry["region"] != "brain":
            yield f"{where}.region: regions are of MNI152; leave it out of a native input"
        if entry["downsample"] != 1:
            yield f"{where}.downsample: a native input has its spacing; leave it out"
    elif unknown := set(entry["region"].split("+")) - set(regions()):
        yield (
            f"{where}.region: {', '.join(sorted(unknown))} is none of {', '.join(regions())}; "
            "correct it"
        )
    elif "segmented" in entry:
        yield f"{where}.segmented: is of native inputs; write space: native, or region"
    elif "spacing" in entry:
        yield f"{where}.spacing: of MNI152 it is the template's times downsample; remove it"


def _model_problems(where: str, model: dict, study: dict):
    images = image_inputs(study)
    wanted = model["kind"] in IMAGE_MODELS
    for name in model.get("inputs", []):
        if name not in study["inputs"]:
            yield (
                f"{where}.inputs: {name} is none of the study's inputs "
                f"({', '.join(study['inputs']) or 'there is none'}); correct it"
            )
        elif (name in images) != wanted:
            yield (
                f"{where}.inputs: {name} is {'an image' if name in images else 'a table'}, "
                f"{model['kind']} reads {'images' if wanted else 'tables'}"
            )
        elif model["kind"] == "one_class_svm" and images[name]["space"] == "native":
            yield f"{where}.inputs: one_class_svm compares voxels, which native images do not share"
    yield from _network_problems(where, model, images)
    if model["kind"] == "ensemble":
        yield from _ensemble_problems(where, model, study["models"])
    if model["kind"] == "stack":
        yield from _stack_problems(where, model, study["models"])
    if not validates(study.get("design", {})):
        for key, default in (("patience", None), ("schedule", "cosine")):
            if model.get(key, default) != default:
                yield (
                    f"{where}.{key}: needs scans for validation, and the design keeps none; set "
                    "validation of the design, or remove it"
                )
    if model.get("harmonize") and "site" not in study:
        yield f"{where}.harmonize: needs the site of each session; add site to the study"
    if model["kind"] in ("svm", "logistic", "stack"):
        columns = [
            c for name in model["inputs"] for c in study["inputs"].get(name, {}).get("columns", [])
        ]
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            yield f"{where}.inputs: {', '.join(twice)} stands in two of them; keep it in one"
        measured = [
            study["inputs"][name]["radiomics"]["region"]
            for name in model["inputs"]
            if "radiomics" in study["inputs"].get(name, {})
        ]
        if len(set(measured)) < len(measured):
            yield f"{where}.inputs: radiomics of one region stand in two of them; keep one"
        if measured and model.get("missing") == "impute":
            yield (
                f"{where}.missing: who lacks one of the radiomics of a region lacks all, and they "
                "cannot be predicted from each other; write complete_cases"
            )
        if measured and model["kind"] == "stack":
            yield f"{where}.inputs: a stack reads no radiomics; give them to a logistic model"


def _network_problems(where: str, model: dict, images: dict):
    if model.get("encoder") not in OF_MONAI:
        if model.get("weights"):
            yield f"{where}.weights: are of networks of MONAI ({', '.join(OF_MONAI)}); remove it"
        return
    for name in model["inputs"]:
        shape = images.get(name, {}).get("shape") or [LEAST_OF_MONAI]
        if min(shape) < LEAST_OF_MONAI:
            yield (
                f"{where}.inputs: {name} has {min(shape)} voxels along an axis, and "
                f"{model['encoder']} halves them five times; give its shape {LEAST_OF_MONAI} at "
                "least, where a scan ends the rest is 0"
            )


def _ensemble_problems(where: str, model: dict, models: dict):
    for name in model["of"]:
        kind = models.get(name, {}).get("kind")
        if kind in (None, "ensemble"):
            yield f"{where}.of: {name} is no other model of the study or an ensemble itself"
        elif model["by"] == "mean" and kind in NO_PROBABILITY:
            yield f"{where}.of: {name} gives no probability; take by: majority, or leave it out"


def _stack_problems(where: str, model: dict, models: dict, seen: tuple = ()):
    for name in model["of"]:
        member = models.get(name, {"kind": None})
        if member["kind"] not in (*NETWORKS, "stack") or member is model or member in seen:
            yield (
                f"{where}.of: {name} is no network of the study and no stack that stands on others;"
                " correct it"
            )
        elif member["kind"] == "stack":
            yield from _stack_problems(where, member, models, (*seen, model))
        elif member["splits"]:
            yield (
                f"{where}.of: {name} is trained in the first {member['splits']} splits alone; "
                "remove its key splits"
            )


def validates(design: dict) -> bool:
    """Whether a design may keep scans for validation."""
    return bool(design.get("validation")) or design.get("kind") == "given"


def _evaluation_problems(where: str, study: dict):
    asked, models = study["evaluation"], study["models"]
    for name in OF_MODELS:
        if name in asked and not models:
            yield f"{where}.{name}: the study has no models; add some, or remove it"
    for name, needed in NEEDS.items():
        for other in needed if name in asked else ():
            if other not in asked:
                yield f"{where}.{name}: needs {where}.{other}; add it"
    for name in ("fractions", "regions"):
        if name in asked and "design" not in study:
            yield f"{where}.{name}: compares the two classes of a design; add design"
    if "optimism" in asked and not models_of(study, "logistic"):
        yield f"{where}.optimism: is of logistic models; add one, or remove it"
    if "sites" in asked and "site" not in study:
        yield f"{where}.sites: needs the site of each session; add site to the study"
    if "thresholds" in asked:
        if not models_of(study, *NETWORKS):
            yield f"{where}.thresholds: is of networks; add one, or remove it"
        if not validates(study.get("design", {})):
            yield (
                f"{where}.thresholds: are chosen on scans for validation, and the design keeps "
                "none; set validation of the design"
            )
    read = [
        study["inputs"].get(n, {})
        for m in models_of(study, "svm", "logistic").values()
        for n in m["inputs"]
    ]
    if "missing" in asked and any("radiomics" in entry for entry in read):
        yield (
            f"{where}.missing: counts columns, and the table of radiomics has its reasons itself; "
            "remove it, or take them out of the models"
        )
    if "missing" in asked and not models_of(study, "svm", "logistic"):
        yield f"{where}.missing: is of models that read tables; add one, or remove it"
    once = set(asked.get("reliability", {}).get("features", ())) - set(READ_TWICE)
    if once and study["sessions"] != "all":
        yield f"{where}.reliability: compares sessions; set sessions of the study to all"
    if "longitudinal" in asked and study["sessions"] != "all":
        yield f"{where}.longitudinal: compares sessions; set sessions of the study to all"
    yield from _added_value_problems(f"{where}.added_value", asked.get("added_value"), study)
    if "gradcam" in asked:
        networks = models_of(study, *NETWORKS)
        if not networks:
            yield f"{where}.gradcam: is of networks; add one, or remove it"
        for name, model in networks.items():
            if any(
                image_inputs(study).get(key, {}).get("space") == "native" for key in model["inputs"]
            ):
                yield f"{where}.gradcam: {name} reads native images, which have no mean; remove it"
    for key in PAIR if "reclassification" in asked else ():
        name = asked["reclassification"][key]
        if models.get(name, {}).get("kind") in (None, *NO_PROBABILITY):
            yield (
                f"{where}.reclassification.{key}: {name} is no model of the study that gives "
                "probabilities; correct it"
            )
    if "nomogram" in asked:
        name = asked["nomogram"]["model"]
        model = models.get(name, {"kind": None})
        if model["kind"] != "logistic" and model.get("learners") != ["logistic"]:
            yield f"{where}.nomogram.model: {name} is no logistic model of the study; correct it"
        elif any("radiomics" in study["inputs"].get(n, {}) for n in model["inputs"]):
            yield f"{where}.nomogram.model: {name} reads radiomics, too many terms; name another"
        elif model.get("harmonize"):
            yield (
                f"{where}.nomogram.model: {name} harmonizes, and a nomogram reads values as they "
                "were measured; name a model that does not"
            )
    compared = asked.get("repeated_measures", {}).get("models", [])
    if unknown := [name for name in compared if name not in models]:
        yield f"{where}.repeated_measures.models: {', '.join(unknown)} is no model of the study"


def _added_value_problems(where: str, added: dict | None, study: dict):
    if not added:
        return
    logistic = models_of(study, "logistic")
    for key in PAIR:
        if added[key] not in logistic:
            yield f"{where}.{key}: {added[key]} is no logistic model of the study; correct it"
            return
    own, base = (logistic[added[key]] for key in PAIR)
    if not added["inputs"] or not set(base["inputs"]) < set(own["inputs"]):
        yield (
            f"{where}: {added['model']} must read all inputs of {added['base']} "
            f"({', '.join(base['inputs'])}) and more; correct the models"
        )
    if own["missing"] != base["missing"]:
        yield f"{where}: {' and '.join(added[key] for key in PAIR)} need the same key missing"
    if own["harmonize"]:
        yield (
            f"{where}.model: {added['model']} harmonizes, and its measures cannot change places "
            "between sites; name a model that does not"
        )
