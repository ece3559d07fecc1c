"""Write configuration.md from the schema: python docs/configuration.py"""

import json
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Configuration

Copy `config.yaml`, edit it, and pass it with `--configfile mine.yaml`; it then
replaces the demo's configuration. Every key is checked before anything runs: an
unknown key, a wrong type or a missing key stops the run with a message that
names it. (This page is written by `python docs/configuration.py`.)

| key | default | meaning |
|---|---|---|
"""


def rows(schema: dict, root: dict, prefix: str = ""):
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    required = schema.get("required", [])
    for key, child in schema.get("properties", {}).items():
        name = f"{prefix}{key}"
        choices = " ".join(f"`{choice}`" for choice in child.get("enum", []))
        default = "required" if key in required else f"`{json.dumps(child.get('default'))}`"
        if "properties" in child:
            default = ""
        meaning = child.get("description", "") + (f" One of {choices}." if choices else "")
        yield f"| `{name}` | {default} | {meaning} |"
        yield from rows(child, root, f"{name}.")
        if isinstance(child.get("additionalProperties"), dict) and "$ref" in str(child):
            yield from rows(child["additionalProperties"], root, f"{name}.<study>.")


def page() -> str:
    schema = yaml.safe_load((ROOT / "resources/schemas/config.schema.yaml").read_text())
    return HEAD + "\n".join(rows(schema, schema)) + "\n"


if __name__ == "__main__":
    (ROOT / "docs/configuration.md").write_text(page())
