"""The report's part on what a publication found between engines."""

from collections.abc import Callable

from workflow_scripts.report.text import label, tabulate

PUBLICATIONS = {"ibrahim": "Ibrahim, Anderhalten et al. (PMC12993160)"}


def directions_section(name: str, study: dict, read: Callable) -> dict:
    """What the template shows of a publication's directions.

    Parameters
    ----------
    name : key of the study
    study : its configuration
    read : as from `study.reader`
    """
    columns = ["finding", "expected", "measure", "outcome", "here", "agrees", "reason"]
    table, dictionary = read("published_directions", *columns)
    asked = study["evaluation"]["published_directions"]
    told = table.astype(object).where(table.notna(), None)
    return {
        "of": PUBLICATIONS[asked["of"]],
        "rater": asked["rater"],
        "stand_ins": [f"{label(ours)} for {theirs}" for theirs, ours in asked["engines"].items()],
        "lines": [
            {
                "finding": row.finding,
                "what": ", ".join(label(part) for part in (row.measure, row.outcome) if part),
                "here": row.here or "n/a",
                "agrees": row.agrees or f"n/a: {row.reason}",
            }
            for row in told.itertuples()
        ],
        "all": tabulate(table, dictionary),
    }
