"""Filters of the configuration that choose among scans by the entities of their names.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

from pathlib import Path

import yaml

from workflow_scripts.common.job import InputError, listing

# Entities of BIDS by the long names that pybids and the specification have for them.
SHORT = {
    "subject": "sub",
    "session": "ses",
    "task": "task",
    "tracer": "trc",
    "acquisition": "acq",
    "ceagent": "ce",
    "contrast": "ce",
    "staining": "stain",
    "reconstruction": "rec",
    "direction": "dir",
    "run": "run",
    "modality": "mod",
    "echo": "echo",
    "flip": "flip",
    "inversion": "inv",
    "mtransfer": "mt",
    "part": "part",
    "processing": "proc",
    "hemisphere": "hemi",
    "space": "space",
    "split": "split",
    "chunk": "chunk",
    "sample": "sample",
    "resolution": "res",
    "density": "den",
    "label": "label",
    "description": "desc",
    "extension": "ext",
    "datatype": "datatype",
}
# Entities that are numbers, so that run-02 is run 2.
NUMBERS = {"run", "echo", "flip", "inv", "split", "chunk"}
# What a filter may say where a scan must be without the entity.
WITHOUT = (None, "", "n/a")
# Names that the rest of the configuration knows, by small letters.
STANDARD = {name.lower(): name for name in ("T1w", "T2w", "FLAIR", "dwi", "epi", "VWI", "R1map")}
NO_ENTITIES = {"path", "participant_id", "session_id", "in_place", "suffix", "named"}


def matches(row: dict, wanted: dict[str, str | None]) -> bool:
    """Whether a file has all the entities of a filter; null there means without the entity."""
    return all(_same(key, row.get(key), value) for key, value in wanted.items())


def _same(key: str, value: str | None, wanted: str | None) -> bool:
    if wanted in WITHOUT:
        return value is None
    if key in NUMBERS and value and value.isdigit() and wanted.isdigit():
        return int(value) == int(wanted)
    return value == wanted


def written(wanted: dict) -> str:
    """A filter as it stands in the configuration.

    >>> written({"run": "1", "ce": None})
    "{run: '1', ce: null}"
    """
    return yaml.safe_dump(wanted, default_flow_style=True, sort_keys=False, width=1000).strip()


def check_filters(filters: dict[str, dict], files: dict[str, list[dict]]) -> None:
    """A filter, and each of its entities, must fit some scan; no name may be in other capitals.

    Parameters
    ----------
    filters : suffix or name of a contrast -> filter
    files : the files that each of them chooses among

    Raises
    ------
    InputError
        Naming each entity or value that no scan has, those that there are, and the short name
        of BIDS where a long one was written.
    """
    problems = []
    for name, wanted in filters.items():
        rows = files.get(name, [])
        if wanted:
            problems += _filter_problems(name, wanted, rows)
        elif not rows and (meant := STANDARD.get(name.lower(), name)) != name:
            problems.append(f"scans.{name}: the dataset has no {name} file; write {meant}")
    if problems:
        raise InputError(listing(problems))


def _filter_problems(name: str, wanted: dict, rows: list[dict]):
    where, count = f"scans.{name}", 0
    what = f"{wanted.get('suffix', name)} file"
    if not rows:
        yield (
            f"{where} {written(wanted)}: the dataset has no {what}; correct the filter, or leave "
            "it out"
        )
        return
    known = {key for row in rows for key in row} - NO_ENTITIES
    shown = _list(known - {"sub", "ses"})
    for key, value in wanted.items():
        if key == "suffix":
            continue
        found = {row.get(key) for row in rows}
        if key not in known and (value not in WITHOUT or key not in SHORT.values()):
            short = SHORT.get(key.lower())
            hint = f"write {short}" if short and short != key else f"correct it to one of {shown}"
            yield f"{where}.{key}: no {what} has the entity {key}; {hint}"
            count += 1
        elif not any(_same(key, one, value) for one in found):
            problem = f"no {what} has {key}-{value}"
            if value in WITHOUT:
                problem = f"all {what}s have the entity {key}"
            yield f"{where}.{key}: {problem} (found: {_list(found, key)}); correct it"
            count += 1
    if not count and not any(matches(row, wanted) for row in rows):
        yield (
            f"{where} {written(wanted)}: no {what} has all of these together (such as "
            f"{Path(rows[0]['path']).name}); correct the filter"
        )


def _list(names, key: str | None = None) -> str:
    shown = (f"{key}-{name}" if key and name else name or "without it" for name in names)
    return ", ".join(sorted(shown))


def explain_choice(several: dict[tuple, list[dict]]) -> str:
    """Message about sessions with several scans where one is needed, and a filter for each.

    Parameters
    ----------
    several : participant, session and suffix -> files
    """
    lines = ["several scans match where one is needed; choose by entity in the configuration:"]
    for (participant, session, suffix), rows in sorted(several.items(), key=str):
        rows = sorted(rows, key=lambda row: (len(row), row["path"]))
        names = ", ".join(Path(row["path"]).name for row in rows)
        where = " ".join(part for part in (participant, session) if part)
        wanted = choosing(rows)
        what = f"set scans.{suffix}, for example {written(wanted)}"
        if not wanted:
            what = "they have the same entities, so keep one, or rename the others"
        lines.append(f"  {where}: {names}; {what}")
    return "\n".join(lines)


def choosing(rows: list[dict]) -> dict[str, str | None]:
    """A filter with as few entities as it takes to leave the first of several files."""
    first, *others = rows
    entities = {key for row in rows for key in row} - NO_ENTITIES - {"ext", "datatype"}
    keys = [*sorted(entities), "ext", "datatype"]
    wanted = {}
    while others:
        left = {key: [o for o in others if o.get(key) == first.get(key)] for key in keys}
        best = min(left, key=lambda key: len(left[key]))
        if len(left[best]) == len(others):
            break
        wanted[best], others = first.get(best), left[best]
    return wanted
