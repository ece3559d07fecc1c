"""Measures of a segment, and of a session, from those of its sections."""

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter1d

from workflow_scripts.common.bids import artery
from workflow_scripts.vessel_wall.sections import MEASURES, measure_sections, resample
from workflow_scripts.vessel_wall.vessel import Vessel

# Remodelling: the reference is taken this far from the narrowest section.
REFERENCE_GAP_MM = 3.0
REFERENCE_LENGTH_MM = 2.5
POSITIVE, NEGATIVE = 1.05, 0.95
FEWEST_SECTIONS = 5
DRAWN_POINTS = 36


def section_table(vessel: Vessel) -> pd.DataFrame:
    """One row per section of a vessel, in the order of its centre line."""
    frames, measures = vessel.frames, measure_sections(vessel.lumen, vessel.outer)
    count = len(frames.position)
    table = {
        "label": [vessel.label] * count,
        "hemi": [vessel.hemi] * count,
        "section": np.arange(1, count + 1),
        "slice": vessel.slices or [None] * count,
        "position_mm": frames.position - frames.position[0],
    }
    table |= {f"{axis}_mm": frames.centre[:, i] for i, axis in enumerate("xyz")}
    return pd.DataFrame(table | measures)


def contour_table(vessel: Vessel) -> pd.DataFrame:
    """Both contours of every section, 36 points each, in the section and in scanner mm."""
    sections = np.arange(1, len(vessel.lumen) + 1)
    parts = []
    for contour, shapes in (("lumen", vessel.lumen), ("outerwall", vessel.outer)):
        plane = resample(shapes, DRAWN_POINTS)
        points = np.concatenate([plane, vessel.frames.in_space(plane)], axis=2).reshape(-1, 5)
        table = {"label": vessel.label, "hemi": vessel.hemi}
        table |= {"section": np.repeat(sections, DRAWN_POINTS), "contour": contour}
        columns = zip(["u_mm", "v_mm", "x_mm", "y_mm", "z_mm"], points.round(3).T, strict=True)
        parts.append(pd.DataFrame(table | dict(columns)))
    return pd.concat(parts).sort_values("section", kind="stable", ignore_index=True)


def remodelling(
    position: np.ndarray, lumen: np.ndarray, outer: np.ndarray, thickness: np.ndarray
) -> tuple[float, int, list[str]]:
    """Remodelling index: vessel area at the narrowest section / reference vessel area.

    The narrowest section has the smallest lumen area. The reference is what the
    vessel would be there: the line between the mean vessel area of the nearest
    2.5 mm of reference sections before and behind it, so that a taper is no
    remodelling. Reference sections have a maximal wall thickness up to the
    segment's median and are 3 mm or more away. Adjusted for tapering as in Qiao
    et al. 2016, Stroke 47:434; >= 1.05 positive, <= 0.95 negative (Guo et al.
    2018, 10.1186/s12883-018-1214-1).

    Parameters
    ----------
    position, lumen, outer, thickness : (n,), position along the vessel in mm,
        lumen and outer-wall area in mm2, maximal wall thickness in mm

    Returns
    -------
    index, number of the narrowest section (0..), flags: ``one_sided_reference``
    where there is a reference on one side alone, ``no_reference`` with index NaN.
    """
    narrowest = int(np.argmin(lumen))
    here = position[narrowest]
    normal = thickness <= np.median(thickness)
    sides = []
    for direction in (-1, 1):
        away = direction * (position - here)
        chosen = normal & (away >= REFERENCE_GAP_MM)
        if chosen.any():
            chosen &= away <= away[chosen].min() + REFERENCE_LENGTH_MM
            sides.append((position[chosen].mean(), outer[chosen].mean()))
    if not sides:
        return float("nan"), narrowest, ["no_reference"]
    reference = float(np.interp(here, *zip(*sides, strict=True)))
    flags = ["one_sided_reference"] if len(sides) == 1 else []
    return float(outer[narrowest] / reference), narrowest, flags


def segment_row(vessel: Vessel, sections: pd.DataFrame) -> dict:
    """Measures of a segment: means over its sections, and its remodelling.

    Areas of sections cut from masks (every 0.5 mm) are averaged over 1.5 mm
    before the narrowest section is looked for, since a minimum seeks out noise.
    """
    width = 3 if vessel.slices is None else 1
    lumen, outer, thickness = (
        uniform_filter1d(sections[name].to_numpy(), min(width, len(sections)), mode="nearest")
        for name in ("lumen_area_mm2", "outer_area_mm2", "wall_thickness_max_mm")
    )
    position = sections["position_mm"].to_numpy()
    index, narrowest, flags = remodelling(position, lumen, outer, thickness)
    flags = [*vessel.flags, *flags]
    if len(sections) < FEWEST_SECTIONS:
        flags.append("few_sections")
    kind = "positive" if index >= POSITIVE else "negative" if index <= NEGATIVE else "none"
    return {
        "label": vessel.label,
        "hemi": vessel.hemi,
        "source": vessel.source,
        "sections": len(sections),
        "length_mm": position[-1],
        **{name: sections[name].mean() for name in [*MEASURES, "outer_area_mm2"]},
        "wall_thickness_peak_mm": sections["wall_thickness_max_mm"].max(),
        "narrowest_section": int(sections["section"].iloc[narrowest]),
        "remodelling_index": index,
        "remodelling": None if np.isnan(index) else kind,
        "flags": "; ".join(flags) or None,
    }


def session_measures(segments: pd.DataFrame, arteries: list[str] | None = None) -> dict:
    """Measures of each artery, and their means over the session's, for the feature table.

    A mean is there where every artery of its set has the measure, since means over other arteries
    are not comparable; what is unknown is left out.

    Parameters
    ----------
    segments : from `segment_row`
    arteries : those that the means are over, such as ``MCA_left``; all of the session's if None
    """
    names = [artery(*row) for row in segments[["label", "hemi"]].itertuples(index=False)]
    own = segments.set_axis(names)
    wanted = names if arteries is None else arteries
    kinds = [*MEASURES, "remodelling_index"]
    measures = {}
    for name in kinds:
        chosen = own[name].reindex(wanted)
        measures[name] = chosen.mean(skipna=False)
        if name == "nwi":
            for side in ("left", "right"):
                measures[f"nwi_{side}"] = chosen[chosen.index.str.endswith(f"_{side}")].mean(
                    skipna=False
                )
    measures |= {f"{kind}_{name}": own.at[name, kind] for name in names for kind in kinds}
    measures["vessels"] = len(segments)
    measures["vessel_flags"] = (
        segments["flags"]
        .fillna("")
        .str.split("; ")
        .map(lambda flags: len([flag for flag in flags if flag]))
        .sum()
    )
    return {name: value for name, value in measures.items() if not pd.isna(value)}
