"""What holds for the trials of every design."""

import pandas as pd

from workflow_scripts.common.job import InputError


class LeakageError(InputError):
    """A participant is on both sides of a trial."""


def check_trials(trials: pd.DataFrame) -> None:
    """Raise LeakageError if a participant trains and is tested in one trial.

    Sessions do not matter: two scans of one person on the two sides are a leak.

    Parameters
    ----------
    trials : DataFrame
        Columns trial, participant_id, role.
    """
    used = trials[trials["role"].isin(["train", "test"])]
    sides = used.groupby(["trial", "participant_id"])["role"].nunique()
    leaks = sides[sides > 1].index
    if len(leaks):
        named = ", ".join(f"{participant} (trial {trial})" for trial, participant in leaks)
        raise LeakageError(
            f"trials: participants in both train and test: {named}; "
            "give all sessions of a participant one role per trial"
        )
