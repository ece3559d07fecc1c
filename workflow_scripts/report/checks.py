"""The report's part on how firm a study's results are: folded blocks, a sentence each."""

from collections.abc import Callable

import pandas as pd

from workflow_scripts.report.text import interval, label, number, p_value, tabulate

LIMITS = ["value", "ci_low", "ci_high"]


def _auc(rows: pd.DataFrame, decimals: int = 2) -> str:
    return interval(*rows[LIMITS], decimals=decimals)


def block(title: str, sentence: str, tables: list[tuple[dict, str]]) -> dict:
    """What the template shows of one check: tables with their captions."""
    return {"title": title, "sentence": sentence, "tables": tables}


def missing_block(name: str, study: dict, read: Callable) -> dict:
    """Missing values by class."""
    table, dictionary = read("missing", "model", "missing", "lacking", "label", "n", "n_missing")
    told = []
    for model, rows in table[table["lacking"] == "any"].groupby("model", sort=False):
        lacks, n = rows["n_missing"].sum(), rows["n"].sum()
        if lacks:
            parts = [f"{r.n_missing} of {r.n} {r.label}" for r in rows.itertuples()]
            way = {"impute": "imputed"}.get(rows["missing"].iloc[0], "left out")
            told.append(f"{label(model)} {lacks} of {n} scans ({', '.join(parts)}; {way})")
    sentence = "A value is missing of " + "; ".join(told) if told else "No model lacks a value"
    return block("Missing values", sentence, [(tabulate(table, dictionary), "Missing values.")])


def sites_block(name: str, study: dict, read: Callable) -> dict:
    """Figures of each site, and harmonization."""
    table, dictionary = read("sites", "model", "site", "metric", *LIMITS)
    auc = table[(table["metric"] == "auc") & table["value"].notna()]
    auc = auc[auc["model"].map(lambda key: study["models"][key]["kind"] != "majority")]
    told = []
    for (model, estimate), rows in auc.groupby(["model", "estimate"], sort=False):
        low, high = rows.loc[rows["value"].idxmin()], rows.loc[rows["value"].idxmax()]
        where = " (external)" if estimate == "external" else ""
        ends = dict.fromkeys(f"{end['value']:.2f} ({end['site']})" for end in (low, high))
        told.append(f"{label(model)}{where} {' to '.join(ends)}")
    sentence = f"AUC by site: {'; '.join(told)}" if told else "No site has both classes"
    for row in table[table["metric"] == "unharmonized_scans"].itertuples():
        if row.value:
            sentence += (
                f"; {100 * row.value:.0f} % of the scans that {label(row.model)} scores are of "
                "sites that did not train, and stay as they are"
            )
    for row in table[table["metric"] == "unharmonized_splits"].itertuples():
        if row.value:
            sentence += (
                f"; in {100 * row.value:.0f} % of the splits of {label(row.model)} too few sites "
                "had three training scans, and nothing was harmonized"
            )
    shares = table[table["metric"].isin(["site_share", "site_share_harmonized"])]
    shown = [(tabulate(table[~table["metric"].isin(shares["metric"])], dictionary), "By site.")]
    if len(shares):
        wide = shares.pivot(index=["model", "term"], columns="metric", values="value")
        caption = (
            "Share of the variance between the sites of the training sides, mean over the splits."
        )
        shown.append((tabulate(wide.rename_axis(columns=None).reset_index(), dictionary), caption))
    return block("Sites", sentence, shown)


