"""Fit a table model again with the labels of permutations."""

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from workflow_scripts.baselines.cases import Cases, exchange
from workflow_scripts.baselines.fit_features import fit_split, read_cases
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.common.job import job
from workflow_scripts.common.metrics import split_figures
from workflow_scripts.common.predictions import PERMUTATIONS
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table


def permute(cases: Cases, settings: dict, number: int, seed: int) -> list[dict]:
    """One permutation, see `exchange`, with everything fitted anew: a row per split."""
    permuted, rows = exchange(cases, number, seed), []
    x = permuted.terms(settings["inputs"]).to_numpy(float)
    with one_thread():
        for place, split in enumerate(permuted.splits):
            fitted = fit_split(settings, x, permuted, place, seed)
            tested = np.flatnonzero(permuted.role[place] == "test")
            score = fitted.score(x[tested])
            figures = split_figures(
                permuted.y[tested], score > fitted.threshold, score, permuted.person[tested]
            )
            rows.append({"split": split, "repeat": 1, "permutation": number, **figures})
    return rows


def main(source, out, params, wildcards, threads: int):
    """Write the figures of all permutations and splits."""
    cases = read_cases(source, params)
    rows = Parallel(n_jobs=threads)(
        delayed(permute)(cases, params.settings, number, params.seed)
        for number in range(1, params.permutations + 1)
    )
    table = pd.DataFrame([row for rows in rows for row in rows]).assign(model=wildcards.model)
    write_table(table[PERMUTATIONS], out.permutations, resource("columns/baselines.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(
            snakemake.input,
            snakemake.output,
            snakemake.params,
            snakemake.wildcards,
            snakemake.threads,
        )
