"""Differences between groups with covariates held constant: a linear model, and one of ranks."""

from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.api import OLS

TESTED = ["adjusted_n", "adjusted_f", "adjusted_p", "adjusted_rank_p"]
COMPARED = ["adjusted_difference", "adjusted_difference_low", "adjusted_difference_high"]
COMPARED += ["adjusted_p", "adjusted_rank_p"]


def fitted(values: pd.Series, group: np.ndarray, covariates: pd.DataFrame, groups: int):
    """Least squares of values (N,) on the groups (0..) and the covariates; None without error."""
    design = np.column_stack([group == number for number in range(groups)]).astype(float)
    centred = covariates - covariates.mean()
    scale = centred.abs().max()
    design = np.column_stack([design, centred.loc[:, scale > 0] / scale[scale > 0]])
    if len(values) <= design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    return OLS(values.to_numpy(float), design).fit()


def adjusted_tests(
    values: pd.Series, label: pd.Series, covariates: pd.DataFrame, groups: list[str]
) -> tuple[dict, list[dict]]:
    """Test of equal means of the groups at equal covariates, and each two groups compared.

    Participants without a value or a covariate are left out. The tests of ranks do the same with
    ranks in place of the values and covariates (Conover & Iman 1982, 10.2307/2530051).

    Parameters
    ----------
    values, label : Series, index participant_id
    covariates : DataFrame, the same index
        Numbers.
    groups : list of str

    Returns
    -------
    dict
        ``TESTED``: participants, F, its p and that of ranks.
    list of dict
        Of each two groups ``COMPARED``: the later minus the earlier mean with its 95 % interval
        and two-sided p. Everything but the number is missing where a group has nobody or the
        groups cannot be told from the covariates.
    """
    cases = covariates.assign(value=values, label=label).dropna()
    cases = cases[cases["label"].isin(groups)]
    group = cases["label"].map(groups.index).to_numpy(int)
    pairs = list(combinations(range(len(groups)), 2))
    none = dict.fromkeys(TESTED, np.nan) | {"adjusted_n": len(cases)}
    nothing = [dict.fromkeys(COMPARED, np.nan) for _ in pairs]
    numbers = cases.drop(columns="label")
    models = [
        fitted(table["value"], group, table.drop(columns="value"), len(groups))
        for table in (numbers, numbers.rank())
    ]
    if any(model is None or not model.ssr > 1e-12 * model.centered_tss for model in models):
        return none, nothing
    model, ranks = models
    contrasts = np.zeros((len(pairs), len(model.params)))
    for row, (i, j) in enumerate(pairs):
        contrasts[row, [i, j]] = -1, 1
    against_first = contrasts[: len(groups) - 1]
    whole, of_ranks = (found.f_test(against_first) for found in models)
    test = none | {"adjusted_f": float(whole.fvalue), "adjusted_p": float(whole.pvalue)}
    test["adjusted_rank_p"] = float(of_ranks.pvalue)
    found = model.t_test(contrasts)
    table = np.column_stack(
        [found.effect, found.conf_int(), found.pvalue, ranks.t_test(contrasts).pvalue]
    )
    return test, [dict(zip(COMPARED, row, strict=True)) for row in table.tolist()]
