"""Measure the lumen and the wall of a session's vessels."""

from pathlib import Path

import pandas as pd

from workflow_scripts.common.bids import artery
from workflow_scripts.common.columns import READ_TWICE, SECOND_RATER
from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.vessel_wall.contours import read_contours
from workflow_scripts.vessel_wall.masks import vessel_from_masks
from workflow_scripts.vessel_wall.segments import (
    contour_table,
    section_table,
    segment_row,
    session_measures,
)
from workflow_scripts.vessel_wall.vessel import Vessel, entities

IMAGES = r"(mask|probseg)\.nii(\.gz)?"
INPUTS = {
    "lumen": IMAGES,
    "outerwall": IMAGES,
    "vesselwall": r"contours\.tsv",
    "automatic": r"contours\.tsv",
}


def read_vessels(paths: list[str]) -> list[Vessel]:
    """All vessels of a session, sorted by artery and side.

    Where a vessel was delineated by hand, its automatic contours are not used.

    Parameters
    ----------
    paths : masks (two per vessel) and contour tables; for their names see docs/cohort.md

    Raises
    ------
    InputError
        With all problems of all files, one per line.
    """
    problems, pairs, tables, vessels = [], {}, [], []
    for path in sorted(paths):
        try:
            entity = entities(path, INPUTS)
            if entity["desc"] != "automatic" and not entity["label"]:
                raise InputError(f"{path}: names no artery; put label-<artery> into its name")
        except InputError as error:
            problems.append(str(error))
            continue
        key = (entity["hemi"], entity["label"])
        if entity["suffix"] == "contours.tsv":
            tables.append((path, *key))
        elif entity["desc"] in pairs.setdefault(key, {}):
            problems.append(
                f"{path}: the same as {pairs[key][entity['desc']]} for one vessel; keep one of them"
            )
        else:
            pairs[key][entity["desc"]] = path
    for (hemi, label), pair in pairs.items():
        try:
            if len(pair) < 2:
                (path,), other = pair.values(), "outerwall" if "lumen" in pair else "lumen"
                raise InputError(f"{path}: its desc-{other} is missing; draw it, or remove this")
            vessels.append(vessel_from_masks(pair["lumen"], pair["outerwall"], hemi, label))
        except InputError as error:
            problems.append(str(error))
    for path, hemi, label in tables:
        try:
            vessels += read_contours(path, hemi, label)
        except InputError as error:
            problems.append(str(error))
    by_hand = {(vessel.hemi, vessel.label) for vessel in vessels if vessel.source != "automatic"}
    vessels = [
        vessel
        for vessel in vessels
        if vessel.source != "automatic" or (vessel.hemi, vessel.label) not in by_hand
    ]
    names = [vessel.name for vessel in vessels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(f"{name}: given by masks and by contours; keep one of them")
    if not vessels and not problems:
        problems.append("no vessel-wall files; give masks or contours")
    if problems:
        raise InputError("\n".join(problems))
    return sorted(vessels, key=lambda vessel: (vessel.label, vessel.hemi or ""))


def second_reading(paths: list[str], arteries: list[str] | None = None) -> dict[str, float]:
    """The session's means by a second rater, named ``second_rater_nwi`` and so on.

    Parameters
    ----------
    paths : masks and contour tables with an entity ``rater``; none where there is no second rater
    arteries : as of `session_measures`

    Raises
    ------
    InputError
        If they are of several raters, or as of `read_vessels`.
    """
    raters = sorted({entities(path, INPUTS)["rater"] for path in paths})
    if len(raters) > 1:
        raise InputError(
            f"{paths[0]}: one second rater is compared with the first, these are {len(raters)} "
            f"({', '.join(raters)}); leave all but one in another folder"
        )
    if not paths:
        return {}
    _, segments, _ = measure(read_vessels(paths))
    means = session_measures(segments, arteries)
    return {f"{SECOND_RATER}{name}": means[name] for name in READ_TWICE if name in means}


def measure(vessels: list[Vessel]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Tables of the sections, the segments and the contours of vessels."""
    sections = [section_table(vessel) for vessel in vessels]
    segments = [segment_row(v, table) for v, table in zip(vessels, sections, strict=True)]
    contours = [contour_table(vessel) for vessel in vessels]
    return (
        pd.concat(sections, ignore_index=True).round(5),
        pd.DataFrame(segments).round(5),
        pd.concat(contours, ignore_index=True),
    )


def session_flags(vessels: list[Vessel], segments: pd.DataFrame, arteries=None) -> dict:
    """What limits the numbers of each vessel, and which arteries of the set are missing.

    Returns
    -------
    ``Flags``, which make the numbers doubtful, and ``Notes``, in the words of
    resources/vessel_wall_flags.tsv
    """
    told = read_table(resource("vessel_wall_flags.tsv")).set_index("flag")
    found = {"doubtful": [], "note": []}
    for vessel, flags in zip(vessels, segments["flags"].fillna(""), strict=True):
        name = artery(vessel.label, vessel.hemi).replace("_", " ")
        for flag in filter(None, flags.split("; ")):
            found[told.at[flag, "level"]].append(f"{name}: {told.at[flag, 'words']}")
    missing = set(arteries or ()) - {artery(v.label, v.hemi) for v in vessels}
    found["doubtful"] += [
        f"{name.replace('_', ' ')}: missing, so the session has no mean over {', '.join(arteries)}"
        for name in sorted(missing)
    ]
    return {"Flags": found["doubtful"], "Notes": found["note"]}


def main(source, out, params):
    """Measure the vessels of a session, and write their sections, segments and contours."""
    paths = list(source)
    second = [path for path in paths if "_rater-" in Path(path).name]
    vessels = read_vessels([path for path in paths if path not in second])
    sections, segments, contours = measure(vessels)
    columns = resource("columns/vessel_wall.tsv")
    for table, path in (
        (sections, out.sections),
        (segments, out.segments),
        (contours, out.contours),
    ):
        write_table(table, path, columns, dictionary=False)
    write_sidecar(
        out.sidecar,
        sources=paths,
        software=["scipy", "scikit-image", "shapely"],
        measures=session_measures(segments, params.arteries)
        | second_reading(second, params.arteries),
        Description="Lumen and vessel wall in sections perpendicular to the centre line",
        Vessels={vessel.name: vessel.source for vessel in vessels},
        **session_flags(vessels, segments, params.arteries),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
