"""Draw the splits of a study's design and keep them as a file."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.splits import COLUMNS, ROLES, SCAN, LeakageError, check_splits
from workflow_scripts.common.tables import read_table, write_table


def participants_of(population: pd.DataFrame, classes: list[str]) -> pd.Series:
    """Class of every participant in their first session, ordered by participant id.

    Parameters
    ----------
    population : DataFrame
        Columns participant_id, session_id, label; one row per scan.
    classes : [negative, positive]
        Scans of other classes are left out.

    Returns
    -------
    Series
        Index participant_id, values the class name.
    """
    members = population[population["label"].isin(classes)]
    labels = members.drop_duplicates("participant_id").set_index("participant_id")["label"]
    return labels.sort_index()


def stratified(labels: pd.Series, classes: list[str], rng) -> np.ndarray:
    """Places of the participants, shuffled within their class, one class after the other."""
    return np.concatenate(
        [rng.permutation(np.flatnonzero(labels.to_numpy() == name)) for name in classes]
    )


def random_trials(labels: pd.Series, design: dict, seed: int, where: str, **_):
    """Repeated random sub-sampling: so many of each class to test and to train, others rest.

    A trial depends on the seed, its own number and the participants only. Yields per trial the
    role of each participant and the weight of each class.

    Notes
    -----
    Inglese et al. 2022 (Front Neurosci 16:695888): six trials, train 68 + 34
    with the 34 used twice, test 9 + 9.
    """
    classes, train = design["classes"], design["train"]
    weight = dict.fromkeys(classes, 1)
    for name in classes:
        available, needed = (labels == name).sum(), train[name] + design["test"][name]
        if needed > available:
            raise InputError(
                f"{where}: class {name} needs {needed} participants per trial "
                f"({train[name]} train + {design['test'][name]} test), {available} available; "
                f"lower {where}.train.{name} or {where}.test.{name}, or add participants"
            )
    if design["repeat_minority"]:
        small, large = sorted(classes, key=lambda name: train[name])
        if train[small] == train[large]:
            raise InputError(
                f"{where}: both training classes have {train[small]} participants; "
                f"set {where}.repeat_minority to false"
            )
        weight[small] = 2
    for trial in range(1, design["trials"] + 1):
        rng = np.random.default_rng([seed, trial])
        role = pd.Series("rest", index=labels.index)
        for name in classes:
            drawn = rng.permutation(labels.index[labels == name].to_numpy())
            n_test = design["test"][name]
            role[drawn[:n_test]] = "test"
            role[drawn[n_test : n_test + train[name]]] = "train"
        yield role, weight


def folds(labels: pd.Series, design: dict, seed: int, where: str, **_):
    """Repeated cross-validation, stratified by class.

    In each repeat the participants are shuffled within their class and dealt to the folds in
    turn, so that folds differ by one participant at most, in each class and in all. Split
    (r - 1) k + f tests fold f of repeat r; with ``validation``, fold f + 1 (after the last the
    first) is kept apart.
    """
    classes, k = design["classes"], design["folds"]
    apart = 2 if design["validation"] else 1
    for name in classes:
        n = int((labels == name).sum())
        possible = [f for f in range(apart + 1, n + 1) if n - apart * -(-n // f) >= 2]
        if not possible:
            raise InputError(
                f"{where}.classes: class {name} has {n} participants, {2 + apart} are needed to "
                f"{'validate, ' if design['validation'] else ''}test one and train on two; add "
                "participants or choose other classes"
            )
        if k not in possible:
            nearest = possible[-1] if k > possible[-1] else possible[0]
            raise InputError(
                f"{where}.folds: {k} folds are not possible with the {n} participants of class "
                f"{name}; {'lower' if k > nearest else 'raise'} {where}.folds to {nearest}, or add "
                "participants"
            )
    for repeat in range(1, design["repeats"] + 1):
        order = stratified(labels, classes, np.random.default_rng([seed, repeat]))
        fold = pd.Series(0, index=labels.index)
        fold.iloc[order] = np.arange(len(order)) % k
        for tested in range(k):
            role = pd.Series("train", index=labels.index)
            role[fold == tested] = "test"
            if design["validation"]:
                role[fold == (tested + 1) % k] = "validation"
            yield role, dict.fromkeys(classes, 1)


def holdout(labels: pd.Series, design: dict, seed: int, where: str, **_):
    """One random test side, and one for validation where it is asked for, stratified by class."""
    rng = np.random.default_rng([seed, 1])
    role = pd.Series("train", index=labels.index)
    for name in design["classes"]:
        drawn = rng.permutation(labels.index[labels == name].to_numpy())
        n_test = max(1, round(design["test"] * len(drawn)))
        n_validation = round(design["validation"] * len(drawn))
        role[drawn[:n_test]] = "test"
        role[drawn[n_test : n_test + n_validation]] = "validation"
    yield role, dict.fromkeys(design["classes"], 1)


def leave_site_out(labels: pd.Series, design: dict, where: str, population: pd.DataFrame, **_):
    """Each site, in alphabetical order, is tested by models of all others."""
    of_person = population.groupby("participant_id")["site"]
    several = of_person.nunique()
    several = sorted(several.index[several > 1])
    if several:
        raise LeakageError(
            f"{where}.column: {', '.join(several)} have sessions in several sites; "
            f"write one value of {design['column']} for all sessions of a participant"
        )
    sites = of_person.first().reindex(labels.index)
    if sites.isna().any():
        raise InputError(
            f"{where}.column: {design['column']} is missing for "
            f"{', '.join(sites.index[sites.isna()])}; write it, or exclude them"
        )
    if sites.nunique() < 2:
        raise InputError(f"{where}.column: {design['column']} has one value only; choose another")
    for site in sorted(sites.unique()):
        yield (
            pd.Series(np.where(sites == site, "test", "train"), index=labels.index),
            dict.fromkeys(design["classes"], 1),
        )


def random_splits(population: pd.DataFrame, design: dict, seed: int, where: str) -> pd.DataFrame:
    """Splits that a design draws, of the scans of its two classes, external ones among them."""
    scans = population[population["label"].isin(design["classes"])]
    scans = scans.sort_values(SCAN, kind="stable")
    outside = scans["external"] == "yes"
    labels = participants_of(population[population["external"] == "no"], design["classes"])
    drawn = DESIGNS[design["kind"]](
        labels, design=design, seed=seed, where=where, population=scans[~outside]
    )
    tables = []
    for number, (role, weight) in enumerate(drawn, start=1):
        table = scans[[*SCAN, "label"]].copy()
        table["role"] = table["participant_id"].map(role).where(~outside, "external")
        table["weight"] = table["label"].map(weight).where(table["role"] == "train", 0)
        table.insert(0, "split", number)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def given_splits(population: pd.DataFrame, design: dict, given: pd.DataFrame) -> pd.DataFrame:
    """Splits as a table of the user's says; who does not stand there does not take part.

    Parameters
    ----------
    given : DataFrame
        split, participant_id, role and, where wanted, session_id and weight.

    Raises
    ------
    InputError
        If a column is missing, or a row is none of the population's.
    """
    table = design["table"]
    missing = [name for name in ("split", "participant_id", "role") if name not in given]
    if missing:
        raise InputError(f"{table}: lacks the columns {missing}; see docs/configuration.md")
    if unknown := sorted(set(given["role"].astype(str)) - set(ROLES)):
        raise InputError(f"{table}: role {unknown} is none of {ROLES}; correct it")
    keys = [name for name in SCAN if name in given]
    number = pd.to_numeric(given["split"], errors="coerce")
    if not ((number >= 1) & (number % 1 == 0)).all():
        raise InputError(f"{table}: split must be a whole number from 1 in every row; correct it")
    found = sorted(number.unique())
    if not found or found != list(range(1, len(found) + 1)):
        raise InputError(
            f"{table}: its splits are {', '.join(f'{n:g}' for n in found) or 'none'}; number them "
            "from 1 on without a gap"
        )
    twice = given.loc[given.duplicated(["split", *keys]), "participant_id"]
    if len(twice):
        raise InputError(
            f"{table}: {', '.join(sorted(set(twice)))} stands twice in a split; keep one row"
        )
    scans = population[population["label"].isin(design["classes"])]
    strangers = given[keys].merge(scans[keys].drop_duplicates(), how="left", indicator=True)
    strangers = strangers.loc[strangers["_merge"] == "left_only", "participant_id"]
    if len(strangers):
        raise InputError(
            f"{table}: {', '.join(sorted(set(strangers)))} has no scan in the study's population "
            f"with a label in {design['classes']}; correct the row or the study"
        )
    given = given.assign(split=number.astype(int))
    if "weight" not in given:
        given = given.assign(weight=1)
    weight = pd.to_numeric(given["weight"], errors="coerce").where(given["role"] == "train", 1)
    if not ((weight >= 1) & (weight % 1 == 0)).all():
        wrong = given["weight"][~((weight >= 1) & (weight % 1 == 0))].iloc[0]
        raise InputError(
            f"{table}: weight is {wrong} where the role is train; it is the number of times that a "
            "scan trains, a whole number from 1"
        )
    given = given.assign(weight=weight.astype(int))
    splits = given.merge(scans[[*SCAN, "label", "external"]], on=keys)
    outside = splits["external"] == "yes"
    if (wrong := outside & ~splits["role"].isin(["external", "rest"])).any():
        raise LeakageError(
            f"{table}: {', '.join(sorted(set(splits.loc[wrong, 'participant_id'])))} is external "
            "and stands there as one who trains or is tested inside; give the role external"
        )
    splits["weight"] = splits["weight"].where(splits["role"] == "train", 0)
    return splits.sort_values(["split", *SCAN], kind="stable")[COLUMNS].reset_index(drop=True)


def check_training(splits: pd.DataFrame, classes: list[str], where: str) -> None:
    """Raise InputError if a split trains on less than two people of a class, or tests nobody."""
    for split, rows in splits.groupby("split"):
        trained = rows[rows["role"] == "train"]
        for name in classes:
            n = trained.loc[trained["label"] == name, "participant_id"].nunique()
            if n < 2:
                raise InputError(
                    f"{where}: split {split} trains on {n} participants of class {name}, 2 are "
                    "needed; change the design or add participants"
                )
        if not (rows["role"] == "test").any():
            raise InputError(f"{where}: split {split} tests nobody; change the design")


DESIGNS = {
    "random_trials": random_trials,
    "folds": folds,
    "holdout": holdout,
    "leave_site_out": leave_site_out,
}


def draw_splits(
    population: pd.DataFrame, design: dict, seed: int, where: str, given: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Splits of a design.

    Parameters
    ----------
    population : DataFrame
        participant_id, session_id, label, external (yes or no), and site for `leave_site_out`.
    design : dict
        ``kind``, ``classes`` ([negative, positive]) and what the kind needs.
    seed : int
    where : key of the design in the configuration, for messages
    given : table of the user's, of the kind ``given``

    Returns
    -------
    DataFrame
        Columns split (1..n), participant_id, session_id, label, role, weight; a row per split
        and scan of the two classes. All sessions of a participant have one role in a split;
        external participants are external in all of them.

    Raises
    ------
    InputError
        If there are too few participants, or a table of the user's does not fit.
    LeakageError
        If a participant would be on two sides.
    """
    if design["kind"] == "given":
        splits = given_splits(population, design, given)
    else:
        splits = random_splits(population, design, seed, where)
    check_splits(splits)
    check_training(splits, design["classes"], where)
    return splits


def check_design(population: list[dict], study: dict, where: str) -> None:
    """Draw the splits of a study for nothing, so that what keeps them from it is told at once.

    Parameters
    ----------
    population : rows of a study's population, as `draw_splits` reads them
    study : its checked configuration
    where : key of the study in the configuration

    Raises
    ------
    InputError
        As `draw_splits`, or if a table of splits cannot be read.
    """
    design, given = dict(study["design"]), None
    design |= {key: 1 for key in ("trials", "repeats") if key in design}  # which are all alike
    if design["kind"] == "given":
        read_rows(Path(design["table"]))
        given = read_table(design["table"])
    scans = pd.DataFrame(population)
    draw_splits(scans.where(scans.notna(), np.nan), design, study["seed"], f"{where}.design", given)


def main(source, out, params, wildcards):
    """Draw the splits of a study."""
    design = params.study["design"]
    splits = draw_splits(
        read_table(source.population),
        design,
        params.study["seed"],
        f"studies.{wildcards.study}.design",
        read_table(design["table"]) if design["kind"] == "given" else None,
    )
    write_table(splits, out.splits, resource("columns/cohort.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
