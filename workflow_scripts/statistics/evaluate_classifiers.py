"""Evaluations of a study's models that their predictions are enough for, each a table."""

import pandas as pd

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics import calibrate_models
from workflow_scripts.statistics.compare_models import compare_models
from workflow_scripts.statistics.correct_optimism import tabulate_optimism
from workflow_scripts.statistics.scores import by_model
from workflow_scripts.statistics.split_metrics import evaluate
from workflow_scripts.statistics.trace_curves import trace_curves


def with_apparent(source) -> pd.DataFrame:
    """Predictions of a study's models, then those of the people they were fitted to, if any."""
    paths = [source.predictions, *source.apparent]
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def metrics(source, settings: dict) -> pd.DataFrame:
    """Metrics per split and over the splits."""
    return evaluate(read_table(source.predictions), **settings)


def comparisons(source, settings: dict) -> pd.DataFrame:
    """Differences in AUC between the models."""
    samples = read_table(source.samples[0]) if source.samples else None
    return compare_models(by_model(with_apparent(source), settings["classes"]), samples)


def roc(source, settings: dict) -> pd.DataFrame:
    """ROC curves."""
    return trace_curves(with_apparent(source), "roc", **settings)


def decision_curve(source, settings: dict) -> pd.DataFrame:
    """Net benefit over the thresholds."""
    return trace_curves(with_apparent(source), "decision_curve", **settings)


def calibration(source, settings: dict) -> pd.DataFrame:
    """Observed frequency over predicted probability."""
    return calibrate_models.calibration_curves(with_apparent(source), settings["classes"])


def calibration_figures(source, settings: dict) -> pd.DataFrame:
    """Brier score, calibration slope and intercept."""
    return calibrate_models.calibration_figures(with_apparent(source), **settings)


def optimism(source, settings: dict) -> pd.DataFrame:
    """Apparent figures of logistic models, less their optimism."""
    apparent = by_model(read_table(source.apparent[0]), settings["classes"])
    scores = {model: found for (model, _), found in apparent.items()}
    refitted = [read_table(path) for path in (*source.samples, *source.permutations)]
    return tabulate_optimism(scores, *refitted, settings["bootstraps"], settings["seed"])


EVALUATIONS = {
    function.__name__: function
    for function in (
        metrics,
        comparisons,
        roc,
        decision_curve,
        calibration,
        calibration_figures,
        optimism,
    )
}


def main(source, out, params, wildcards):
    """Write an evaluation's table."""
    settings = {key: getattr(params, key) for key in ("classes", "bootstraps", "seed")}
    table = EVALUATIONS[wildcards.evaluation](source, settings)
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
