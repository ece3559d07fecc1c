"""Fit a table model anew: to permuted labels or inputs, in another way, or without some scans."""

import logging

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from workflow_scripts.baselines.cases import Cases, check_cases
from workflow_scripts.baselines.fit_features import fit_split, predict, read_cases
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.permute_features import permute, permute_inputs
from workflow_scripts.baselines.preparation import site_share
from workflow_scripts.common.flags import counting
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.predictions import PERMUTATIONS, PREDICTIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table, write_table

LOG = logging.getLogger(__name__)
HARMONIZATION = ["split", "term", "n_sites", "n_left", "n", "site_share", "site_share_harmonized"]


def permutations(source, params, threads: int) -> pd.DataFrame:
    """Figures of the test sides under permuted labels."""
    cases = read_cases(source, params, params.settings)
    return _in_parallel(permute, (cases, params.settings), params, threads)


def blocks(source, params, threads: int) -> pd.DataFrame:
    """Figures of the test sides with the inputs permuted whose added value is asked for."""
    cases = read_cases(source, params, params.settings)
    arguments = (cases, params.settings, params.added_value["inputs"])
    return _in_parallel(permute_inputs, arguments, params, threads)


def _in_parallel(function, arguments: tuple, params, threads: int) -> pd.DataFrame:
    rows = Parallel(n_jobs=threads)(
        delayed(function)(*arguments, number, params.seed)
        for number in range(1, params.permutations + 1)
    )
    table = pd.DataFrame([row for rows in rows for row in rows])
    return table[[name for name in PERMUTATIONS if name != "model"]]


def without(cases: Cases, flagged: pd.DataFrame) -> Cases:
    """Cases without some sessions, rows of a table with participant_id and session_id."""
    ours, theirs = (t[SCAN].fillna("").agg("/".join, axis=1) for t in (cases.scans, flagged))
    return cases.only(~ours.isin(theirs).to_numpy())


def ways(source, params):
    """The other ways in which a model can be fitted that make a difference.

    Radiomics are not imputed: who lacks one lacks all.

    The other way with missing values, where a scan lacks one (``impute``, or ``complete_cases`` of
    the model's own columns); ``not_harmonized``; ``not_flagged``, without flagged sessions in
    training and test.

    Yields name, function to the cases, and settings.
    """
    own = params.settings
    everybody = read_cases(source, params, own | {"missing": "impute"})
    cases = read_cases(source, params, own)
    gaps = everybody.terms(own["inputs"]).isna().to_numpy().any()
    if own["missing"] == "impute" and gaps:
        other = own | {"missing": "complete_cases"}
        yield "complete_cases", lambda: read_cases(source, params, other, own["inputs"]), other
    elif len(cases.y) < len(everybody.y) and not set(own["inputs"]) & everybody.further.keys():
        yield "impute", lambda: everybody, own | {"missing": "impute"}
    if own["harmonize"]:
        yield "not_harmonized", lambda: cases, own | {"harmonize": False}
    kept = without(cases, counting(read_table(source.flagged)))
    if len(kept.y) < len(cases.y):
        yield "not_flagged", lambda: checked(kept, params), own


def checked(cases: Cases, params) -> Cases:
    """The cases, if there are enough of them: InputError as `check_cases`."""
    check_cases(cases, params.classes, pd.Series(dtype=int), params.key)
    return cases


def variants(source, params, threads: int) -> pd.DataFrame:
    """Predictions of the model fitted in other ways, see `ways`, named in the column variant.

    A way that leaves too few people is left out, with a warning.
    """
    tables = [pd.DataFrame(columns=["variant", *PREDICTIONS])]
    for variant, cases_of, settings in ways(source, params):
        try:
            cases = cases_of()
        except InputError as error:
            LOG.warning("%s: not possible: %s", variant, error)
            continue
        with one_thread():
            table, _ = predict(cases, "", settings, params.classes, params.seed)
        tables.append(table.assign(variant=variant))
    return pd.concat(tables if len(tables) == 1 else tables[1:], ignore_index=True)


def harmonization(source, params, threads: int) -> pd.DataFrame:
    """Share of each term's variance between the sites of a training side, before and after."""
    cases, settings = read_cases(source, params, params.settings), params.settings
    x, terms, rows = cases.matrix(settings), list(cases.terms(settings["inputs"])), []
    for place, split in enumerate(cases.splits):
        with one_thread():
            combat = fit_split(settings, x, cases, place, params.seed).pipeline[-3]
        train = cases.role[place] == "train"
        scored = np.isin(cases.role[place], ("test", "external"))
        known = np.isin(cases.site, list(combat.location_))
        before, after = x[train], combat.transform(x[train])
        for column in combat.places:
            shares = [site_share(values[:, column], before[:, -1]) for values in (before, after)]
            counts = [len(combat.location_), (scored & ~known).sum(), scored.sum()]
            rows.append([split, terms[column], *counts, *shares])
    return pd.DataFrame(rows, columns=HARMONIZATION)


REFITS = {f.__name__: f for f in (permutations, blocks, variants, harmonization)}


def main(source, out, params, wildcards, threads: int):
    """Write the table of one kind of refit."""
    table = REFITS[wildcards.refit](source, params, threads)
    table = table.assign(model=wildcards.model)[
        ["model", *table.columns.drop("model", errors="ignore")]
    ]
    write_table(table, out.table, resource("columns/baselines.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            snakemake.wildcards,
            snakemake.threads,
        )
