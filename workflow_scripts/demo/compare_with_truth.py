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
VESSELS = {"nwi": "nwi", "lumen_area_mm2": "lumen_area_mm2"}


def recovered_measures(truth, features, measures):
    """True and recovered values of the participants of ``truth``.

    Parameters
    ----------
    truth : DataFrame with participant_id and the columns that ``measures`` names
    features : DataFrame with participant_id and the measures
    measures : measure -> column of ``truth``

    Returns
    -------
    DataFrame with participant_id, measure, true, recovered

    Raises
    ------
    InputError
        If a participant has no row in ``features``, or a measure no column.
    """
    lost = sorted(set(truth["participant_id"]) - set(features["participant_id"]))
    if lost:
        raise InputError(f"cohort/features.tsv: no row for {', '.join(lost)}; rebuild the table")
    unknown = sorted(set(measures) - set(features.columns))
    if unknown:
        raise InputError(f"cohort/features.tsv: no column {', '.join(unknown)}; rebuild the table")
    found = features.set_index("participant_id").loc[truth["participant_id"]]
    parts = [
        pd.DataFrame(
            {
                "participant_id": truth["participant_id"].to_numpy(),
                "measure": measure,
                "true": truth[column].to_numpy(),
                "recovered": found[measure].to_numpy(),
            }
        )
        for measure, column in measures.items()
    ]
    return pd.concat(parts, ignore_index=True)


def recovered_masks(participants, true_masks, masks):
    """Dice coefficient of each participant's brain mask, as rows for the same table."""
    rows = []
    for name, *paths in zip(participants, true_masks, masks, strict=True):
        truth, found = (np.asarray(nib.load(path).dataobj) > 0 for path in paths)
        if truth.shape != found.shape:
            raise InputError(
                f"{paths[1]}: grid {found.shape} is not that of the T1w {truth.shape}; remake it"
            )
        overlap = dice(truth, found)
        rows.append((name, "brain_mask_dice", 1.0, overlap))
    return pd.DataFrame(rows, columns=["participant_id", "measure", "true", "recovered"])


def with_error(table):
    """``table`` with error_percent = 100 (recovered - true) / true, sorted by participant."""
    error = 100 * (table["recovered"] / table["true"] - 1)
    ordered = table.assign(error_percent=error.where(table["true"] > 0))
    return ordered.sort_values(["participant_id", "measure"]).reset_index(drop=True)


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
                "participants": len(group),
                "mean_error_percent": group["error_percent"].mean(),
                "sd_error_percent": group["error_percent"].std(),
                "max_error_percent": size.max(),
                "worst_participant_id": group.loc[size.idxmax(), "participant_id"],
            }
        )
    return pd.DataFrame(rows)


def main(source, out, params):
    """Write what was recovered of each participant's truth, and a summary by measure."""
    features = read_table(source.features)
    parts = []
    for paths, measures in (
        (source.volumes, VOLUMES),
        (source.alps, ALPS),
        (source.vessels, VESSELS),
    ):
        if paths:
            truth = pd.concat([read_table(path) for path in paths], ignore_index=True)
            parts.append(recovered_measures(truth, features, measures))
    people = parts[0]["participant_id"].drop_duplicates()
    parts.append(recovered_masks(people, source.true_masks, source.masks))
    table = with_error(pd.concat(parts, ignore_index=True))
    columns = resource("columns/demo.tsv")
    write_table(table.round(4), out.recovered, columns)
    write_table(summarise(table).round(4), out.summary, columns)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
