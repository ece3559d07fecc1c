"""Predictions of one model as arrays: what the evaluations of every design read.

The participant is the unit: scans of one participant count together as one, and limits and
variances are those of as many participants as there are, not of splits, repeats or scans.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.metrics import scan_weights
from workflow_scripts.common.splits import SCAN, blocks_of

# What the predictions of a role are called in the tables.
ESTIMATES = {"test": "test", "external": "external", "train": "apparent"}
AVERAGED = "external_averaged"  # by the mean of their scores over the splits


@dataclass(frozen=True)
class Scores:
    """Predictions of one model: N scans, R rows (blocks of splits times repeats of the training).

    Attributes
    ----------
    truth : bool array, (N,)
    person : int array, (N,)
    score, probability : float arrays, (R, N); NaN where not scored, or without a probability
    predicted : bool array, (R, N)
    fold : int array, (R, N)
        Split that scored it; -1 where none did. Scores are compared within a row and split.
    """

    truth: np.ndarray
    person: np.ndarray
    score: np.ndarray
    probability: np.ndarray
    predicted: np.ndarray
    fold: np.ndarray

    @property
    def scan_weight(self) -> np.ndarray:
        """1 / number of the participant's scans, (N,)."""
        return scan_weights(self.person)

    @property
    def weight(self) -> np.ndarray:
        """Share of each row in what a scan counts, (R, N); sums to the participants."""
        scored = self.fold >= 0
        return scored * self.scan_weight / np.maximum(scored.sum(0), 1)

    def participants(self, who: np.ndarray | None = None) -> float:
        """Number of participants, of scans ``who`` (N,) bool: as much as these scans count."""
        return float(self.scan_weight[slice(None) if who is None else who].sum())

    def variance_between(self, share: np.ndarray) -> np.ndarray:
        """Variance of the sum over the scans of what each adds, between the people of a class.

        Parameters
        ----------
        share : float array, (N, ...)
            Of independent scans the variance is (value - mean)^2 / n^2, summed over them.
        """
        total = np.zeros((self.person.max() + 1, *share.shape[1:]))
        for member in (self.truth, ~self.truth):
            if not member.any():
                continue
            own = np.zeros_like(total)
            np.add.at(own, self.person[member], share[member])
            people = np.unique(self.person[member])
            total[people] += own[people] - own[people].mean(0)
        return (total**2).sum(0)

    @property
    def both_classes(self) -> bool:
        """Whether there are scans of either class."""
        return bool(self.truth.any() and not self.truth.all())

    @property
    def calibrated(self) -> bool:
        """Whether the model gives probabilities."""
        return bool(np.isfinite(self.probability[self.fold >= 0]).all())


def scores_of(rows: pd.DataFrame, classes: list[str]) -> Scores:
    """Predictions of one model and role as arrays, ordered by participant and session.

    Parameters
    ----------
    rows : DataFrame
        Columns of `common.predictions`.
    classes : [negative, positive]

    Raises
    ------
    InputError
        If a label or prediction is none of the classes.
    """
    for column in ("label", "predicted"):
        unknown = sorted(set(rows[column]) - set(classes))
        if unknown:
            raise InputError(
                f"predictions: {column} holds {unknown}, the classes are {classes}; "
                "make the predictions again"
            )
    scans = rows[[*SCAN, "label"]].fillna({"session_id": ""}).drop_duplicates()
    scans = scans.sort_values(SCAN, kind="stable").reset_index(drop=True)
    place = pd.MultiIndex.from_frame(scans[SCAN])
    blocks = blocks_of(rows) or [[split] for split in rows["split"].unique()]
    block_of = {split: number for number, block in enumerate(blocks) for split in block}
    repeats = sorted(rows["repeat"].unique())
    row = rows["split"].map(block_of).to_numpy() * len(repeats) + np.searchsorted(
        repeats, rows["repeat"]
    )
    column = place.get_indexer(pd.MultiIndex.from_frame(rows[SCAN].fillna({"session_id": ""})))
    shape = (len(blocks) * len(repeats), len(scans))
    arrays = {name: np.full(shape, np.nan) for name in ("score", "probability")}
    for name, array in arrays.items():
        array[row, column] = rows[name].to_numpy(float)
    fold, predicted = np.full(shape, -1), np.zeros(shape, bool)
    fold[row, column] = rows["split"].to_numpy(int)
    predicted[row, column] = rows["predicted"].to_numpy(str) == classes[1]
    _, person = np.unique(scans["participant_id"].to_numpy(str), return_inverse=True)
    truth = scans["label"].to_numpy(str) == classes[1]
    return Scores(truth, person, arrays["score"], arrays["probability"], predicted, fold)


def by_model(predictions: pd.DataFrame, classes: list[str]) -> dict[tuple[str, str], Scores]:
    """(model, estimate) to its scores, in the order of the table; estimates as in `ESTIMATES`."""
    return {
        (model, ESTIMATES[role]): scores_of(rows, classes)
        for (model, role), rows in predictions.groupby(["model", "role"], sort=False)
    }


def draw_participants(scores: Scores, bootstraps: int, seed: int) -> np.ndarray:
    """Times each scan is drawn with its participant, within the class: int array, (B, N)."""
    rng = np.random.default_rng(seed)
    _, first = np.unique(scores.person, return_index=True)
    truth = scores.truth[first]
    drawn = np.zeros((bootstraps, len(first)), int)
    for member in (~truth, truth):
        n = int(member.sum())
        if n:
            drawn[:, member] = rng.multinomial(n, np.full(n, 1 / n), size=bootstraps)
    return drawn[:, scores.person]
