"""What the workflow's code says, read without running it."""

import ast
from functools import cache

from tests.conftest import ROOT

A, D, V, L, B, S, C, R = (
    "anatomical/", "diffusion/", "vessel_wall/", "learning/", "baselines/", "statistics/",
    "cohort/", "report/",
)  # fmt: skip


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / f"workflow_scripts/{module}.py").read_text())


@cache
def words(module: str) -> set:
    """Names, attributes, arguments and constants of a module's code, its docstrings left out."""
    found = set()
    for node in ast.walk(tree(module)):
        match node:
            case ast.Name():
                found.add(node.id)
            case ast.Attribute():
                found.add(node.attr)
            case ast.keyword() | ast.arg():
                found.add(node.arg)
            case ast.FunctionDef() | ast.ClassDef() | ast.alias():
                found.add(node.name)
            case ast.Constant() if not isinstance(node.value, str) or "\n" not in node.value:
                found.add(node.value)
    return found


def uses(module: str, *names) -> bool:
    return set(names) <= words(module)


def constant(module: str, name: str):
    """Value that a module gives to a name at its top."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return ast.literal_eval(node.value)
    raise KeyError(f"{module}: no constant {name}")


def calls(module: str, function: str, inside: str, **keywords) -> bool:
    """Whether a function of a module calls another with these arguments, as in the code."""
    (defined,) = (
        n for n in ast.walk(tree(module)) if isinstance(n, ast.FunctionDef) and n.name == inside
    )
    for node in ast.walk(defined):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(function):
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if keywords.items() <= given.items():
                return True
    return False


def text_of(module: str, function: str) -> str:
    (defined,) = (
        n for n in ast.walk(tree(module)) if isinstance(n, ast.FunctionDef) and n.name == function
    )
    return ast.unparse(defined)
