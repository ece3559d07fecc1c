"""Compare what the workflow recovered from the simulated images with their truth."""

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.images import dice
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

# Measure of cohort/features.tsv -> column of the truth.
VOLUMES = {
    "gm_volume_ml": "gm_volume_ml",
    "wm_volume_ml": "wm_volume_ml",
    "csf_volume_ml": "csf_volume_ml",
    "tiv_ml": "tiv_ml",
    "ventricles_volume_ml": "ventricles_volume_ml",
    "thalamus_volume_ml": "thalamus_volume_ml",
}
ALPS = {
    "alps": "alps",
    "alps_left": "alps_left",
    "alps_right": "alps_right",
    "alps_native_unrotated": "alps",
}
JOINTS = {
    f"segmentation_sacroiliac_joints_{side}_volume_ml": f"{side}_volume_ml"
    for side in ("left", "right")
}
VESSELS = {"nwi": "nwi", "lumen_area_mm2": "lumen_area_mm2"}
# Where lesion masks are given.
LESIONS = {"lesions_volume_ml": "lesion_volume_ml"}
SESSION = ["participant_id", "session_id"]


def keys_of(truth):
    """Columns that name a row of the truth; without sessions, the participant alone."""
    return [key for key in SESSION if key in truth]


def recovered_measures(truth, features, measures):
    """True and recovered values of the sessions of ``truth``.

    Parameters
    ----------
    truth : DataFrame with participant_id, session_id where there are sessions, and the columns
        that ``measures`` names
    features : DataFrame with participant_id, session_id and the measures
    measures : measure -> column of ``truth``

    Returns
    -------
    DataFrame with the columns of `keys_of`, measure, true, recovered

    Raises
    ------
    InputError
        If a session has no row in ``features``, or a measure no column.
    """
    keys = keys_of(truth)
    found = features.set_index(keys)
    wanted = pd.Index(truth[keys[0]]) if len(keys) == 1 else pd.MultiIndex.from_frame(truth[keys])
    if lost := sorted({*wanted} - {*found.index}):
        names = ", ".join(name if isinstance(name, str) else "_".join(name) for name in lost)
        raise InputError(f"cohort/features.tsv: no row for {names}; rebuild the table")
    unknown = sorted(set(measures) - set(features.columns))
    if unknown:
        raise InputError(f"cohort/features.tsv: no column {', '.join(unknown)}; rebuild the table")
    found = found.loc[wanted]
    parts = [
        truth[keys].assign(
            measure=measure, true=truth[column].to_numpy(), recovered=found[measure].to_numpy()
        )
        for measure, column in measures.items()
    ]
    return pd.concat(parts, ignore_index=True)


def recovered_masks(people, true_masks, masks, measure="brain_mask_dice"):
    """Dice coefficient of each session's mask of brain or joints, as rows for the same table.

    Parameters
    ----------
    people : DataFrame with the columns of `keys_of`, a row per session
    true_masks, masks : paths, in that order
    measure : name of the rows
    """
    found = []
    for paths in zip(true_masks, masks, strict=True):
        true, mask = (np.asarray(nib.load(path).dataobj) > 0 for path in paths)
        if true.shape != mask.shape:
            raise InputError(
                f"{paths[1]}: grid {mask.shape} is not that of the T1w {true.shape}; remake it"
            )
        found.append(dice(true, mask))
    return people.assign(measure=measure, true=1.0, recovered=found)


def with_error(table):
    """``table`` with error_percent = 100 (recovered - true) / true, sorted by session."""
    error = 100 * (table["recovered"] / table["true"] - 1)
    ordered = table.assign(error_percent=error.where(table["true"] > 0))
    return ordered.sort_values([*keys_of(table), "measure"]).reset_index(drop=True)


def summarise(table):
    """Per measure: participants, mean and standard deviation of the error, worst participant.

    Parameters
    ----------
    table : DataFrame from `with_error`

    Returns
    -------
    DataFrame with measure, participants, mean_error_percent, sd_error_percent,
    max_error_percent (largest absolute error), worst_participant_id
    """
    rows = []
    for measure, group in table.dropna(subset="error_percent").groupby("measure"):
        size = group["error_percent"].abs()
        rows.append(
            {
                "measure": measure,
                "participants": group["participant_id"].nunique(),
                "mean_error_percent": group["error_percent"].mean(),
                "sd_error_percent": group["error_percent"].std(),
                "max_error_percent": size.max(),
                "worst_participant_id": group.loc[size.idxmax(), "participant_id"],
            }
        )
    return pd.DataFrame(rows)


def main(source, out, params):
    """Write what was recovered of each session's truth, and a summary by measure."""
    features = read_table(source.features)
    volumes = VOLUMES | (LESIONS if LESIONS.keys() <= {*features.columns} else {})
    parts = []
    for paths, measures in (
        (source.get("volumes"), volumes),
        (source.get("alps"), ALPS),
        (source.get("vessels"), VESSELS),
        (source.get("joints"), JOINTS),
    ):
        if paths:
            truth = pd.concat([read_table(path) for path in paths], ignore_index=True)
            parts.append(recovered_measures(truth, features, measures))
    people = parts[0][keys_of(parts[0])].drop_duplicates()
    measure = "joints_dice" if source.get("joints") else "brain_mask_dice"
    parts.append(recovered_masks(people, source.true_masks, source.masks, measure))
    table = with_error(pd.concat(parts, ignore_index=True))
    columns = resource("columns/demo.tsv")
    write_table(table.round(4), out.recovered, columns)
    write_table(summarise(table).round(4), out.summary, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
