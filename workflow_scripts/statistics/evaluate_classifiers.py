"""Evaluations of a study's models from their predictions, refits and tables, each a table."""

from pathlib import Path

import pandas as pd

from workflow_scripts.common.flags import counting
from workflow_scripts.common.job import job
from workflow_scripts.common.logistic import read_logistic
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.statistics import added_value as added
from workflow_scripts.statistics import calibrate_models, missing_data, robustness
from workflow_scripts.statistics import reclassification as reclassified
from workflow_scripts.statistics import trajectories as over_time
from workflow_scripts.statistics.compare_models import compare_predictions
from workflow_scripts.statistics.correct_optimism import tabulate_optimism
from workflow_scripts.statistics.engine_volumes import features_of
from workflow_scripts.statistics.published_directions import beside_directions
from workflow_scripts.statistics.published_figures import beside_published
from workflow_scripts.statistics.scores import by_model
from workflow_scripts.statistics.split_metrics import evaluate
from workflow_scripts.statistics.trace_curves import decision_curves, roc_curves
from workflow_scripts.statistics.validation_thresholds import at_validated_thresholds


def with_apparent(source) -> pd.DataFrame:
    """Predictions of a study's models, then those of the people they were fitted to, if any."""
    paths = [source.predictions, *source.apparent]
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def shared(settings: dict) -> dict:
    """Those settings that all evaluations have."""
    return {key: settings[key] for key in ("classes", "bootstraps", "seed")}


def metrics(source, settings: dict) -> pd.DataFrame:
    """Metrics per split and over the splits."""
    return evaluate(read_table(source.predictions), settings["classes"])


def thresholds(source, settings: dict) -> pd.DataFrame:
    """Metrics at the thresholds that sides for validation choose."""
    tables = read_table(source.predictions), read_table(source.validation[0])
    return at_validated_thresholds(*tables, settings["classes"])


def comparisons(source, settings: dict) -> pd.DataFrame:
    """Differences in AUC and in balanced accuracy between the models."""
    samples = read_table(source.samples[0]) if source.samples else None
    return compare_predictions(with_apparent(source), **shared(settings), samples=samples)


def roc(source, settings: dict) -> pd.DataFrame:
    """ROC curves."""
    return roc_curves(with_apparent(source), **shared(settings))


def decision_curve(source, settings: dict) -> pd.DataFrame:
    """Net benefit over the thresholds."""
    return decision_curves(with_apparent(source), settings["classes"])


def calibration(source, settings: dict) -> pd.DataFrame:
    """Observed frequency over predicted probability."""
    return calibrate_models.calibration_curves(with_apparent(source), settings["classes"])


def calibration_figures(source, settings: dict) -> pd.DataFrame:
    """Brier score, calibration slope and intercept."""
    return calibrate_models.calibration_figures(with_apparent(source), settings["classes"])


def optimism(source, settings: dict) -> pd.DataFrame:
    """Apparent figures of logistic models, less their optimism."""
    apparent = by_model(read_table(source.apparent[0]), settings["classes"])
    scores = {model: found for (model, _), found in apparent.items()}
    refitted = [read_table(path) for path in (*source.samples, *source.permutations)]
    return tabulate_optimism(scores, *refitted)


def missing(source, settings: dict) -> pd.DataFrame:
    """Missing values of the models' columns by class."""
    tables = [read_table(paths[0]) for paths in (source.splits, source.features, source.clinical)]
    return missing_data.missing_data(
        *tables, settings["models"], settings["inputs"], settings["classes"]
    )


def sites(source, settings: dict) -> pd.DataFrame:
    """Metrics of each site, and what harmonization did."""
    harmonized = [read_table(path) for path in source.refits]
    tables = read_table(source.predictions), read_table(source.clinical[0])
    return robustness.site_metrics(*tables, harmonized, settings)


def sensitivity(source, settings: dict) -> pd.DataFrame:
    """Metrics of the models fitted in other ways."""
    tables = [read_table(path) for path in source.refits]
    variants = pd.concat(tables) if tables else pd.DataFrame(columns=["model", "variant"])
    flagged = counting(read_table(source.flagged[0]))
    return robustness.sensitivity(read_table(source.predictions), variants, flagged, settings)


def added_value(source, settings: dict) -> pd.DataFrame:
    """What further inputs of a model add to those of another."""
    permuted, fits = (read_table(paths[0]) for paths in (source.refits, source.sample_size))
    return added.added_value(read_table(source.predictions), permuted, fits, settings)


def reclassification(source, settings: dict) -> pd.DataFrame:
    """NRI and IDI of a model against another."""
    return reclassified.reclassification(read_table(source.predictions), settings)


def nomogram(source, settings: dict) -> pd.DataFrame:
    """Points of a logistic model's terms, of the first split."""
    from workflow_scripts.statistics import nomogram as points  # matplotlib, for its ticks

    model = read_logistic(source.fitted[0])[0]
    tables = [read_table(paths[0]) for paths in (source.splits, source.features, source.clinical)]
    return points.nomogram(model, points.training_values(model, *tables))


def published_figures(source, settings: dict) -> pd.DataFrame:
    """A publication's figures beside this run's."""
    metrics = read_table(source.metrics[0])
    return beside_published(metrics, settings["published_figures"], settings["key"])


def published_directions(source, settings: dict) -> pd.DataFrame:
    """What a publication found of its engines beside this run's."""
    paths = {Path(path).stem: path for path in source.engines}
    tables = {
        "overlap": read_table(paths["overlap"]),
        "agreement": read_table(paths["agreement"]),
        "ranking": read_table(paths["ranking"]),
        "associations": read_table(source.associations[0]),
        "longitudinal": read_table(source.longitudinal[0]),
    }
    return beside_directions(tables, settings["published_directions"], settings["key"])


# What the next ones import (pingouin) takes two seconds, which the others need not wait for.
def reliability(source, settings: dict) -> pd.DataFrame:
    """Agreement of features between two sessions."""
    from workflow_scripts.statistics import reliability as repeated_scans

    features = read_table(source.features[0])
    return repeated_scans.reliability(features, settings["reliability"], settings["key"])


def associations(source, settings: dict) -> pd.DataFrame:
    """Features with outcomes, adjusted."""
    from workflow_scripts.statistics.associations import association_table

    tables = [read_table(paths[0]) for paths in (source.clinical, source.population)]
    return association_table(features_of(source), *tables, settings)


def trajectories(source, settings: dict) -> pd.DataFrame:
    """Features over the sessions of each participant."""
    tables = [read_table(paths[0]) for paths in (source.clinical, source.population)]
    return over_time.trajectories(features_of(source), *tables, settings)


def longitudinal(source, settings: dict) -> pd.DataFrame:
    """Change of features where an outcome worsened, and where not."""
    from workflow_scripts.statistics import longitudinal as changes

    return changes.longitudinal(read_table(source.trajectories[0]))


EVALUATIONS = {
    function.__name__: function
    for function in (
        metrics,
        thresholds,
        comparisons,
        roc,
        decision_curve,
        calibration,
        calibration_figures,
        optimism,
        missing,
        sites,
        sensitivity,
        added_value,
        reliability,
        associations,
        trajectories,
        longitudinal,
        reclassification,
        nomogram,
        published_figures,
        published_directions,
    )
}


def main(source, out, params, wildcards):
    """Write an evaluation's table."""
    table = EVALUATIONS[wildcards.evaluation](source, params.asked)
    write_table(table, out.table, resource("columns/statistics.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
