"""The project's files agree with each other."""

import ast
import importlib
import re

import pytest
import yaml

from tests.conftest import ROOT
from workflow_scripts.common.fingerprint import fingerprint


def lines(file):
    text = (ROOT / file).read_text().splitlines()
    return [line for line in text if line and not line.startswith("#")]


def normal(pin):
    return re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() + "==" + pin.split("==")[1]


def test_lock_is_exact_and_holds_what_is_required():
    lock = [normal(pin) for pin in lines("envs/lock.txt")]
    assert {normal(pin) for pin in lines("envs/requirements.txt")} <= set(lock)
    assert len({pin.split("==")[0] for pin in lock}) == len(lock)


def test_environment_of_mirp_is_exact():
    pins = lines("envs/mirp.txt")
    assert "mirp" in {pin.split("==")[0] for pin in pins}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)


def test_conda_environment_has_the_pins_of_the_lock():
    environment = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == lines("envs/lock.txt")


def test_container_installs_the_lock_on_the_same_python():
    recipe = (ROOT / "envs/Dockerfile").read_text()
    environment = (ROOT / "envs/environment.yaml").read_text()
    python = re.search(r"python=(3\.\d+)", environment).group(1)
    assert f"FROM python:{python}-" in recipe
    assert "COPY envs/lock.txt" in recipe
    assert "pip install --no-cache-dir -r /opt/lock.txt" in recipe


def test_documentation_of_the_configuration_is_up_to_date():
    from docs.configuration import page

    assert (ROOT / "docs/configuration.md").read_text() == page()


def rules():
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for block in re.split(r"(?m)^ *rule ", file.read_text())[1:]:
            yield block.split(":", 1)[0], block


def test_every_rule_has_a_docstring_a_log_and_the_script_of_its_name():
    for name, block in rules():
        script = re.search(r'"\.\./workflow_scripts/(\w+/(\w+)\.py)"', block)
        assert script.group(2) == name
        assert re.match(r'\w+:\n +"""[^\n]+\."""\n', block), name
        assert "    log:" in block, name
        assert fingerprint(script.group(1))


def test_rules_stay_short():
    lines_of = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for file in ROOT.glob("rules/**/*.smk")
    }
    assert lines_of["rules/common.smk"] < 300
    assert sum(lines_of.values()) <= 2195


def test_every_script_is_a_rule_or_imported():
    written = "".join(file.read_text() for file in ROOT.glob("rules/*.smk"))
    for file in (ROOT / "workflow_scripts").glob("*/*.py"):
        if 'if "snakemake" in globals()' in file.read_text():
            assert f"{file.parent.name}/{file.name}" in written, file


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda f: f.stem)
def test_benchmarks_find_what_they_import(file):
    """Which no other test runs."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("workflow_scripts"):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


def test_wings_import_only_themselves_and_common():
    for file in (ROOT / "workflow_scripts").glob("*/*.py"):
        wing = file.parent.name
        for other in re.findall(r"workflow_scripts\.(\w+)", file.read_text()):
            assert other in (wing, "common"), f"{file} imports from {other}"


def test_tests_that_the_fault_table_names_exist():
    table = (ROOT / "docs/faults.md").read_text()
    written = "".join(file.read_text() for file in ROOT.glob("tests/*/test_*.py"))
    named = re.findall(r"`(test_\w+)`", table)
    assert len(named) >= 20
    assert not [name for name in named if f"def {name}(" not in written]


def test_citation_has_the_version_and_the_licence_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"(?m)^## (\S+)$", (ROOT / "CHANGELOG.md").read_text())[1]
    assert citation["version"] == newest
    assert (ROOT / "LICENSE").read_text().startswith(f"{citation['license']} License")


def test_commits_are_linted_as_ci_is():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text().split("\nlint:")[1].split("\n\n")[0]
    for hook in hooks:
        assert hook["entry"].removeprefix(".venv/bin/") in lint
    assert len(hooks) == len(re.findall("ruff check|ruff format|snakefmt|snakemake --lint", lint))
