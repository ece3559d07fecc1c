"""Trained networks that sessions are scored with, and the images that they read.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import json
import re
from pathlib import Path

from workflow_scripts.common.inner import is_inner


def frozen_models(folder: str | None) -> list[str]:
    """Weights of the networks in a folder; where there is none, a path that says so.

    Those of inner splits, which stacks of models were fitted with, are left out.
    """
    folder = Path(folder or "(configuration: frozen_models is not set)")
    weights = sorted(folder.glob("[!.]*_model.safetensors"))
    found = [str(path) for path in weights if not _of_inner_split(path.name)]
    return found or [f"{folder}/no *_model.safetensors there"]


def _of_inner_split(name: str) -> bool:
    number = re.search(r"_split-(\d+)_", name)
    return bool(number) and is_inner(int(number[1]))


def wanted_images(models: list[str]) -> dict[str, list[str]]:
    """Contrasts that networks read, by space; what cannot be read is left to the job."""
    wanted: dict[str, dict] = {"MNI152": {}, "native": {}}
    for weights in models:
        try:
            entry = json.loads(Path(weights).with_suffix(".json").read_text()).get("input", {})
        except (OSError, ValueError):
            continue
        space, names = entry.get("space", "MNI152"), entry.get("channels", [])
        # what comes to MNI152 does so by the T1w, and a model of version 0.6 reads that alone
        wanted[space] |= dict.fromkeys(names if space == "native" else ["T1w", *names])
    return {space: list(names) for space, names in wanted.items()}


def session_images(models: list[str], scans: dict, paths_of) -> list[dict]:
    """Sessions with the images that networks read.

    Parameters
    ----------
    models : paths of weights
    scans : contrast -> session prefix -> rows of the index
    paths_of : function of prefix, contrasts and space to paths

    Returns
    -------
    dicts with participant_id, session_id, and under MNI152 and native the path of each contrast
    that the session has
    """
    wanted = wanted_images(models)
    with_t1w = scans["T1w"].keys()
    sessions: dict[str, dict] = {}
    for space, names in wanted.items():
        for name in names:
            for prefix, rows in scans.get(name, {}).items():
                if space == "MNI152" and prefix not in with_t1w:
                    continue
                new = {key: rows[0][key] for key in ("participant_id", "session_id")}
                session = sessions.setdefault(prefix, new | {"MNI152": {}, "native": {}})
                session[space][name] = paths_of(prefix, [name], space)[0]
    return list(sessions.values())


def image_files(sessions: list[dict]) -> list[str]:
    """Paths of all images of `session_images`."""
    spaces = (session[space] for session in sessions for space in ("MNI152", "native"))
    return [path for images in spaces for path in images.values()]
