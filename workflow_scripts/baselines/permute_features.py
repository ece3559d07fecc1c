"""A table model fitted anew after labels, or the columns of inputs, change places."""

from dataclasses import replace

import numpy as np

from workflow_scripts.baselines.cases import Cases, exchange, exchanged
from workflow_scripts.baselines.fit_features import fit_split
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.common.metrics import split_figures


def permute(cases: Cases, settings: dict, number: int, seed: int) -> list[dict]:
    """One permutation of the labels, see `exchange`, with everything fitted anew."""
    return figures(exchange(cases, number, seed), settings, number, seed)


def permute_inputs(cases: Cases, settings: dict, inputs: list[str], number: int, seed: int):
    """One permutation of the columns of inputs alone, which stay together, fitted anew.

    Participants exchange them with others that have as many scans; labels and all other columns
    stay where they are. External participants take no part.
    """
    cases = cases.inside()
    source = exchanged(cases.person, np.random.default_rng([seed, 3, number]))
    x, further = (
        tables
        | {
            name: tables[name].iloc[source].set_axis(tables[name].index)
            for name in inputs
            if name in tables
        }
        for tables in (cases.x, cases.further)
    )
    return figures(replace(cases, x=x, further=further), settings, number, seed)


def figures(cases: Cases, settings: dict, number: int, seed: int) -> list[dict]:
    """Figures of the test side of every split, of a model fitted to these cases."""
    x, rows = cases.matrix(settings), []
    with one_thread():
        for place, split in enumerate(cases.splits):
            fitted = fit_split(settings, x, cases, place, seed)
            tested = np.flatnonzero(cases.role[place] == "test")
            score = fitted.score(x[tested])
            found = split_figures(
                cases.y[tested], score > fitted.threshold, score, cases.person[tested]
            )
            rows.append({"split": split, "repeat": 1, "permutation": number, **found})
    return rows
