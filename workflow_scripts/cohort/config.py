"""Check the configuration against its schema and fill in the defaults."""

import jsonschema
import yaml

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource


def load_schema() -> dict:
    return yaml.safe_load(resource("schemas/config.schema.yaml").read_text())


def check_config(config: dict) -> dict:
    """Return ``config`` with defaults filled in.

    Raises
    ------
    InputError
        Listing every unknown key, wrong type, missing key and contradiction.
    """
    schema = load_schema()
    config = _with_defaults(config, schema, schema)
    validator = jsonschema.Draft202012Validator(schema)
    problems = [_explain(error) for error in validator.iter_errors(config)]
    if not problems:
        problems = [
            problem
            for name, study in config["studies"].items()
            for problem in _contradictions(name, study)
        ]
    if problems:
        raise InputError("the configuration has errors:\n  " + "\n  ".join(problems))
    return config


def _with_defaults(value, schema: dict, root: dict):
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
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


def _explain(error: jsonschema.ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "(top level)"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = sorted(set(error.instance) - set(known))
        return f"{key}: unknown key {', '.join(unknown)}; known keys: {', '.join(known)}"
    if error.validator == "required":
        return f"{key}: {error.message}; add it (see docs/configuration.md)"
    description = error.schema.get("description", "")
    return f"{key}: {error.message}" + (f"; expected: {description}" if description else "")


def _contradictions(name: str, study: dict):
    classes = set(study["classes"])
    if "design" in study:
        if len(classes) != 2:
            yield (
                f"studies.{name}.classes: random trials take two classes, these are "
                f"{len(classes)}; leave one out, or the key design"
            )
        for part in ("train", "test"):
            if set(study["design"][part]) != classes:
                yield (
                    f"studies.{name}.design.{part}: has the classes "
                    f"{sorted(study['design'][part])}, studies.{name}.classes has "
                    f"{sorted(classes)}; name the same two"
                )
        if not study.get("features"):
            yield f"studies.{name}.features: missing; the classifiers of design need them"
    if "learning" in study and "design" not in study:
        yield f"studies.{name}.learning: the networks are tested on random trials; add design"
    elif "learning" in study:
        trials, drawn = study["learning"]["trials"], study["design"]["trials"]
        if trials and trials > drawn:
            yield (
                f"studies.{name}.learning.trials: {trials}, but design draws {drawn}; "
                "lower one or raise the other"
            )
    if "published" in study and "learning" not in study:
        yield f"studies.{name}.published: is shown beside contrastive learning; add learning"
    for block in ("correlations", "models"):
        unknown = set(study.get(block, {}).get("classes", [])) - classes
        if unknown:
            yield (
                f"studies.{name}.{block}.classes: {sorted(unknown)} is not in "
                f"studies.{name}.classes {study['classes']}; correct it"
            )
    overlap = classes & set(study["other_labels"])
    if overlap:
        yield f"studies.{name}.other_labels: {sorted(overlap)} also stands in classes; remove it"
