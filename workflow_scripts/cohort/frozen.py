"""Trained models that sessions are scored with, and the images and columns that they read.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import json
import re
from pathlib import Path

from workflow_scripts.common.inner import is_inner
from workflow_scripts.common.job import InputError
from workflow_scripts.common.labels import label_column

SPACES = ("MNI152", "native", "T1w")
# Keys of `anatomical` that change the images which networks read.
PREPARING = ("brain_extraction", "registration")


def frozen_models(folder: str | None) -> list[str]:
    """Weights of the networks in a folder; where there is none, a path that says so.

    Those of inner splits, which stacks of models were fitted with, are left out.
    """
    folder = Path(folder or "(configuration: frozen_models is not set)")
    weights = sorted(folder.glob("[!.]*_model.safetensors"))
    found = [str(path) for path in weights if not _of_inner_split(path.name)]
    return found or [f"{folder}/no *_model.safetensors there"]


def frozen_stacks(folder: str | None) -> dict[str, dict]:
    """What stacks of models in a folder read, by path; a broken one is left to the job."""
    found = {}
    for path in sorted(Path(folder).glob("[!.]*_stack.json")) if folder else ():
        try:
            stack = json.loads(path.read_text())
            found[str(path)] = {key: stack[key] for key in ("inputs", "measured")}
        except (OSError, ValueError, KeyError, TypeError):
            found[str(path)] = {"inputs": {}, "measured": []}
    return found


class Frozen:
    """Trained networks and stacks of them that a run scores its sessions with.

    Parameters
    ----------
    config : checked configuration
    clinical : row of the participants' tables by participant and session

    Attributes
    ----------
    models : paths of the networks' weights
    stacks : what each reads, by path
    """

    def __init__(self, config: dict, clinical: dict | None = None):
        self.models = frozen_models(config["frozen_models"])
        self.stacks = frozen_stacks(config["frozen_models"])
        self._label, self._clinical = config["frozen_label"], clinical or {}

    def columns(self, measured: bool) -> list[str]:
        """Columns that stacks read: those of features.tsv, or those of the participants' tables."""
        return [
            name
            for stack in self.stacks.values()
            for part in stack["inputs"].values()
            for name in part
            if (name in stack["measured"]) == measured
        ]

    def values(self) -> list[dict]:
        """Values of the columns that stacks read from the participants' tables, by session."""
        names = dict.fromkeys(["participant_id", "session_id", *self.columns(measured=False)])
        return [{name: row[name] for name in names} for row in self._clinical.values()]

    def sessions(self, scans: dict, paths_of, sides_of) -> list[dict]:
        """Sessions as of `session_images`, with the text of their label where one is asked for."""
        found = session_images(self.models, scans, paths_of, sides_of)
        for session in found if self._label else ():
            row = self._clinical[session["participant_id"], session["session_id"]]
            session["label"] = row[label_column(self._label)]
        return found


def frozen_columns(config: dict) -> dict[str, str]:
    """Columns of the participants' tables that frozen models need, with the key that asks for them.

    Parameters
    ----------
    config : checked configuration
    """
    found = dict.fromkeys(Frozen(config).columns(measured=False), "frozen_models")
    label = config["frozen_label"]
    return found | ({label_column(label): "frozen_label"} if label else {})


def prepared(anatomical: dict) -> dict:
    """How images are prepared: what must be alike where a network is trained and where it scores.

    Parameters
    ----------
    anatomical : section of a checked configuration
    """
    taken = (anatomical["preprocessed"] or {"take": []})["take"]
    images = " and ".join(sorted({"T1w", "transforms"} & {*taken})) or "nothing"
    return {key: anatomical[key] for key in PREPARING} | {"preprocessed": images}


def check_frozen(config: dict) -> None:
    """Check that frozen networks can read this cohort's images, before anything runs.

    Raises
    ------
    InputError
        If they were trained on images that were prepared otherwise, or no engine segments a region
        that they read images around.
    """
    wanted = wanted_inputs(frozen_models(config["frozen_models"]))
    here = prepared(config["anatomical"])
    for entry in wanted:
        for key, there in entry.get("prepared", here).items():
            if there != here[key]:
                raise InputError(
                    f"frozen_models: its networks were trained on images of anatomical.{key}: "
                    f"{there}, and this configuration has {here[key]}; set it as it was there, or "
                    "their scores would mean nothing"
                )
    for region, engine in regions_cut_around(wanted):
        engines = config["segmentation"]["regions"].get(region, {"engines": {}})["engines"]
        if engine not in engines:
            raise InputError(
                f"frozen_models: its networks read images cut around {region} as the engine "
                f"{engine} of their study found it; add segmentation.regions.{region}.engines."
                f"{engine} of kind pretrained_unet, whose weights lie beside the study in "
                f"segmentation/*_{engine}*_fold-0_model.safetensors"
            )


def _of_inner_split(name: str) -> bool:
    number = re.search(r"_split-(\d+)_", name)
    return bool(number) and is_inner(int(number[1]))


def wanted_inputs(models: list[str]) -> list[dict]:
    """Inputs of networks as their studies had them, each once; the job tells what it cannot read.

    A model of version 0.6 reads the T1w in MNI152 alone.
    """
    found = []
    for weights in models:
        try:
            entry = json.loads(Path(weights).with_suffix(".json").read_text()).get("input", {})
        except (OSError, ValueError):
            continue
        entry = {"channels": ["T1w"], "space": "MNI152"} | entry
        if entry not in found:
            found.append(entry)
    return found


def regions_cut_around(inputs: list[dict]) -> list[tuple[str, str]]:
    """Region and engine that inputs of networks, as of `wanted_inputs`, are cut around."""
    around = (entry["segmented"] for entry in inputs if "segmented" in entry)
    return list(dict.fromkeys((one["region"], one["engine"]) for one in around))


def session_images(models: list[str], scans: dict, paths_of, sides_of) -> list[dict]:
    """Sessions with the images that networks read.

    Parameters
    ----------
    models : paths of weights
    scans : contrast -> session prefix -> rows of the index
    paths_of : function of prefix, contrasts, space and whether on the grid of the T1w to paths
    sides_of : function of prefix, region and engine to the path of a label image, or None

    Returns
    -------
    dicts with participant_id, session_id, and under MNI152, native and T1w (on its grid) the path
    of each contrast that the session has; under sides those of the regions that inputs are cut
    around, by ``<region> <engine>``
    """
    with_t1w = scans["T1w"].keys()
    sessions: dict[str, dict] = {}
    for entry in wanted_inputs(models):
        around = entry.get("segmented")
        space = "T1w" if around else entry["space"]
        for name in dict.fromkeys([*(["T1w"] if space != "native" else []), *entry["channels"]]):
            for prefix, rows in scans.get(name, {}).items():
                if space != "native" and prefix not in with_t1w:
                    continue
                new = {key: rows[0][key] for key in ("participant_id", "session_id")}
                empty = {place: {} for place in (*SPACES, "sides")}
                session = sessions.setdefault(prefix, new | empty)
                session[space][name] = paths_of(prefix, [name], space, bool(around))[0]
                if around and (sides := sides_of(prefix, around["region"], around["engine"])):
                    session["sides"][f"{around['region']} {around['engine']}"] = sides
    return list(sessions.values())


def image_files(sessions: list[dict]) -> list[str]:
    """Paths of all images of `session_images`."""
    parts = (session[place] for session in sessions for place in (*SPACES, "sides"))
    return [path for images in parts for path in images.values()]
