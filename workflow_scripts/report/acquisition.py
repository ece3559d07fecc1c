"""The report's part on scanners and sequences: how often each was used in which class."""

from collections.abc import Callable

from workflow_scripts.common.splits import SCAN
from workflow_scripts.report.text import tabulate

TAKEN = ["manufacturer", "scanner", "field_strength_t", "sequence", "repetition_time_s"]
TAKEN += ["echo_time_s", "inversion_time_s", "flip_angle_deg", "readout_s", "voxel_size_mm"]


def acquisition_section(study: dict, read: Callable) -> dict | None:
    """Scans by modality, scanner, parameters and class; None where no scan says anything.

    Parameters
    ----------
    study : its configuration
    read : as from `study.reader`

    Returns
    -------
    dict
        ``table`` for the template, without parameters that no scan has; ``known``, whether there
        is more than voxel sizes; ``one_class``, the number of lines with scans of one class alone.
    """
    people, _ = read(f"split-{study['split']}_population", *SCAN, "label")
    scans, dictionary = read("cohort/scans", *SCAN, "suffix", "status", *TAKEN)
    used = scans[scans["status"] == "AVAILABLE"].merge(people[[*SCAN, "label"]], on=SCAN)
    used = used.dropna(subset="voxel_size_mm")
    if used.empty:
        return None
    shown = [name for name in TAKEN if used[name].notna().any()]
    used[shown] = used[shown].astype("string").fillna("n/a")
    counts = used.groupby(["suffix", *shown])["label"].value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=study["classes"], fill_value=0).rename_axis(columns=None)
    return {
        "table": tabulate(counts.reset_index(), dictionary),
        "known": len(shown) > 1,
        "one_class": int(((counts > 0).sum(axis=1) == 1).sum()),
    }
