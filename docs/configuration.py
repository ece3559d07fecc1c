"""Write configuration.md from the schema: python docs/configuration.py"""

import json
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Configuration

Copy `config.yaml`, edit it, and pass it with `--configfile mine.yaml`; it then
replaces the demo's configuration. Every key is checked before anything runs: an
unknown key, a wrong type or a missing key stops the run with a message that
names it. A configuration of version 0.6 is told what to write now.
(This page is written by `python docs/configuration.py`.)

A study is a population (`label`, `classes`, `sessions`, `requires`, `external`), `inputs`,
a `design`, `models` and an `evaluation`. Designs and models are of a `kind`, which decides
on their other keys:

```yaml
studies:
  disability:
    label: {column: edss, at_least: 3.0}   # per session, from phenotype/ or sessions.tsv
    classes: [mild, severe]                # the class below the threshold first
    sessions: all                          # all sessions of a person stay on one side
    external: {column: site, values: [B]}  # never trained on, scored by every split
    inputs:
      brain: {channels: [T1w, FLAIR], downsample: 2}
      thalamus: {like: brain, region: thalamus, downsample: 1}
      volumes: {columns: [gm_fraction, ventricles_volume_ml, age]}
    design: {kind: folds, folds: 7, validation: true}
    models:
      network: {kind: cnn, inputs: [brain]}
      thalamus: {like: network, inputs: [thalamus]}
      logistic: {kind: logistic, inputs: [volumes]}
    evaluation: [metrics, roc, permutation]
```

| key | default | meaning |
|---|---|---|
"""


def resolved(schema: dict, root: dict) -> dict:
    """A piece of the schema with what it refers to."""
    if "$ref" not in schema:
        return schema
    target = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return target | {key: part for key, part in schema.items() if key != "$ref"}


def rows(schema: dict, root: dict, prefix: str = ""):
    schema = resolved(schema, root)
    required = schema.get("required", [])
    for key, child in schema.get("properties", {}).items():
        child = resolved(child, root)
        name = f"{prefix}{key}"
        if not child:  # kind, which the rows above and below name
            continue
        choices = " ".join(f"`{choice}`" for choice in child.get("enum", []))
        default = "required" if key in required else f"`{json.dumps(child.get('default'))}`"
        if "properties" in child or "kinds" in child:
            default = ""
        meaning = child.get("description", "") + (f" One of {choices}." if choices else "")
        yield f"| `{name}` | {default} | {meaning} |"
        yield from rows(child, root, f"{name}.")
        yield from kinds(child, root, name)
        entry = child.get("additionalProperties")
        if isinstance(entry, dict) and "$ref" in entry and entry["$ref"] != "#/$defs/filter":
            entry = resolved(entry, root)
            place = f"{name}.<{'study' if name == 'studies' else 'name'}>"
            yield from rows(entry, root, f"{place}.")
            yield from kinds(entry, root, place)


def kinds(schema: dict, root: dict, place: str):
    for kind, piece in schema.get("kinds", {}).items():
        yield f"| `{place}.kind: {kind}` |  | {piece['description']} |"
        yield from rows(piece, root, f"({kind}) ")


def page() -> str:
    schema = yaml.safe_load((ROOT / "resources/schemas/config.schema.yaml").read_text())
    return HEAD + "\n".join(rows(schema, schema)) + "\n"


if __name__ == "__main__":
    (ROOT / "docs/configuration.md").write_text(page())
