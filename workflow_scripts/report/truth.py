"""The report's section on what was recovered of a simulated cohort's truth."""

from workflow_scripts.common.job import InputError
from workflow_scripts.report import plots
from workflow_scripts.report.text import label, labels, load, number, require, spread, tabulate

ALPS = ["alps", "alps_native_unrotated"]
VESSELS = ["nwi", "lumen_area_mm2"]
MASKS = {"brain_mask_dice": "brain masks", "joints_dice": "sacroiliac joints"}


def truth_section(table_path, summary_path, features_path) -> dict:
    """Recovered against true values of the simulated cohort.

    Parameters
    ----------
    table_path, summary_path : tables of compare_with_truth
    features_path : cohort/features.tsv, for the units

    Raises
    ------
    InputError
        If a table is missing, or lacks the volumes or the masks.
    """
    table, _ = load(table_path)
    require(table, table_path, ["participant_id", "measure", "true", "recovered", "error_percent"])
    summary, dictionary = load(summary_path)
    _, features = load(features_path)
    units = {name: entry.get("Units", "") for name, entry in features.items()}
    place = {name: order for order, name in enumerate(labels())}
    names = sorted(table["measure"].unique(), key=lambda name: place.get(name, len(place)))
    masks = table[table["measure"].isin(MASKS)]
    panels = {
        "volumes": [name for name in names if name.endswith("_ml")],
        "alps": [name for name in ALPS if name in names],
        "vessels": [name for name in VESSELS if name in names],
    }
    if masks.empty or not panels["volumes"]:
        raise InputError(f"{table_path}: lacks volumes or Dice of masks; remake it")
    dice = masks["recovered"]
    order = summary["measure"].map({name: number for number, name in enumerate(names)})
    errors = summary.iloc[order.argsort(kind="stable")]
    row = errors.set_index("measure")
    return {
        "plots": {
            part: plots.recovered(table, found, units, f"truth-{part}", same_axes=part == "alps")
            for part, found in panels.items()
            if found
        },
        "summary": tabulate(errors.assign(measure=errors["measure"].map(label)), dictionary),
        "dice": {
            "of": MASKS[masks["measure"].iloc[0]],
            "mean": number(dice.mean()),
            "min": number(dice.min()),
            "n": len(dice),
        },
        "alps": [
            {
                "name": label(name),
                "error": spread(*row.loc[name, ["mean_error_percent", "sd_error_percent"]]),
                "largest": number(row.at[name, "max_error_percent"]),
            }
            for name in panels["alps"]
        ],
    }
