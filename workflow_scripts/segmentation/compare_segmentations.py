"""Segmentations against those drawn by hand: overlap and ranks, agreement of volumes."""

import json
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.agreement import agreement, deming, proportional_bias
from workflow_scripts.common.engines import SIDES
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.segmentation.overlap import PARTS, overlap, part_of
from workflow_scripts.segmentation.ranking import ranking_table

SESSION = ["participant_id", "session_id"]
VOLUMES = [*SESSION, "region", "engine", "kind", "run", "reason"]
VOLUMES += [f"{side}_volume_ml" for side in SIDES] + ["volume_ml", "flags"]
OVERLAP = [*SESSION, "region", "engine", "reference", "side", "voxel_size_mm", "dice"]
OVERLAP += ["sensitivity", "precision", "hd95_mm", "volume_ml", "reference_volume_ml", "reason"]
AGREEMENT = ["region", "engine", "reference", "side", "n", "mean_ml", "reference_mean_ml"]
AGREEMENT += ["bias_ml", "bias_low", "bias_high", "bias_percent", "agreement_low"]
AGREEMENT += ["agreement_high", "icc", "icc_low", "icc_high", "slope", "slope_low", "slope_high"]
AGREEMENT += ["slope_p", "deming_slope", "deming_slope_low", "deming_slope_high"]
AGREEMENT += ["deming_intercept", "deming_intercept_low", "deming_intercept_high"]
FEWEST = 5


def volume_table(manifest: list[dict], read) -> pd.DataFrame:
    """A row per session, region and engine: its volumes, or why it was not run.

    Parameters
    ----------
    manifest : dictionaries with participant_id, session_id, region, engine, kind, sidecar (path,
        None where it was not run) and reason
    read : function of such a path to its content
    """
    rows = []
    for made in manifest:
        row = {name: made[name] for name in (*SESSION, "region", "engine", "kind", "reason")}
        row["run"] = "yes" if made["sidecar"] else "no"
        if made["sidecar"]:
            content, begin = read(made["sidecar"]), f"segmentation_{made['region']}_"
            row |= {k.removeprefix(begin): value for k, value in content["Measures"].items()}
            row["flags"] = "; ".join(content["Flags"]) or None
        rows.append(row)
    return pd.DataFrame(rows, columns=VOLUMES)


def overlap_table(manifest: list[dict]) -> pd.DataFrame:
    """Every engine against every rater of a session, and each two raters, per side and in all.

    Parameters
    ----------
    manifest : as of `volume_table`, with sides, the path of the label image (None where it was
        not run)

    Returns
    -------
    DataFrame
        Columns `OVERLAP`; without numbers, and with the reason, where an engine was not run.
    """
    rows, sessions = [], {}
    for made in manifest:
        session = made["participant_id"], made["session_id"], made["region"]
        sessions.setdefault(session, []).append(made)
    for session, made in sessions.items():
        raters = [one for one in made if one["kind"] == "manual" and one["sides"]]
        if not raters:
            continue
        pairs = [(one, rater) for one in made if one["kind"] != "manual" for rater in raters]
        images = {one["engine"]: nib.load(one["sides"]) for one in made if one["sides"]}
        data = {name: np.asanyarray(image.dataobj) for name, image in images.items()}
        for one, rater in [*pairs, *combinations(raters, 2)]:
            names = [*session, one["engine"], rater["engine"]]
            spacing = images[rater["engine"]].header.get_zooms()[:3]
            size = "x".join(f"{float(zoom):.3g}" for zoom in spacing)
            for part in PARTS:
                row = dict(zip(OVERLAP, [*names, part, size], strict=False))
                if one["sides"]:
                    masks = (part_of(data[n["engine"]], part) for n in (one, rater))
                    row |= overlap(*masks, spacing)
                rows.append(row | {"reason": one["reason"]})
    return pd.DataFrame(rows, columns=OVERLAP)


def agreement_table(overlaps: pd.DataFrame) -> pd.DataFrame:
    """Agreement of the volumes of every two that `overlap_table` compares.

    Of each participant the first session that has both; none where fewer than `FEWEST` have.

    Returns
    -------
    DataFrame
        Columns `AGREEMENT`.
    """
    rows, keys = [], ["region", "engine", "reference", "side"]
    both = overlaps.dropna(subset=["volume_ml", "reference_volume_ml"])
    both = both[(both["volume_ml"] > 0) & (both["reference_volume_ml"] > 0)]
    for names, group in both.groupby(keys, sort=False):
        first = group.drop_duplicates("participant_id")
        pairs = first[["reference_volume_ml", "volume_ml"]].set_axis(["a", "b"], axis=1)
        means = {"mean_ml": pairs["b"].mean(), "reference_mean_ml": pairs["a"].mean()}
        row = dict(zip(keys, names, strict=True)) | {"n": len(pairs)} | means
        if len(pairs) >= FEWEST:
            found = agreement(pairs)
            row |= found | proportional_bias(pairs) | deming(pairs)
            row["bias_ml"] = found["bias"]
            row["bias_percent"] = 100 * found["bias"] / means["reference_mean_ml"]
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=AGREEMENT)


def main(source, out, params):
    """Write volumes, overlap, ranks and agreement of all engines."""
    sidecars = {path: json.loads(Path(path).read_text()) for path in source.sidecars}
    columns = resource("columns/segmentation.tsv")
    volumes = volume_table(params.manifest, sidecars.__getitem__)
    overlaps = overlap_table(params.manifest)
    write_table(volumes.round(4), out.volumes, columns)
    write_table(overlaps.round(4), out.overlap, columns)
    write_table(ranking_table(overlaps).round(6), out.ranking, columns)
    write_table(agreement_table(overlaps).round(6), out.agreement, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
