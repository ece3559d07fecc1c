"""The report's section on quality control."""

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

from workflow_scripts import __version__
from workflow_scripts.common.flags import counting
from workflow_scripts.common.job import InputError
from workflow_scripts.common.ratings import QC
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import MISSING, read_table
from workflow_scripts.report import plots
from workflow_scripts.report.draw_qc import RIM_MM
from workflow_scripts.report.flag_outliers import FEWEST, kinds_of
from workflow_scripts.report.sessions import SESSION, prefixes, split_name
from workflow_scripts.report.text import label, load, number, require, tabulate, unit_of

OPEN_SESSIONS = 5


def picture(path, address: str | None = None) -> dict:
    """A WebP picture for the page: ``source``, ``beside`` the page, px, and its SHA-256.

    Parameters
    ----------
    path : of the picture
    address : link to it; without one the picture stands inside the page

    Raises
    ------
    InputError
        If the file is missing, no WebP or cut short.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: is missing, the report shows it; draw it again")
    data = path.read_bytes()
    try:
        width, height = Image.open(io.BytesIO(data), formats=["WEBP"]).size
        whole = len(data) == 8 + int.from_bytes(data[4:8], "little")
    except OSError:
        whole = False
    if not whole:
        raise InputError(f"{path}: is not a whole WebP picture; draw it again")
    source = address or f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    shown = {"source": source, "beside": address is not None, "width": width, "height": height}
    return shown | {"sha256": hashlib.sha256(data).hexdigest()}


def sort_pictures(paths: list) -> dict[str, dict[str, Path]]:
    """Path of each picture, by session and kind (T1w, dwi, vesselwall)."""
    found: dict[str, dict[str, Path]] = {}
    for path in paths:
        prefix, kind = split_name(path)
        found.setdefault(prefix, {})[kind.removeprefix(QC)] = Path(path)
    return found


def filters_of(
    kinds: dict[str, str], flagged: set[str], groups: dict[str, dict[str, str]]
) -> list[dict]:
    """What the pictures can be filtered by: ``label``, ``values``, and ``of`` a session and kind.

    Parameters
    ----------
    kinds : title by kind of picture
    flagged : sessions
    groups : value by session, by the name of the grouping
    """
    flags = ("flagged", "not flagged")
    filters = [
        {
            "label": "Session",
            "values": flags,
            "of": lambda prefix, kind: flags[prefix not in flagged],
        },
        {
            "label": "Picture",
            "values": list(kinds.values()),
            "of": lambda prefix, kind: kinds[kind],
        },
    ]
    for name, values in groups.items():
        filters.append(
            {
                "label": name,
                "values": sorted(set(values.values())),
                "of": lambda prefix, kind, values=values: values.get(prefix),
            }
        )
    return [entry for entry in filters if len(entry["values"]) > 1]


def captions_of(sidecars: dict[str, dict]) -> dict[str, dict]:
    """Captions of the pictures by kind; that of the T1w is another one where it is of no brain.

    That of a mask before it was corrected is left out where none was.

    Parameters
    ----------
    sidecars : content of the sidecars by session and kind
    """
    captions = yaml.safe_load(resource("report/qc.yaml").read_text())
    of_bodies = captions.pop("T1w_body")
    part = captions["T1w"]["sidecar"]
    if any("BodyPart" in kinds.get(part, {}) for kinds in sidecars.values()):
        captions["T1w"] = of_bodies
    elif not any("Correction" in kinds.get(part, {}) for kinds in sidecars.values()):
        del captions["T1w"]["rows"]["before"]
    return captions


def told_by_session(flags: pd.DataFrame) -> dict[str, list[str]]:
    """What the flags say of each session, in words, with their level unless they are notes."""
    told: dict[str, list[str]] = {}
    for prefix, row in zip(prefixes(flags), flags.itertuples(), strict=True):
        level = "" if row.level == "note" else f"{row.level}, "
        told.setdefault(prefix, []).append(f"{level}{label(row.measure)}: {row.reason}")
    return told


def told_of_most(flags: pd.DataFrame) -> list[str]:
    """A sentence for each kind of flag that most sessions have."""
    common = flags[flags["common"] == "yes"]
    told = []
    for _, rows in common.groupby(kinds_of(common), sort=False):
        first, alike = rows.iloc[0], rows["reason"].nunique() == 1
        told.append(
            f"{prefixes(rows).nunique()} sessions, {first['level']}, {label(first['measure'])}: "
            f"{'' if alike else 'such as '}{first['reason']}"
        )
    return told


def describe_session(
    prefix, row, units, pictures, captions, reasons, notes, is_open, filters, ratings, viewer
) -> dict:
    """What the template shows of one session.

    Parameters
    ----------
    prefix : ``sub-X[_ses-Y]``
    row : the session's features
    units : unit of each feature
    pictures : path by kind
    captions : content of resources/report/qc.yaml
    reasons, notes : why the session is flagged, and what else is to be known of it
    is_open : whether its pictures are shown at once
    filters : as from `filters_of`
    ratings : those of the session, by picture
    viewer : path of the page to go through its T1w, if any
    """
    name = prefix.replace("_ses-", ", ses-")
    return {
        "name": name,
        "participant_id": row["participant_id"],
        "session_id": MISSING if pd.isna(row["session_id"]) else row["session_id"],
        "reasons": reasons,
        "notes": notes,
        "open": is_open,
        "pictures": [
            {
                "id": re.sub(r"[^A-Za-z0-9_-]", "-", f"{prefix}-{kind}"),
                "text": f"{part['title']} of {name}: {part['text']}",
                "title": part["title"],
                "path": pictures[kind],
                "suffix": kind,
                "picture": QC + kind,
                "values": json.dumps([entry["of"](prefix, kind) for entry in filters]),
                "ratings": ratings.get(QC + kind, []),
                "viewer": viewer if kind == "T1w" else None,
                "numbers": [
                    (label(measure), number(row[measure]), unit_of(measure, units))
                    for measure in part["measures"]
                    if pd.notna(row.get(measure))
                ],
            }
            for kind, part in captions.items()
            if kind in pictures
        ],
    }


def qc_section(
    features_path,
    outliers_path,
    pictures: list,
    sidecars: dict,
    shown: int,
    groups: dict[str, dict[str, str]],
    ratings: dict[str, dict[str, list[dict]]],
    viewers: list = (),
) -> dict:
    """Outliers and the pictures of at most ``shown`` sessions, flagged ones first.

    Parameters
    ----------
    features_path, outliers_path : tables of the cohort
    pictures : paths of the pictures of all sessions
    sidecars : content of the sidecars by session and kind, as from `read_sidecars`
    shown : number of sessions
    groups : value of each session by the name of a grouping, to filter the pictures by
    ratings : rows of the table of ratings, by session and picture
    viewers : paths of the pages to go through the T1w

    Raises
    ------
    InputError
        If a session lacks the picture of a modality that it went through, or an
        outlier is no session of the features.
    """
    features, dictionary = load(features_path)
    require(features, features_path, SESSION)
    units = {name: entry.get("Units", "") for name, entry in dictionary.items()}
    outliers, dictionary = load(outliers_path)
    columns = [*SESSION, "measure", "level", "value", "median", "robust_z", "reason"]
    require(outliers, outliers_path, [*columns, "common"])
    features = features.assign(prefix=prefixes(features)).set_index("prefix")
    own = outliers[(outliers["common"] == "no") | (outliers["level"] == "unusable")]
    reasons = told_by_session(counting(outliers))
    notes = told_by_session(own[own["level"] == "note"])
    if strangers := sorted(set(prefixes(outliers)) - set(features.index)):
        raise InputError(
            f"{outliers_path}: {', '.join(strangers)} not in {features_path}; remake it"
        )
    captions = captions_of(sidecars)
    found = sort_pictures(pictures)
    order = sorted(features.index, key=lambda prefix: prefix not in reasons)
    for prefix in order:
        for kind, part in captions.items():
            if part["sidecar"] in sidecars.get(prefix, {}) and kind not in found.get(prefix, {}):
                raise InputError(f"{prefix}_{QC}{kind}.webp: is not among the pictures; draw it")
    if blank := [prefix for prefix in order if prefix not in found]:
        raise InputError(f"{', '.join(blank)}: no picture to show; remake the features")
    kinds = {kind for prefix in order for kind in found[prefix]}
    used = {kind: part for kind, part in captions.items() if kind in kinds}
    titles = {kind: part["title"] for kind, part in used.items()}
    filters = filters_of(titles, set(reasons), groups)
    pages = {split_name(path)[0]: path for path in viewers}
    sessions = [
        describe_session(
            prefix,
            features.loc[prefix],
            units,
            found[prefix],
            captions,
            reasons.get(prefix, []),
            notes.get(prefix, []),
            place == 0 or (prefix in reasons and place < OPEN_SESSIONS),
            filters,
            ratings.get(prefix, {}),
            pages.get(prefix),
        )
        for place, prefix in enumerate(order[:shown])
    ]
    choices = yaml.safe_load(resource("report/reasons.yaml").read_text())
    checked = [name for part in captions.values() for name in part["checked"] if name in features]
    checked = [name for name in checked if features[name].notna().any()]
    return {
        "flagged": len(reasons),
        "total": len(features),
        "rim": RIM_MM if "registration" in captions["T1w"]["rows"] else None,  # of heads
        "fewest": FEWEST,
        "outliers": tabulate(own[columns].assign(measure=own["measure"].map(label)), dictionary),
        "common": told_of_most(outliers),
        "captions": used,
        "filters": filters,
        "reasons": {kind: choices[kind] for kind in used},
        "version": __version__,
        "limits": read_table(resource("report/limits.tsv")).to_dict("records"),
        "sessions": sessions,
        "plot": plots.measures(features, units, outliers, checked, "qc-measures"),
    }
