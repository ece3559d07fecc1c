"""Score sessions by stacks of models, from what the networks of these stacks gave them."""

import logging

import numpy as np
import pandas as pd
from scipy.special import logit

from workflow_scripts.baselines.frozen_stack import probability, read_stack, terms_of
from workflow_scripts.baselines.linear import one_thread
from workflow_scripts.baselines.stack_models import logit_of
from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table, write_table

LOG = logging.getLogger(__name__)
TRAINING = r"model-(?P<model>.+)_split-(?P<split>\d+)_repeat-\d+"
CLASSES = ["label", "negative", "positive"]
PREDICTED = [*SCAN, "model", "seen_in_training", *CLASSES, "score", "probability", "predicted"]


def in_order(stacks: list[dict]) -> list[dict]:
    """Stacks, each after those that it stands on."""
    names, left, ordered = {stack["model"] for stack in stacks}, [*stacks], []
    while left:
        waiting = {stack["model"] for stack in left}
        ready = [stack for stack in left if not waiting & names.intersection(stack["of"])]
        ordered += ready
        left = [stack for stack in left if stack not in ready]
    return ordered


def member_scores(networks: pd.DataFrame) -> pd.DataFrame:
    """Log odds by session (rows) and model and split (columns), of the mean over repeats."""
    named = networks["model"].str.extract(TRAINING).astype({"split": float})
    rows = networks.assign(**named).dropna(subset=["model"])
    mean = rows.groupby([*SCAN, "model", "split"])["probability"].mean()
    return logit_of(mean).unstack(["model", "split"])


def score(stack: dict, given: pd.DataFrame, terms: pd.DataFrame, where: str) -> pd.DataFrame:
    """Probability by split (columns) of the sessions (rows) that have all that a stack reads.

    Parameters
    ----------
    given : see `member_scores`
    terms : of the same sessions, see `terms_of`
    where : the stack's file, for messages

    Raises
    ------
    InputError
        If a model that it stands on has scored nobody.
    """
    found = {}
    for entry in stack["splits"]:
        keys = [(name, entry["split"]) for name in stack["of"]]
        if absent := [name for name, split in keys if (name, split) not in given]:
            raise InputError(
                f"{where}: stands on {', '.join(absent)}, whose networks are not beside it or "
                "scored nobody; copy the whole folder of models"
            )
        x = np.column_stack([given[keys].to_numpy(float), terms.to_numpy(float)])
        known = np.isfinite(x).all(axis=1)
        seen = given.index.get_level_values("participant_id").isin(entry["participants"])
        chosen = known & ~seen
        values = np.full(len(x), np.nan)
        if chosen.any():
            values[chosen] = probability(entry, x[chosen])
        found[entry["split"]] = pd.Series(values, given.index)
    return pd.DataFrame(found)


def predictions_of(stack: dict, found: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Scores of a stack, in the columns of `predict_sessions`.

    Parameters
    ----------
    found : see `score`
    told : label and classes of the same sessions
    """
    tables, people = [], found.index.get_level_values("participant_id")
    for entry in stack["splits"]:
        values = found[entry["split"]]
        seen = people.isin(entry["participants"])
        if lacking := found.index[values.isna() & ~seen].to_list():
            LOG.warning(
                "no score by %s, a value or a model's score is missing: %s",
                *(stack["model"], ", ".join(session_prefix(*session) for session in lacking)),
            )
        called = np.where(values > 0.5, stack["classes"][1], stack["classes"][0])
        tables.append(
            told.assign(
                model=f"model-{stack['model']}_split-{entry['split']}_repeat-1",
                seen_in_training=np.where(seen, "yes", "no"),
                score=logit(values),
                probability=values,
                predicted=pd.Series(called, values.index).where(values.notna()),
            ).reset_index()
        )
    return pd.concat(tables)


def columns_of_sessions(sessions: list[dict], features: list) -> pd.DataFrame:
    """Values by session: of the participants' tables, then of features.tsv where it is read."""
    columns = pd.DataFrame(sessions).fillna({"session_id": ""}).set_index(SCAN)
    for path in features:
        measured = read_table(path).fillna({"session_id": ""}).set_index(SCAN)
        columns = columns.join(measured.drop(columns=columns.columns, errors="ignore"))
    return columns


def main(source, out, params):
    """Score all sessions that the networks scored by all stacks."""
    networks = read_table(source.networks).fillna({"session_id": ""})
    given = member_scores(networks)
    told = networks.drop_duplicates(SCAN).set_index(SCAN)[CLASSES].reindex(given.index)
    columns = columns_of_sessions(params.sessions, source.features).reindex(given.index)
    stacks, tables = {path: read_stack(path) for path in source.stacks}, []
    places = {stack["model"]: path for path, stack in stacks.items()}
    for stack in in_order([*stacks.values()]):
        where = places[stack["model"]]
        with one_thread():
            found = score(stack, given, terms_of(stack, columns, where), where)
        for split, values in found.items():
            given[stack["model"], split] = logit_of(values)
        tables.append(predictions_of(stack, found, told))
    table = pd.concat(tables, ignore_index=True).replace({"session_id": {"": None}})
    write_table(table[PREDICTED], out.predictions, resource("columns/learning.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
