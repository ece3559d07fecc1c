"""Content fingerprint of a rule's script, so that reruns follow the code.

Snakemake looks at the time stamp of the script file alone: a fresh clone or a
touch would rerun everything, an edited shared module nothing. The fingerprint
covers the script, every first-party module it imports (and those import), and
every file it names by ``resource("...")``. Comments, docstrings and layout do
not count.
"""

import ast
import hashlib
import json
import os
from functools import cache
from pathlib import Path

from workflow_scripts.common.resources import RESOURCES

SHARED = "NEUROIMMUNE_MRI_FINGERPRINTS"
PACKAGE = Path(__file__).resolve().parents[1]


@cache
def fingerprint(script: str) -> str:
    """SHA-256 (first 16 hex digits) over the code and resources that ``script`` uses.

    Parameters
    ----------
    script : path relative to ``workflow_scripts/``

    Raises
    ------
    FileNotFoundError
        If the script or a resource that it names does not exist.
    ValueError
        If ``resource()`` is called with anything but one string literal.
    """
    digest = hashlib.sha256()
    for name, content in contents(script).items():
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()[:16]


def contents(script: str) -> dict[str, str]:
    """SHA-256 of what counts in each file that ``script`` uses, itself included, by name."""
    return {_name(path): _content(path) for path in sorted(_closure(PACKAGE / script))}


def shared_fingerprint(script: str, fresh: bool) -> str:
    """Like `fingerprint`; the processes of a run's jobs take it from the main one.

    All of them together cost 0.6 s, which each job would pay.

    Parameters
    ----------
    fresh : True in the main process, which looks at the files
    """
    known = json.loads(os.environ.get(SHARED, "{}"))
    if fresh or script not in known:
        known[script] = fingerprint(script)
        os.environ[SHARED] = json.dumps(known)
    return known[script]


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def _closure(script: Path) -> set[Path]:
    found, queue = set(), [script]
    while queue:
        path = queue.pop()
        if path not in found:
            found.add(path)
            queue += _read(path)[1]
    return found


def _content(path: Path) -> str:
    return _read(path)[0]


@cache
def _read(path: Path) -> tuple[str, list[Path]]:
    """SHA-256 of what counts in a file, and the files that it uses."""
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest(), []
    tree = ast.parse(path.read_text(), filename=str(path))
    used = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            used += _modules([alias.name for alias in node.names])
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            used += _modules([node.module, *names])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "resource":
            used += _resources(node, path)
        elif _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), used


def _has_docstring(node: ast.AST) -> bool:
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    return documented and ast.get_docstring(node, clean=False) is not None


def _modules(names: list[str]) -> list[Path]:
    files = []
    for name in names:
        parts = name.split(".")
        if parts[0] == PACKAGE.name:
            target = PACKAGE.parent.joinpath(*parts)
            files += [target.with_suffix(".py"), target / "__init__.py"]
    return [file for file in files if file.is_file()]


def _resources(call: ast.Call, path: Path) -> list[Path]:
    if not (len(call.args) == 1 and isinstance(call.args[0], ast.Constant)):
        raise ValueError(f"{path}:{call.lineno}: resource() takes one string literal")
    target = RESOURCES / call.args[0].value
    if not target.exists():
        raise FileNotFoundError(f"{path}:{call.lineno}: no such resource: {target}")
    return [f for f in target.rglob("*") if f.is_file()] if target.is_dir() else [target]
