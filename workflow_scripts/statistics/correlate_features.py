"""Partial correlations of features with clinical data, pooled and within the classes."""

import logging
from itertools import product

import numpy as np
import pandas as pd
import pingouin
from scipy import stats

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.people import as_covariates, as_numbers, as_terms, columns_of, members
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics.correction import corrected

COLUMNS = ["feature", "clinical", "covariates", "classes", "method", "n", "df", "r"]
COLUMNS += ["r_low", "r_high", "p", "p_corrected", "correction", "n_tests"]
COLUMNS += ["r_within", "r_within_low", "r_within_high", "within_p"]
LOG = logging.getLogger(__name__)


def interval(r: float, n: int, k: int, method: str) -> tuple[float, float]:
    """95 % interval of a partial correlation; undefined below n = k + 4.

    Parameters
    ----------
    r : correlation of n participants, adjusted for k covariates
    method : pearson or spearman

    Notes
    -----
    Fisher's z with the standard error 1 / sqrt(n - k - 3); for ranks that of
    Bonett & Wright 2000 (10.1007/BF02294183), sqrt((1 + r^2 / 2) / (n - k - 3)),
    since Fisher's is too short there.
    """
    freedom = n - k - 3
    if freedom < 1 or abs(r) >= 1:
        return np.nan, np.nan
    variance = 1 if method == "pearson" else 1 + r**2 / 2
    half = stats.norm.ppf(0.975) * np.sqrt(variance / freedom)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


def correlate(cases: pd.DataFrame, x: str, y: str, covariates: list[str], method: str) -> dict:
    """Partial correlation of two columns among the complete cases.

    A covariate that is constant among them adjusts for nothing and is left out.

    Returns
    -------
    dict
        n, df = n - 2 - covariates, r with its 95 % interval, two-sided p, and the
        covariates used; r and p are missing where df < 1, x or y is constant, or
        the columns depend linearly on each other.
    """
    cases = cases[[x, y, *covariates]].dropna()
    used = [name for name in covariates if cases[name].nunique() > 1]
    freedom = len(cases) - 2 - len(used)
    row = {"covariates": ", ".join(used) or None, "n": len(cases), "df": freedom}
    ranks = cases.rank() if method == "spearman" else cases
    centred = ranks[[x, y, *used]] - ranks[[x, y, *used]].mean()
    norms = np.linalg.norm(centred, axis=0)
    full_rank = freedom >= 1 and (norms > 0).all()
    if full_rank:
        full_rank = np.linalg.matrix_rank(centred.to_numpy() / norms) == len(used) + 2
    if not full_rank:
        LOG.warning("%s with %s: %d complete cases cannot be tested", x, y, len(cases))
        return row | {"r": np.nan, "r_low": np.nan, "r_high": np.nan, "p": np.nan}
    if used:
        found = pingouin.partial_corr(cases, x=x, y=y, covar=used, method=method)
    else:
        found = pingouin.corr(cases[x], cases[y], method=method)
    r = float(found["r"].iloc[0])
    low, high = interval(r, len(cases), len(used), method)
    return row | {"r": r, "r_low": low, "r_high": high, "p": float(found["p_val"].iloc[0])}


def correlate_features(
    features: pd.DataFrame, clinical: pd.DataFrame, covariates: pd.DataFrame,
    label: pd.Series, method: str, correction: str,
) -> pd.DataFrame:  # fmt: skip
    """Partial correlation of every feature with every clinical column.

    Beside it the one within the classes, with the class as a further covariate: two columns that
    differ between classes correlate in the pooled classes without having to do with each other.

    Parameters
    ----------
    features, clinical, covariates : DataFrames
        Index participant_id, numbers; no name in two of them.
    label : Series, the same index
        Class of each participant.
    method : pearson or spearman
    correction : str
        Name in ``statsmodels.stats.multitest.multipletests``, over all rows.

    Returns
    -------
    DataFrame
        One row per feature and clinical column.
    """
    member = pd.get_dummies(label, prefix="class:", dtype=float).iloc[:, 1:]
    cases = pd.concat([features, clinical, covariates, member], axis=1)
    rows = []
    for x, y in product(features, clinical):
        pooled = correlate(cases, x, y, list(covariates), method)
        within = correlate(cases, x, y, [*covariates, *member], method)
        names = {"r": "r_within", "r_low": "r_within_low", "r_high": "r_within_high"}
        names["p"] = "within_p"
        rows.append(
            {"feature": x, "clinical": y, "method": method}
            | pooled
            | {name: within[key] for key, name in names.items()}
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_corrected"] = corrected(table["p"], correction)
    return table.assign(correction=correction, n_tests=int(table["p"].notna().sum()))


def check_names(block: dict, key: str) -> None:
    """Raise InputError if a column stands in two of features, clinical, covariates."""
    names = block["features"] + block["clinical"] + block["covariates"]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"{key}: {', '.join(twice)} stands in more than one of features, clinical and "
            "covariates; a column cannot be adjusted for itself: keep it in one"
        )


def main(source, out, params):
    """Write the correlations of a study."""
    block, key = params.correlations, f"{params.key}.evaluation.correlations"
    check_names(block, key)
    people = members(read_table(source.population), block["classes"], f"{key}.classes")
    clinical = read_table(source.clinical)
    sources = {
        "features": (read_table(source.features), "features.tsv"),
        "clinical": (clinical, "clinical.tsv"),
        "covariates": (clinical, "clinical.tsv"),
    }
    values = {
        name: columns_of(people, table, block[name], f"{key}.{name}", file)
        for name, (table, file) in sources.items()
    }
    table = correlate_features(
        as_numbers(values["features"], f"{key}.features", "features.tsv"),
        as_terms(values["clinical"], f"{key}.clinical", "clinical.tsv"),
        as_covariates(values["covariates"], f"{key}.covariates", "clinical.tsv"),
        people.set_index("participant_id")["label"],
        block["method"],
        block["correction"],
    ).assign(classes=", ".join(block["classes"]))
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
