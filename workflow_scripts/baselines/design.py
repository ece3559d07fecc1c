"""A study's features and trials as arrays."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.trials import check_trials

SCAN = ["participant_id", "session_id"]
LOG = logging.getLogger(__name__)


@dataclass
class Design:
    """Features and trials as arrays: R scans, P participants, T trials, F features.

    Attributes
    ----------
    scans : DataFrame, (R,): participant_id, session_id
    x : float array, (R, F)
    person : int array, (R,): participant of each scan
    positive : bool array, (P,)
    role : str array, (T, P): train, test, rest
    weight : float array, (T, P): times used in training
    trials : trial numbers, (T,)
    """

    scans: pd.DataFrame
    x: np.ndarray
    person: np.ndarray
    positive: np.ndarray
    role: np.ndarray
    weight: np.ndarray
    trials: np.ndarray


def build_design(features, trials, names: list[str], positive_class: str) -> Design:
    """Bring the feature table and the trials file together.

    Scans that lack one of the features ``names`` are left out, with a warning.

    Raises
    ------
    LeakageError
        If a participant is on both sides of a trial.
    InputError
        If a class is left with less than two participants to train on or one to test.
    """
    check_trials(trials)
    scans = trials[SCAN].drop_duplicates().merge(features[SCAN + names], on=SCAN, how="left")
    incomplete = scans[names].isna().any(axis=1)
    if incomplete.any():
        who = sorted(scans.loc[incomplete, "participant_id"].unique())
        LOG.warning("left out, a feature is missing: %s", who)
    scans = scans[~incomplete].reset_index(drop=True)
    people, person = np.unique(scans["participant_id"].to_numpy(str), return_inverse=True)
    wide = trials.drop_duplicates(["trial", "participant_id"]).pivot(
        index="trial", columns="participant_id", values=["label", "role", "weight"]
    )
    design = Design(
        scans=scans[SCAN],
        x=scans[names].to_numpy(float),
        person=person,
        positive=wide["label"][people].iloc[0].to_numpy(str) == positive_class,
        role=wide["role"][people].to_numpy(str),
        weight=wide["weight"][people].to_numpy(float),
        trials=wide.index.to_numpy(),
    )
    for trial, role in zip(design.trials, design.role, strict=True):
        for side, needed in (("train", 2), ("test", 1)):
            for name, members in (("positive", design.positive), ("negative", ~design.positive)):
                found = ((role == side) & members).sum()
                if found < needed:
                    raise InputError(
                        f"trial {trial}: {found} participants of the {name} class have all "
                        f"features on the {side} side, {needed} needed; raise design.{side} "
                        "of the study or choose other features"
                    )
    return design
