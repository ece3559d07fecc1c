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
    for path in sorted(_closure(PACKAGE / script)):
        digest.update(f"{_name(path)} {_content(path)}\n".encode())
    return digest.hexdigest()[:16]


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


@cache
def _content(path: Path) -> str:
    if path.suffix == ".py":
        text = ast.unparse(_without_docstrings(_parse(path))).encode()
    else:
        text = path.read_bytes()
    return hashlib.sha256(text).hexdigest()


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _closure(script: Path) -> set[Path]:
    found, queue = set(), [script]
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py":
            queue += _imported(path) + _resources(path)
    return found


@cache
def _imported(path: Path) -> list[Path]:
    modules = []
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.append(node.module)
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    files = []
    for module in modules:
        parts = module.split(".")
        if parts[0] != PACKAGE.name:
            continue
        target = PACKAGE.parent.joinpath(*parts)
        files += [f for f in (target.with_suffix(".py"), target / "__init__.py") if f.is_file()]
    return files


@cache
def _resources(path: Path) -> list[Path]:
    files = []
    for node in ast.walk(_parse(path)):
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "resource"):
            continue
        if not (len(node.args) == 1 and isinstance(node.args[0], ast.Constant)):
            raise ValueError(f"{path}:{node.lineno}: resource() takes one string literal")
        target = RESOURCES / node.args[0].value
        if not target.exists():
            raise FileNotFoundError(f"{path}:{node.lineno}: no such resource: {target}")
        files += [f for f in target.rglob("*") if f.is_file()] if target.is_dir() else [target]
    return files
