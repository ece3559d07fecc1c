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
import sys
import tempfile
from functools import cache
from pathlib import Path

from workflow_scripts.common.resources import RESOURCES

SHARED = "NEUROIMMUNE_MRI_FINGERPRINTS"
# What counts in files and what these use, by the checksum of their bytes: a third of the start of a
# run. Beside Python's own caches; an audit does without it, see `fingerprint`.
KEPT = f"__pycache__/fingerprints-{sys.implementation.cache_tag}.json"
PACKAGE = Path(__file__).resolve().parents[1]


@cache
def fingerprint(script: str) -> str:
    """SHA-256 (first 16 hex digits) over the code and resources that ``script`` uses.

    Of the files as they are, unless `shared_fingerprint` has read what was kept of them.

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
    if fresh:
        _take_kept()
    if fresh or script not in known:
        known[script] = fingerprint(script)
        os.environ[SHARED] = json.dumps(known)
    return known[script]


_parsed: dict[str, list] = {}


def keep_parsed() -> None:
    """Keep what was read of the package's files for the next start, where it can be written."""
    if _take_kept() >= _parsed.keys():
        return
    target = PACKAGE / KEPT
    try:
        target.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent)
        with os.fdopen(handle, "w") as file:
            json.dump(_parsed, file)
        os.replace(name, target)
    except OSError:
        return


@cache
def _take_kept() -> frozenset[str]:
    """Take what was kept of files that have not changed since: the checksums of these files."""
    kept = _kept()
    _parsed.update(kept)
    return frozenset(kept)


def _kept() -> dict[str, list]:
    try:
        found = json.loads((PACKAGE / KEPT).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
    code = path.read_bytes()
    key = hashlib.sha256(code).hexdigest()
    if path.suffix != ".py":
        return key, []
    if key not in _parsed:
        _parsed[key] = _parse(code, path)
    content, modules, resources = _parsed[key]
    return content, [*_modules(modules), *(f for name in resources for f in _resource(name, path))]


def _parse(code: bytes, path: Path) -> list:
    """SHA-256 of what counts in a module, the names that it imports, and its resources."""
    tree = ast.parse(code, filename=str(path))
    modules, resources = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "resource":
            if not (len(node.args) == 1 and isinstance(node.args[0], ast.Constant)):
                raise ValueError(f"{path}:{node.lineno}: resource() takes one string literal")
            resources.append(node.args[0].value)
        elif _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    own = [name for name in modules if name.split(".")[0] == PACKAGE.name]
    return [hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), own, resources]


def _has_docstring(node: ast.AST) -> bool:
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    return documented and ast.get_docstring(node, clean=False) is not None


def _modules(names: list[str]) -> list[Path]:
    files = []
    for name in names:
        target = PACKAGE.parent.joinpath(*name.split("."))
        files += [target.with_suffix(".py"), target / "__init__.py"]
    return [file for file in files if file.is_file()]


def _resource(name: str, path: Path) -> list[Path]:
    target = RESOURCES / name
    if not target.exists():
        raise FileNotFoundError(f"{path}: no such resource: {target}")
    return [f for f in target.rglob("*") if f.is_file()] if target.is_dir() else [target]
