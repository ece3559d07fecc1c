"""Regions that engines segment, and the numbers that programs give them.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import csv
import json
import string
from functools import cache
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource

# Values of a segmentation's label image.
LEFT, RIGHT = 1, 2
SIDES = {"left": LEFT, "right": RIGHT}
# What braces in a command hold beside images.
NO_IMAGES = (None, "folder", "threads")


class Labels(NamedTuple):
    """Numbers of a region in a label image; the same where the two sides have one."""

    left: int
    right: int


@cache
def _rows(name: str) -> list[dict]:
    tables = {
        "labels": resource("segmentation/labels.tsv"),
        "regions": resource("segmentation/regions.tsv"),
        "commands": resource("segmentation/commands.tsv"),
    }
    with open(tables[name]) as table:
        return list(csv.DictReader(table, delimiter="\t"))


def known_regions() -> list[str]:
    """Regions of resources/segmentation/regions.tsv."""
    return [row["region"] for row in _rows("regions")]


def body_part_of(region: str) -> str:
    """Part of the body that a region lies in."""
    [row] = [row for row in _rows("regions") if row["region"] == region]
    return row["body_part"]


def plausible_ml(region: str) -> tuple[float, float]:
    """Lowest and highest plausible volume of a region, both sides, in mL."""
    [row] = [row for row in _rows("regions") if row["region"] == region]
    return float(row["low_ml"]), float(row["high_ml"])


def programs() -> list[str]:
    """Programs of resources/segmentation/labels.tsv."""
    return list(dict.fromkeys(row["program"] for row in _rows("labels")))


def commands() -> dict[str, dict[str, str]]:
    """Command and result, ``run`` and ``result``, of resources/segmentation/commands.tsv."""
    return {
        row["program"]: {key: row[key] for key in ("run", "result")} for row in _rows("commands")
    }


def images_of(command: str) -> list[str]:
    """Names of the images that a command of an engine reads."""
    fields = (field for _, field, *_ in string.Formatter().parse(command))
    return list(dict.fromkeys(field for field in fields if field not in NO_IMAGES))


def region_label(region: str) -> str:
    """A region as the entity ``label`` names it.

    >>> region_label("lateral_ventricles")
    'LateralVentricles'
    """
    return "".join(part.capitalize() for part in region.split("_"))


def region_of(label: str) -> str | None:
    """The region that the entity ``label`` names, in whatever case; None if it names none."""
    names = {region_label(region).casefold(): region for region in known_regions()}
    return names.get(label.casefold())


def labels_of(program: str, region: str) -> Labels:
    """Numbers of a region in the label images of a program.

    Raises
    ------
    InputError
        If the program has no such label, saying what it has instead.
    """
    for row in _rows("labels"):
        if (row["program"], row["region"]) == (program, region):
            if row["left"] == "n/a":
                raise InputError(
                    f"{program} has no label of the {region}: {row['note']} ({row['source']}); "
                    "name another program"
                )
            return Labels(int(row["left"]), int(row["right"]))
    having = [row["program"] for row in _rows("labels") if row["region"] == region]
    raise InputError(
        f"{program} has no label of the {region} in resources/segmentation/labels.tsv, "
        f"which knows it of {', '.join(having)}; add the row, or give labels: [left, right]"
    )


def training_of(weights: str) -> dict:
    """What the JSON beside a trained network says: Region, Channels, SpacingMm, ExtentMm.

    Raises
    ------
    InputError
        If one of both files is missing, or the JSON is none of such a network.
    """
    described = Path(weights).with_suffix(".json")
    try:
        if not Path(weights).is_file():
            raise FileNotFoundError("the weights are not there")
        told = json.loads(described.read_text())
        if not all(told[key] for key in ("Region", "Channels", "SpacingMm")):
            raise ValueError("it names no region, channels or spacing")
        return told
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{weights}: not a network that an engine of kind unet has trained, with its .json "
            f"beside it ({error}); copy both files from segmentation/ of that run"
        ) from error
