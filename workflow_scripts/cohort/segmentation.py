"""Section ``segmentation`` of the configuration, and what others have segmented.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import glob
import os
import shlex
import string
import subprocess
from functools import cache
from pathlib import Path

from workflow_scripts.cohort.index import index_manual
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.engines import (
    body_part_of,
    commands,
    images_of,
    known_regions,
    labels_of,
    programs,
    training_of,
)
from workflow_scripts.common.job import InputError

# Programs whose labels an engine has that runs here.
PROGRAM_OF_KIND = {"atlas": "atlas", "network": "meshnet"}
OF_OTHERS = ("vote", "mean")
ON_TEMPLATE = ("atlas", "network", "multi_atlas")
NO_CHANNELS = ("dwi", "epi", "VWI")
FIELDS = ("participant", "session", "prefix", "folder")


def segmentation_problems(section: dict, scans: dict, body_part: str, studies: dict):
    """What is wrong with section ``segmentation`` of a configuration that fits the schema."""
    for region, settings in section["regions"].items():
        where = f"segmentation.regions.{region}"
        if region not in known_regions():
            yield (
                f"{where}: is no region of resources/segmentation/regions.tsv "
                f"({', '.join(known_regions())}); correct it, or add its rows there"
            )
            continue
        if body_part_of(region) != body_part:
            yield (
                f"{where}: is a region of the {body_part_of(region)}, and anatomical.body_part is "
                f"{body_part}; correct one of them"
            )
            continue
        engines = settings["engines"]
        for name, engine in engines.items():
            key = f"{where}.engines.{name}"
            if body_part != "brain" and engine["kind"] in ON_TEMPLATE:
                yield f"{key}.kind: {engine['kind']} needs MNI152, which a {body_part} has not"
                continue
            if engine.get("study") not in (None, *studies):
                yield f"{key}.study: {engine['study']} is no study ({', '.join(studies)})"
            yield from _engine_problems(key, engine, region, engines)
            part, channels = _channels(engine)
            for channel in channels:
                yield from _contrast_problems(f"{key}.{part}", channel, scans)
            if "rater" in engine and not section["manual"]:
                yield f"{key}: stands on masks drawn by hand; name their folder as manual"
        for channel in settings.get("radiomics", {}).get("channels", []):
            yield from _contrast_problems(f"{where}.radiomics.channels", channel, scans)
        features = settings.get("features")
        if features is not None and features not in engines:
            yield (
                f"{where}.features: {features} is none of its engines "
                f"({', '.join(engines)}); correct it"
            )


def _contrast_problems(where: str, channel: str, scans: dict):
    if channel not in scans or channel in NO_CHANNELS:
        yield (
            f"{where}: {channel} is no contrast of an image that scans names "
            f"({', '.join(name for name in scans if name not in NO_CHANNELS)}); "
            "correct it, or add it to scans"
        )


def _channels(engine: dict) -> tuple[str, list[str]]:
    """Key with the contrasts that an engine names, and these."""
    if engine["kind"] == "command":
        try:
            return "run", images_of(engine.get("run", ""))
        except ValueError:  # told by `_command_problems`
            return "run", []
    return "channels", engine.get("channels", [])


def _command_problems(where: str, engine: dict):
    program, run = engine.get("program"), engine.get("run", "")
    if program and program not in commands() and not run:
        yield (
            f"{where}.program: no command of {program} is known ({', '.join(commands())}); "
            "correct it, or give run and result"
        )
    if not program and not {"run", "result", "labels"} <= engine.keys():
        yield f"{where}: give a program ({', '.join(commands())}), or run, result and labels"
    if bool(run) != ("result" in engine):
        yield f"{where}: give run and result together"
    try:
        images_of(run)
        words = shlex.split(run)
    except ValueError as error:
        yield f"{where}.run: {run} cannot be read ({error}); correct it"
        return
    if run and not ("{folder}" in run and "{T1w}" in run):
        yield f"{where}.run: has no {{T1w}} and {{folder}}, which it reads and writes"
    if words and "{" in words[0]:
        yield f"{where}.run: begins with {words[0]}; begin with the program"


def _engine_problems(where: str, engine: dict, region: str, engines: dict):
    kind = engine["kind"]
    if kind == "import" and ("program" in engine) == ("labels" in engine):
        yield (
            f"{where}: give either the program ({', '.join(_importable())}) or its labels of the "
            "region, [left, right]"
        )
        return
    if kind == "command":
        yield from _command_problems(where, engine)
    program = engine.get("program", PROGRAM_OF_KIND.get(kind))
    if program and "labels" not in engine:
        try:
            labels_of(program, region)
        except InputError as error:
            yield f"{where}: {error}"
    if kind == "import":
        yield from _pattern_problems(f"{where}.files", engine["files"])
    for other in engine.get("of", []):
        if engines.get(other, {}).get("kind", OF_OTHERS[0]) in OF_OTHERS:
            yield (
                f"{where}.of: {other} is none of the engines that stand on no others "
                f"({', '.join(n for n, e in engines.items() if e['kind'] not in OF_OTHERS)})"
            )


def _importable() -> list[str]:
    return [name for name in programs() if name not in PROGRAM_OF_KIND.values()]


def _pattern_problems(where: str, pattern: str):
    try:
        fields = {field for _, field, *_ in string.Formatter().parse(pattern) if field is not None}
    except ValueError as error:
        yield f"{where}: {pattern} cannot be read ({error}); correct it"
        return
    if unknown := fields.difference(FIELDS):
        yield (
            f"{where}: {', '.join(map(repr, sorted(unknown)))} is none of "
            f"{', '.join('{' + field + '}' for field in FIELDS)}; correct it"
        )
    elif not fields:
        yield f"{where}: {pattern} is one file for all sessions; write {{prefix}} where they differ"


def _imports(section: dict, index: list[dict]) -> list[dict]:
    """Rows of suffix ``<region>_<engine>`` for the results of other programs.

    Of each session of ``index`` that has a T1w: the file, or None and in ``note`` what is missing.

    Raises
    ------
    InputError
        If several files fit a session.
    """
    rows = []
    heads = [row for row in index if row["suffix"] == "T1w" and row["path"]]
    for region, settings in section["regions"].items():
        for name, engine in settings["engines"].items():
            for head in heads if engine["kind"] == "import" else ():
                path, note = _file_of(engine["files"], head, f"{region}.engines.{name}")
                keys = {key: head[key] for key in ("participant_id", "session_id")}
                rows.append(keys | {"suffix": f"{region}_{name}", "path": path, "note": note})
    return rows


def _file_of(pattern: str, head: dict, key: str) -> tuple[str | None, str | None]:
    participant, session = head["participant_id"], head["session_id"]
    if session is None and "{session}" in pattern:
        return None, f"{pattern} names a session, and this one has no name"
    prefix = session_prefix(participant, session)
    path = pattern.format(
        participant=participant, session=session, prefix=prefix, folder=prefix.replace("_", "/")
    )
    if not glob.has_magic(path):
        return (path, None) if os.path.exists(path) else (None, f"no {path}")
    found = sorted(glob.glob(path))
    if len(found) > 1:
        raise InputError(
            f"segmentation.regions.{key}.files: {', '.join(found)} all fit {path}; "
            "write the pattern so that one does"
        )
    return (found[0], None) if found else (None, f"no {path}")


def weights_of(config: dict) -> dict[str, str]:
    """Folders of networks by the key of the configuration that names them."""
    found = {"anatomical.network": config["anatomical"]["network"]}
    for region, settings in config["segmentation"]["regions"].items():
        for name, engine in settings["engines"].items():
            if engine["kind"] == "network":
                found[f"segmentation.regions.{region}.engines.{name}.weights"] = engine["weights"]
    return {key: folder for key, folder in found.items() if folder}


def place_paths(section: dict, absolute) -> None:
    """Make the paths of section ``segmentation`` absolute, by a function of a section and key."""
    absolute(section, "manual")
    for settings in section["regions"].values():
        absolute(settings.get("radiomics", {}), "python")
        for engine in settings["engines"].values():
            for key in ("weights", "files"):
                absolute(engine, key)


def complete_pretrained(section: dict, scans: dict) -> None:
    """Give engines of kind `pretrained_unet` the channels and spacing of their training.

    Raises
    ------
    InputError
        If the files cannot be used, or are of another region or of contrasts that are not here.
    """
    for region, settings in section["regions"].items():
        for name, engine in settings["engines"].items():
            if engine["kind"] != "pretrained_unet":
                continue
            where = f"segmentation.regions.{region}.engines.{name}.weights"
            told = training_of(engine["weights"])
            if told["Region"] != region:
                raise InputError(f"{where}: is of {told['Region']}; name a network of {region}")
            if absent := [channel for channel in told["Channels"] if channel not in scans]:
                raise InputError(
                    f"{where}: reads {' and '.join(absent)}, which scans does not name "
                    f"({', '.join(scans)}); add it under that name"
                )
            engine |= {"channels": told["Channels"], "spacing": told["SpacingMm"]}


def complete_radiomics(section: dict) -> None:
    """Note down the version of mirp that each region is measured by.

    Raises
    ------
    InputError
        If there is no such Python, or it has no mirp.
    """
    for region, settings in section["regions"].items():
        if "radiomics" in settings:
            where = f"segmentation.regions.{region}.radiomics.python"
            settings["radiomics"]["version"] = _mirp_of(settings["radiomics"]["python"], where)


@cache
def _mirp_of(python: str, where: str) -> str:
    asked = "from importlib.metadata import version; print(version('mirp'))"
    try:
        told = subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True)
    except OSError as error:
        raise InputError(
            f"{where}: {python} cannot be run ({error.strerror}); name the Python of an "
            "environment with mirp, which `make mirp` makes"
        ) from error
    if told.returncode:
        raise InputError(
            f"{where}: {python} has no mirp ({told.stderr.strip().splitlines()[-1]}); install "
            "envs/mirp.txt there, or name the Python of an environment with it"
        )
    return told.stdout.strip()


def segmentations(section: dict, index: list[dict], only: list[str] | None = None) -> list[dict]:
    """Rows of suffix ``<region>_<name>`` for what other programs and raters have made.

    Raises
    ------
    InputError
        If a folder or file cannot be used, or a rater has the name of an engine.
    """
    drawn = index_manual(Path(section["manual"]), only) if section["manual"] else []
    names = {row["suffix"] for row in drawn}
    for region, settings in section["regions"].items():
        for name in settings["engines"]:
            if f"{region}_{name}" in names:
                raise InputError(
                    f"segmentation.regions.{region}.engines.{name}: is the name of a rater in "
                    "segmentation.manual; rename the engine"
                )
    return drawn + _imports(section, index)
