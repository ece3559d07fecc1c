"""The report's part on figures in the text of a publication."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.common.resources import resource
from workflow_scripts.report.text import interval, label

PUBLICATIONS = {
    "coll2024": "Coll et al. 2024 (10.1002/jmri.29046)",
    "dlr2024": "Eur J Radiol 2024;172:111347",
}


def published_part(study: dict, read: Callable) -> dict | None:
    """Printed figures of a publication beside this run's, and how the two differ by design."""
    asked = study["evaluation"].get("published_figures")
    if not asked:
        return None
    table, _ = read("published_figures", "input", "model", "estimate", "metric", "printed", "value")
    lines = [
        {
            "input": row.input,
            "model": "n/a" if pd.isna(row.model) else label(row.model),
            "what": f"{label(row.metric)}, {label(row.estimate)}",
            "printed": f"{row.printed:.2f}",
            "here": interval(row.value, row.ci_low, row.ci_high, decimals=2),
        }
        for row in table.itertuples()
    ]
    design = pd.read_csv(resource("published/differences.tsv"), sep="\t")
    design = design[design["publication"] == asked["of"]]
    return {"lines": lines, "design": design.to_dict("records"), "of": PUBLICATIONS[asked["of"]]}
