"""Complete cases of a study's models, with their terms and folds."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import SCAN, as_numbers, as_terms, columns_of, members
from workflow_scripts.common.trials import LeakageError

LOG = logging.getLogger(__name__)


@dataclass
class Cases:
    """Complete cases: N participants, R repeats.

    Attributes
    ----------
    scans : DataFrame, (N,): participant_id, session_id
    y : bool array, (N,): positive class
    x : dict of DataFrames, (N, F): terms of clinical, mri and combined
    fold : int array, (R, N)
    """

    scans: pd.DataFrame
    y: np.ndarray
    x: dict[str, pd.DataFrame]
    fold: np.ndarray


def build_cases(folds, features, participants, block: dict, key: str) -> Cases:
    """Bring features, clinical columns and folds together.

    Participants without a value in one of the columns of the combined model are
    left out of all three models, with a warning, so that the models are compared
    on the same people and nothing is imputed.

    Parameters
    ----------
    folds : DataFrame
        From `draw_folds`.
    features, participants : DataFrames
        features.tsv and participants.tsv.
    block : dict
        ``classes`` ([negative, positive]), ``clinical`` and ``mri`` (columns).
    key : str
        Key of the configuration of ``block``, for messages.

    Raises
    ------
    LeakageError
        If a participant is in several folds of a repeat.
    InputError
        If a column cannot be used, or too few complete cases are left in a class.
    """
    if folds.duplicated(["repeat", "participant_id"]).any():
        raise LeakageError("folds: a participant is in several folds of a repeat; draw them again")
    people = members(folds[folds["repeat"] == 1], block["classes"], f"{key}.classes")
    both = sorted(set(block["clinical"]) & set(block["mri"]))
    if both:
        raise InputError(f"{key}: {', '.join(both)} stands in clinical and in mri; keep it in one")
    clinical = columns_of(
        people, participants, block["clinical"], f"{key}.clinical", "participants.tsv"
    )
    mri = columns_of(people, features, block["mri"], f"{key}.mri", "features.tsv")
    missing = pd.concat([clinical, mri], axis=1).isna()
    complete = ~missing.any(axis=1).to_numpy()
    if not complete.all():
        LOG.warning(
            "left out of all models, a column is missing: %s (values missing: %s)",
            ", ".join(clinical.index[~complete]),
            ", ".join(f"{name} {n}" for name, n in missing.sum().items() if n),
        )
    people = people[complete].reset_index(drop=True)
    fold = folds.pivot(index="repeat", columns="participant_id", values="fold")
    cases = Cases(
        scans=people[SCAN],
        y=(people["label"] == block["classes"][1]).to_numpy(),
        x={},
        fold=fold[people["participant_id"]].to_numpy(int),
    )
    check_cases(cases, block["classes"], missing.sum(), key)
    terms = {
        "clinical": as_terms(clinical[complete], f"{key}.clinical", "participants.tsv"),
        "mri": as_numbers(mri[complete], f"{key}.mri", "features.tsv"),
    }
    cases.x = terms | {"combined": pd.concat(list(terms.values()), axis=1)}
    return cases


def check_cases(cases: Cases, classes: list[str], missing: pd.Series, key: str) -> None:
    """Raise InputError if a training side lacks two complete cases of a class."""
    for name, member in zip(classes, (~cases.y, cases.y), strict=True):
        trained = [
            (member & (row != number)).sum() for row in cases.fold for number in np.unique(row)
        ]
        if min(trained, default=0) < 2 or member.sum() < 3:
            worst = missing.sort_values(ascending=False).index[0]
            raise InputError(
                f"{key}: class {name} has {int(member.sum())} participants with a value in every "
                f"column of clinical and mri, too few for its folds; take out columns with many "
                f"n/a ({worst}: {int(missing[worst])}) or add participants"
            )
    pairs = [
        (cases.y & (row == number)).any() and (~cases.y & (row == number)).any()
        for row in cases.fold
        for number in np.unique(row)
    ]
    if not any(pairs):
        raise InputError(
            f"{key}.folds: no fold tests complete cases of both classes; lower the number"
        )
