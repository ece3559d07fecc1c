"""Draw a study's random sub-sampling trials and keep them as a file."""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.common.trials import check_trials


def participants_of(population: pd.DataFrame, classes: list[str], study: str) -> pd.Series:
    """Class of every participant, ordered by participant id.

    Parameters
    ----------
    population : DataFrame
        Columns participant_id, session_id, label; one row per scan.
    classes : [negative, positive]
    study : str
        Name used in messages.

    Returns
    -------
    Series
        Index participant_id, values the class name.

    Raises
    ------
    InputError
        If a label is none of the classes or changes between a participant's sessions.
    """
    people = population.assign(label=population["label"].astype(str))
    people = people[["participant_id", "label"]].drop_duplicates()
    unknown = people[~people["label"].isin(classes)]
    if len(unknown):
        raise InputError(
            f"study {study}: participants {sorted(unknown['participant_id'])} have labels "
            f"{sorted(unknown['label'].unique())}, the classes are {classes}; correct "
            f"studies.{study}.classes or the population"
        )
    twice = people.loc[people["participant_id"].duplicated(), "participant_id"]
    if len(twice):
        raise InputError(
            f"study {study}: participants {sorted(twice)} have more than one label; "
            "give each participant one"
        )
    return people.set_index("participant_id")["label"].sort_index()


def check_design(labels: pd.Series, classes: list[str], design: dict, study: str) -> None:
    """Raise InputError if a class has fewer participants than a trial draws from it.

    ``labels`` is what `participants_of` returns.
    """
    for name in classes:
        train, test = design["train"].get(name, 0), design["test"].get(name, 0)
        available = int((labels == name).sum())
        if train + test > available:
            raise InputError(
                f"study {study}: class {name} needs {train + test} participants per trial "
                f"({train} train + {test} test), {available} available; lower "
                f"studies.{study}.design.train.{name} or studies.{study}.design.test.{name}, "
                "or add participants"
            )


def draw_trials(
    population: pd.DataFrame, classes: list[str], design: dict, seed: int, study: str
) -> pd.DataFrame:
    """Repeated random sub-sampling by participant.

    In each trial and class, ``design["test"]`` and ``design["train"]`` participants
    are drawn without overlap; the others are ``rest``. All sessions of a
    participant have the same role. A trial depends on the seed, its own number
    and the population only, not on the number of trials or the order of rows.

    Parameters
    ----------
    population : DataFrame
        Columns participant_id, session_id, label; one row per scan.
    classes : [negative, positive]
    design : dict
        ``trials`` (number), ``train`` and ``test`` ({class: participants}),
        ``repeat_minority`` (bool: the smaller training class is used twice per epoch).
    seed : int
    study : str
        Name used in messages.

    Returns
    -------
    DataFrame
        Columns trial (1..n), participant_id, session_id, label, role
        (train, test, rest), weight (1 or 2 in train, else 0).

    Raises
    ------
    InputError
        If a class has too few participants, or there is no smaller class to repeat.

    Notes
    -----
    Inglese et al. 2022 (Front Neurosci 16:695888): six trials, train 68 + 34
    with the 34 used twice, test 9 + 9.
    """
    labels = participants_of(population, classes, study)
    check_design(labels, classes, design, study)
    weight = dict.fromkeys(classes, 1)
    if design["repeat_minority"]:
        small, large = sorted(classes, key=lambda name: design["train"].get(name, 0))
        if design["train"].get(small, 0) == design["train"].get(large, 0):
            raise InputError(
                f"study {study}: both training classes have {design['train'].get(small, 0)} "
                f"participants; set studies.{study}.design.repeat_minority to false"
            )
        weight[small] = 2

    scans = population[["participant_id", "session_id"]].sort_values(
        ["participant_id", "session_id"], kind="stable"
    )
    tables = []
    for trial in range(1, design["trials"] + 1):
        rng = np.random.default_rng([seed, trial])
        role = pd.Series("rest", index=labels.index)
        for name in classes:
            drawn = rng.permutation(labels.index[labels == name].to_numpy())
            n_test, n_train = design["test"].get(name, 0), design["train"].get(name, 0)
            role[drawn[:n_test]] = "test"
            role[drawn[n_test : n_test + n_train]] = "train"
        table = scans.assign(
            label=scans["participant_id"].map(labels), role=scans["participant_id"].map(role)
        )
        table["weight"] = table["label"].map(weight).where(table["role"] == "train", 0)
        table.insert(0, "trial", trial)
        tables.append(table)
    trials = pd.concat(tables, ignore_index=True)
    check_trials(trials)
    return trials


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        study = snakemake.params.study  # noqa: F821
        drawn = draw_trials(
            read_table(snakemake.input.population),  # noqa: F821
            study["classes"],
            study["design"],
            study["seed"],
            snakemake.wildcards.study,  # noqa: F821
        )
        write_table(drawn, snakemake.output.trials, resource("columns/baselines.tsv"))  # noqa: F821
