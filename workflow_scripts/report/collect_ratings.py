"""Ratings of the pictures by all raters, and how well the raters agree."""

import logging
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from workflow_scripts.common.job import job
from workflow_scripts.common.ratings import (
    FIELDS,
    RATINGS,
    picture_path,
    read_ratings,
    suffix_of,
)
from workflow_scripts.common.record import checksum
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.report.sessions import SESSION

FEWEST = 5  # participants without whom nothing is said of two raters
SAMPLES, SEED = 2000, 0
LEAST_DEFINED = 0.95  # share of the samples that an interval needs
COLUMNS = [*FIELDS, "status"]
AGREEMENT = ["rater_a", "rater_b", "suffix", "n", "participants", "kappa", "kappa_low"]
AGREEMENT += ["kappa_high", "share_equal"]
PICTURE = [*SESSION, "picture", "sha256"]
LOG = logging.getLogger(__name__)


def rating_table(ratings: list[dict], now: dict[str, str]) -> pd.DataFrame:
    """Every rating in the order of sessions, pictures and raters, with its status.

    Parameters
    ----------
    ratings : rows as from `read_ratings`
    now : SHA-256 of the pictures that are there, by path in the output folder

    Returns
    -------
    DataFrame
        `COLUMNS`; status is void where another picture lies there now, else current.
    """
    void = [now.get(picture_path(row), row["sha256"]) != row["sha256"] for row in ratings]
    rows = [
        row | {"status": "void" if changed else "current"}
        for row, changed in zip(ratings, void, strict=True)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values([*SESSION, "picture", "rater"], ignore_index=True)


def weighted_kappa(counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa with linear weights, of several tables of counts at once.

    Parameters
    ----------
    counts : array, shape (..., k, k)
        How often the first rater gave one and the second the other of k ordered ratings.

    Returns
    -------
    array, shape (...)
        NaN where it is not defined: both gave one and the same rating alone.

    Notes
    -----
    Cohen 1968, 10.1037/h0026256; the same as scikit-learn's, which takes 5 ms for each.
    """
    steps = np.arange(counts.shape[-1])
    weights = np.abs(np.subtract.outer(steps, steps))
    rows, columns = counts.sum(-1, keepdims=True), counts.sum(-2, keepdims=True)
    expected = (weights * rows * columns).sum((-2, -1)) / counts.sum((-2, -1))
    with np.errstate(invalid="ignore"):
        return 1 - (weights * counts).sum((-2, -1)) / expected


def kappa_interval(participants, first, second) -> tuple[float, float]:
    """95 % percentile interval of the weighted kappa, from a bootstrap over participants.

    All pictures of a participant are drawn together, 2000 times.

    Parameters
    ----------
    participants : array, shape (n,)
    first, second : int arrays, shape (n,)
        Places of the two raters' ratings in `RATINGS`.

    Returns
    -------
    NaNs where the raters never differ or one of them gave one rating alone, so that kappa is the
    same in every sample, or where it is not defined in more than 5 % of the samples.
    """
    who, place = np.unique(participants, return_inverse=True)
    counts = np.zeros((len(who), len(RATINGS), len(RATINGS)))
    np.add.at(counts, (place, first, second), 1)
    drawn = np.random.default_rng(SEED).multinomial(
        len(who), np.full(len(who), 1 / len(who)), SAMPLES
    )
    kappas = weighted_kappa(np.tensordot(drawn, counts, 1))
    defined = kappas[~np.isnan(kappas)]
    constant = min(len(np.unique(first)), len(np.unique(second))) == 1
    if constant or np.array_equal(first, second) or len(defined) < LEAST_DEFINED * SAMPLES:
        return np.nan, np.nan
    low, high = np.percentile(defined, [2.5, 97.5])
    return low, high


def agreement_table(ratings: pd.DataFrame) -> pd.DataFrame:
    """Each two raters' agreement by kind of picture, on what both have rated.

    Parameters
    ----------
    ratings : DataFrame
        As from `rating_table`; those that are void take no part.

    Returns
    -------
    DataFrame
        `AGREEMENT`; n pictures alone where fewer than `FEWEST` participants have one.
    """
    current = ratings[ratings["status"] == "current"].fillna({"session_id": ""})
    current = current.assign(
        suffix=[suffix_of(row) for row in current.to_dict("records")],
        place=current["rating"].map(RATINGS.index),
    )
    rows = []
    for a, b in combinations(sorted(current["rater"].unique()), 2):
        own, other = (current[current["rater"] == name] for name in (a, b))
        both = own.merge(other[[*PICTURE, "place"]], on=PICTURE, suffixes=("", "_b"))
        for suffix, pairs in both.groupby("suffix"):
            people = pairs["participant_id"].nunique()
            row = {"rater_a": a, "rater_b": b, "suffix": suffix, "n": len(pairs)}
            row["participants"] = people
            if people >= FEWEST:
                row |= _agreement(pairs)
            rows.append(row)
    return pd.DataFrame(rows, columns=AGREEMENT)


def _agreement(pairs: pd.DataFrame) -> dict:
    first, second = pairs["place"].to_numpy(), pairs["place_b"].to_numpy()
    places = range(len(RATINGS))
    low, high = kappa_interval(pairs["participant_id"].to_numpy(), first, second)
    given = np.union1d(first, second)
    return {
        "kappa": cohen_kappa_score(first, second, labels=places, weights="linear")
        if len(given) > 1
        else np.nan,
        "kappa_low": low,
        "kappa_high": high,
        "share_equal": (first == second).mean(),
    }


def main(source, out, params):
    """Write every rating, and the agreement of each two raters."""
    ratings, told = read_ratings(list(source.ratings))
    for sentence in told:
        LOG.info(sentence)
    now = {path: checksum(path)["sha256"] for path in source.pictures}
    table = rating_table(ratings, now | params.others)
    write_table(table, out.ratings, resource("columns/report.tsv"))
    write_table(agreement_table(table), out.agreement, resource("columns/report.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
