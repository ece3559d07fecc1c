"""Draw the repeated folds of a study's models and keep them as a file."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.people import members
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table


def check_sizes(labels: pd.Series, classes: list[str], folds: int, key: str) -> None:
    """Raise InputError if a class is too small for this number of folds.

    Each fold tests one participant of a class at least, and leaves two to train on.
    """
    for name in classes:
        n = int((labels == name).sum())
        possible = [k for k in range(2, n + 1) if n - -(-n // k) >= 2]
        if not possible:
            raise InputError(
                f"{key}.classes: class {name} has {n} participants, 3 are needed to test one and "
                "train on two; add participants or choose other classes"
            )
        if folds not in possible:
            change = "lower" if folds > possible[-1] else "raise"
            nearest = possible[-1] if folds > possible[-1] else possible[0]
            raise InputError(
                f"{key}.folds: {folds} folds are not possible with the {n} participants of class "
                f"{name}; {change} {key}.folds to {nearest}, or add participants"
            )


def draw_folds(
    population: pd.DataFrame, classes: list[str], folds: int, repeats: int, seed: int, key: str
) -> pd.DataFrame:
    """Repeated folds by participant, stratified by class.

    In each repeat the participants are shuffled within their class and dealt to
    the folds in turn, so that folds differ by one participant at most, in each
    class and in all. A repeat depends on the seed, its own number, the ids and the
    labels only.

    Parameters
    ----------
    population : DataFrame
        Columns participant_id, session_id, label.
    classes : [negative, positive]
        Participants of other classes are left out.
    folds, repeats, seed : int
    key : str
        Key of the configuration with ``classes`` and ``folds``, for messages.

    Returns
    -------
    DataFrame
        Columns repeat (1..n), fold (1..k: the one that tests the participant),
        participant_id, session_id, label.

    Raises
    ------
    InputError
        If a class has too few participants.
    """
    people = members(population, classes, f"{key}.classes")
    check_sizes(people["label"], classes, folds, key)
    tables = []
    for repeat in range(1, repeats + 1):
        rng = np.random.default_rng([seed, repeat])
        order = np.concatenate(
            [rng.permutation(np.flatnonzero(people["label"] == name)) for name in classes]
        )
        fold = np.empty(len(people), int)
        fold[order] = np.arange(len(people)) % folds + 1
        tables.append(people.assign(repeat=repeat, fold=fold))
    columns = ["repeat", "fold", "participant_id", "session_id", "label"]
    return pd.concat(tables, ignore_index=True)[columns]


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        study = snakemake.params.study  # noqa: F821
        drawn = draw_folds(
            read_table(snakemake.input.population),  # noqa: F821
            study["models"]["classes"],
            study["models"]["folds"],
            study["models"]["repeats"],
            study["seed"],
            f"studies.{snakemake.wildcards.study}.models",  # noqa: F821
        )
        write_table(drawn, snakemake.output.folds, resource("columns/baselines.tsv"))  # noqa: F821