def sensitivity_block(name: str, study: dict, read: Callable) -> dict:
    """Models fitted in other ways."""
    table, dictionary = read(
        "sensitivity", "model", "variant", "metric", "difference", "n", *LIMITS
    )
    other = table[(table["metric"] == "auc") & table["difference"].notna()]
    again = other["variant"].str.match("(repeat|training)_")
    repeated, other = other[again & (other["estimate"] == "test")], other[~again]
    sentence = "No other way of fitting that was asked for changes the data of a model"
    if len(other):
        row = other.loc[other["difference"].abs().idxmax()]
        sentence = (
            f"The AUC changes by {row['difference']:+.2f} at most, in {label(row['model'])} "
            f"({label(row['variant'])})"
        )
    if len(repeated):
        ends = repeated.groupby("model", sort=False)["value"].agg(["min", "max", "size"])
        widest = ends.loc[(ends["max"] - ends["min"]).idxmax()]
        sentence += (
            f"; over {widest['size']:.0f} repetitions that of {label(widest.name)} goes from "
            f"{widest['min']:.2f} to {widest['max']:.2f}, the widest range"
        )
    if lacking := table.loc[table["n"] == 0, "model"].unique().tolist():
        names = ", ".join(map(label, lacking))
        sentence += f"; without flagged sessions too few people are left to fit {names}"
    return block("Sensitivity", sentence, [(tabulate(table, dictionary), "Other ways of fitting.")])


def added_value_block(name: str, study: dict, read: Callable) -> dict:
    """What further inputs add."""
    table, dictionary = read("added_value", "model", "base", "metric", "threshold", "p", *LIMITS)
    row, asked = table.set_index("metric"), study["evaluation"]["added_value"]
    auc, likelihood = row.loc["auc"], row.loc["likelihood_ratio"]
    null = interval(*auc[["null_mean", "null_low", "null_high"]], decimals=2)
    inputs = " and ".join(map(label, asked["inputs"]))
    sentence = (
        f"AUC of {label(asked['model'])} {auc['value']:.2f}; with {inputs} permuted {null}, "
        f"p {p_value(auc['p'])}; likelihood-ratio test against {label(asked['base'])}: "
        f"p {p_value(likelihood['p'])}"
    )
    curve = table["metric"] == "net_benefit_difference"
    tenths = (table["threshold"] * 10).round(6) % 1 == 0
    columns = ["threshold", *LIMITS, "n"]
    return block(
        "Added value",
        sentence,
        [
            (tabulate(table[~curve].dropna(axis=1, how="all"), dictionary), "Tests."),
            (
                tabulate(table.loc[curve & tenths, columns], dictionary),
                "Difference in net benefit.",
            ),
        ],
    )


def sample_size_block(name: str, study: dict, read: Callable) -> dict:
    """Events per parameter, shrinkage, and instability of the predictions."""
    table, dictionary = read("sample_size", "model", "events_per_parameter", "shrinkage")
    people, _ = read("instability", "model", "instability", "reclassified")
    spread = people.groupby("model", sort=False)[["instability", "reclassified"]].mean()
    table = table.merge(spread.reset_index(), on="model")
    parts = [
        f"{label(row.model)} {number(row.events_per_parameter)} events per parameter, shrinkage "
        f"{number(row.shrinkage)}, probabilities {number(row.instability)} apart between samples"
        for row in table.itertuples()
    ]
    caption = (
        "Instability and share of models that predict the other class: means over the people; "
        f"each person stands in studies/{name}/instability.tsv."
    )
    _, own = read("instability", "model")
    shown = tabulate(table, dictionary | own)
    return block("Sample size and stability", "; ".join(parts), [(shown, caption)])


def reliability_block(name: str, study: dict, read: Callable) -> dict:
    """Agreement of repeated scans."""
    table, dictionary = read("reliability", "feature", "n", "icc", "icc_low", "icc_high", "bias")
    parts = [
        f"{label(row.feature)} {interval(row.icc, row.icc_low, row.icc_high, decimals=2)}"
        for row in table.itertuples()
    ]
    shown = [(tabulate(table, dictionary), "Two sessions of each participant.")]
    return block("Reliability", f"ICC(A,1): {'; '.join(parts)}", shown)


BLOCKS = {
    "missing": missing_block,
    "sites": sites_block,
    "sensitivity": sensitivity_block,
    "added_value": added_value_block,
    "optimism": sample_size_block,
    "reliability": reliability_block,
}


def checks_section(name: str, study: dict, read: Callable) -> list[dict]:
    """The blocks of what a study asks for."""
    return [made(name, study, read) for key, made in BLOCKS.items() if key in study["evaluation"]]
