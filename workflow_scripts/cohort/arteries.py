"""Whether the vessels of a study's sessions are the same ones.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import re
from pathlib import Path

from workflow_scripts.common.bids import artery
from workflow_scripts.common.job import InputError

NAME = re.compile(r"(?:_hemi-(?P<hemi>[LR]))?_label-(?P<label>[A-Za-z0-9]+)_")


def arteries_of(rows: list[dict]) -> tuple[str, ...]:
    """Arteries that a session's vessel-wall files name, sorted."""
    found = [NAME.search(Path(row["path"]).name) for row in rows]
    return tuple(sorted({artery(name["label"], name["hemi"]) for name in found if name}))


def check_arteries(declared: list[str] | None, vessels: dict[str, list[dict]], name: str) -> None:
    """Check that the means over a session's arteries can be compared within a study.

    Parameters
    ----------
    declared : vessel_wall.arteries
    vessels : index rows of the vessel-wall files of each session of the study
    name : of the study

    Raises
    ------
    InputError
        If nothing is declared and the sessions have different arteries, or if no session has one
        that is declared.
    """
    sets: dict[tuple, list[str]] = {}
    for session, rows in vessels.items():
        sets.setdefault(arteries_of(rows), []).append(session)
    if declared is None and len(sets) > 1:
        counted = sorted(sets.items(), key=lambda item: -len(item[1]))
        listed = "; ".join(
            f"{', '.join(arteries) or 'none named'}: {len(sessions)} ({sessions[0]})"
            for arteries, sessions in counted
        )
        raise InputError(
            f"vessel_wall.arteries: the sessions of studies.{name} have different arteries, whose "
            f"means cannot be compared ({listed}); name those that the means are over, such as "
            f"[{', '.join(counted[0][0])}]: sessions without one of them have none"
        )
    there = {one for arteries in sets for one in arteries}
    if vessels and (nowhere := sorted(set(declared or ()) - there)):
        raise InputError(
            f"vessel_wall.arteries: no session of studies.{name} has {', '.join(nowhere)} (found: "
            f"{', '.join(sorted(there))}); correct the key"
        )
