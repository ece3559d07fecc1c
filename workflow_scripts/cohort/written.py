"""What the user wrote in a configuration file, where YAML would change it without a word.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from workflow_scripts.common.job import InputError

VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")
QUOTES = "\"'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb`"
TAG = "tag:yaml.org,2002:"
# What YAML 1.1 makes of numbers with a leading zero or a colon.
OCTAL, SEXAGESIMAL = re.compile(r"[-+]?0[0-7_]+"), re.compile(r"[-+]?[0-9][0-9_]*(:[0-9.]+)+")


def check_files(files: list[Path]) -> None:
    """Check configuration files as they are written.

    Raises
    ------
    InputError
        Listing each key that stands twice, which would lose its first value, each key that YAML
        reads as no text, and each number or date that it reads as another one than it says.
    """
    problems = []
    for file in files:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            tree = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=loader)
        except (OSError, ValueError, yaml.YAMLError):
            continue  # which Snakemake refuses
        problems += [
            f"{file} line {node.start_mark.line + 1}: {problem}"
            for node, problem in _problems(tree, "")
        ]
    if problems:
        raise InputError("the configuration has errors:\n  " + "\n  ".join(problems))


def _problems(node, place: str, above: tuple = ()) -> Iterator[tuple]:
    if any(node is one for one in above):
        yield node, f"{place}: the anchor stands inside of itself; write the value out"
        return
    above = *above, node
    if isinstance(node, yaml.SequenceNode):
        for number, child in enumerate(node.value):
            yield from _problems(child, f"{place}.{number}", above)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, child in node.value:
            name = f"{place}.{key.value}".removeprefix(".")
            if key.tag not in (f"{TAG}str", f"{TAG}merge"):
                yield key, f"{name}: YAML reads the key {key.value} as {_read(key)}; {_quoted(key)}"
            elif key.value in lines:
                yield key, f"{name}: stands already in line {lines[key.value]}; keep one"
            lines.setdefault(key.value, key.start_mark.line + 1)
            yield from _problems(child, name, above)
    elif isinstance(node, yaml.ScalarNode) and _changed(node):
        yield node, f"{place}: YAML reads {node.value} as {_read(node)}; {_quoted(node)}"


def _changed(node) -> bool:
    """Whether a value is read as another number than it says, or as a date."""
    if node.tag in (f"{TAG}int", f"{TAG}float"):
        return bool(OCTAL.fullmatch(node.value) or SEXAGESIMAL.fullmatch(node.value))
    return node.tag == f"{TAG}timestamp"


def _read(node) -> str:
    loader = yaml.SafeLoader("")
    return f"{loader.construct_object(node)!s} ({node.tag.removeprefix(TAG)})"


def _quoted(node) -> str:
    number = f" or the number {node.value.lstrip('0') or 0}" if OCTAL.fullmatch(node.value) else ""
    return f"write it in quotes, '{node.value}'{number}"


def expanded(path: str, key: str) -> str:
    """A path of the configuration with ``~`` and $VARIABLES filled in.

    A path with a $ in it that is there as it is written stays as it is.

    Raises
    ------
    InputError
        If a variable is not set, there is no such user, or it has blanks or quotes around it and
        is not there.
    """
    if path != path.strip() and not (path.strip() and os.path.exists(path)):
        raise InputError(f"{key}: {path!r} has blanks around it; write the path without them")
    if path[:1] in QUOTES and not os.path.exists(path):
        raise InputError(f"{key}: {path!r} begins with a quote of its own; write it without")
    found = os.path.expanduser(path)
    if found.startswith("~"):
        raise InputError(f"{key}: {path}: there is no user {path.split('/')[0][1:]}; correct it")
    if os.path.exists(found):
        return found
    found = os.path.expandvars(found)
    if unset := [match.group() for match in VARIABLE.finditer(found) if match.group() in path]:
        raise InputError(f"{key}: {path}: {unset[0]} is not set; set it, or write the path itself")
    return found
