"""Tables 1A to 1C of Inglese et al. 2022, the population, against each other."""

import pandas as pd

from workflow_scripts.statistics.printed import half_unit, line

FROM_1A = "Table 1A"
ACTIVITY = "sledai_2k"


def population_lines(table1a: pd.DataFrame) -> list[dict]:
    """Rows of Table 1A: percentages from their counts."""
    printed = table1a.dropna(subset="percent")
    return [
        line(
            "1A",
            None,
            None,
            f"{row.variable}_percent_{row.group}",
            "counts of Table 1A",
            row.percent,
            100 * int(row.n_yes) / int(row.n_group),
        )
        for row in printed.itertuples(index=False)
    ]


def percent_lines(table1bc: pd.DataFrame) -> list[dict]:
    """Rows of Tables 1B and 1C: the percentage of the whole number that is nearest."""
    lines = []
    for row in table1bc.dropna(subset="percent").itertuples(index=False):
        n = int(row.n_negative) + int(row.n_positive)
        nearest = 100 * round(float(row.percent) / 100 * n) / n
        figure = f"{row.variable}_percent"
        lines.append(line(row.table, None, row.trial, figure, f"of {n}", row.percent, nearest))
    return lines


def activity_lines(table1a: pd.DataFrame, table1bc: pd.DataFrame) -> list[dict]:
    """Rows of the disease activity of Tables 1B and 1C, against what Table 1A says of it.

    The two sets of a trial hold all NPSLE, so their points (none is negative) are part of the
    trial's: where those of NPSLE alone, at the least that the rounding of Table 1A allows, are
    more than the printed means of both sets allow to everybody, the tables contradict each other.
    The recomputed figure is the mean that sets of these sizes have if drawn by chance.
    """
    known = table1a[table1a["variable"] == ACTIVITY].set_index("group")["mean"]
    ill = table1a.loc[table1a["group"] == "NPSLE", "n_group"].astype(int).iloc[0]
    least = ill * (float(known["NPSLE"]) - half_unit(known["NPSLE"]))
    lines = []
    for trial, rows in table1bc[table1bc["variable"] == ACTIVITY].groupby("trial", sort=False):
        n = rows[["n_negative", "n_positive"]].astype(int)
        if n["n_positive"].sum() != ill:
            raise ValueError(f"trial {trial}: its sets do not hold all {ill} NPSLE")
        highest = rows["mean"].astype(float) + rows["mean"].map(half_unit)
        most = (highest * n.sum(axis=1)).sum()
        for i, row in rows.iterrows():
            expected = (n.at[i, "n_negative"], n.at[i, "n_positive"]) @ known[
                ["non-NPSLE", "NPSLE"]
            ].astype(float).to_numpy()
            made = line(
                row["table"], None, trial, f"{ACTIVITY}_mean", FROM_1A, row["mean"],
                expected / n.loc[i].sum(),
            )  # fmt: skip
            lines.append(
                made
                | {
                    "agrees": "yes" if most >= least else "no",
                    "note": f"the {ill} NPSLE, all in this trial, have {least:.1f} points at least "
                    f"by Table 1A; the printed means allow {most:.1f} to all {n.sum(axis=None)}",
                }
            )
    return lines
