from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.report import multimodal
from tests.report.multimodal import STUDY
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.evaluations import READ, TABLES, inputs_of, settings_of, tables_of
from workflow_scripts.common.tables import read_table
from workflow_scripts.demo.plan import plan_cohort, simulation
from workflow_scripts.demo.thalamus import LOSS_MM, WORSENED_LOSS_MM
from workflow_scripts.statistics.evaluate_classifiers import EVALUATIONS, main


def test_rule_knows_the_evaluations_of_the_script():
    assert list(READ) == list(EVALUATIONS)


def test_what_is_made_of_everybody_is_read_where_optimism_is_asked_for():
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": STUDY}}
    study = check_config(config)["studies"]["s"]
    found = inputs_of("comparisons", "s", study)
    assert found["predictions"] == "studies/s/predictions.tsv"
    assert found["samples"] == ["studies/s/bootstraps.tsv"] and found["refits"] == []
    assert not any(found[name] for name in TABLES)
    del study["evaluation"]["optimism"]
    assert inputs_of("comparisons", "s", study)["samples"] == []
    assert inputs_of("missing", "s", study)["splits"] == ["studies/s/split-2_splits.tsv"]


@pytest.mark.parametrize(
    "evaluation", ["metrics", "roc", "calibration_figures", "missing", "sites"]
)
def test_an_evaluation_makes_its_table_of_what_the_rule_gives_it(tmp_path, evaluation):
    """With the inputs and settings that the rule takes from the configuration."""
    config = {"output_dir": "x", "anatomical": {}, "studies": {"multimodal": STUDY}}
    study = check_config(config)["studies"]["multimodal"]
    del study["evaluation"]["optimism"]
    tables = {name: table for name, (_, table) in multimodal.tables().items()}
    tables["clinical"] = multimodal.simulate()[2]
    for name, table in tables.items():
        path = tmp_path / f"studies/multimodal/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    source = {
        name: tmp_path / paths if isinstance(paths, str) else [tmp_path / p for p in paths]
        for name, paths in inputs_of(evaluation, "multimodal", study).items()
    }
    out = SimpleNamespace(table=tmp_path / "made.tsv")
    params = SimpleNamespace(asked=settings_of(evaluation, "multimodal", study))
    main(SimpleNamespace(**source), out, params, SimpleNamespace(evaluation=evaluation))
    made, expected = read_table(out.table), tables[evaluation]
    assert len(made) == len(expected) - (
        (expected["estimate"] == "apparent").sum() if "estimate" in expected else 0
    )


def simulated_people(seed: int, number: int) -> pd.DataFrame:
    """Sessions of the simulated cohort of the thalamus, volumes by the law of its heads, in mL."""
    demo = {"cohort": "thalamus", "seed": seed, "effect": 1.0, "subjects": {"MS": number}}
    plan = plan_cohort(demo)
    table = pd.DataFrame(plan.sessions).merge(pd.DataFrame(plan.participants))
    prefixes = table["participant_id"] + "_" + table["session_id"]
    heads = [simulation(demo, prefix)["head"] for prefix in prefixes]
    size = np.array([head["scale"] ** 3 for head in heads])
    walls = np.array([head["thalamus_mm"] for head in heads])
    return table.assign(tiv_ml=1900 * size, thalamus=size * (20.7 + 3.3 * walls))


def planted_beta(outcome: str) -> float:
    """Standardized, given age, sex and TIV, in a thousand others."""
    people = simulated_people(2, 1000).drop_duplicates("participant_id")
    people["sex"] = people["sex"] == "M"
    terms = people[["age", "sex", "tiv_ml", "thalamus", outcome]].astype(float)
    even = ((terms - terms.mean()) / terms.std()).to_numpy()
    return np.linalg.lstsq(even[:, :-1], even[:, -1])[0][-1]


def test_a_benchmark_from_the_simulated_plan_recovers_what_was_planted(tmp_path):
    """From the plan of 120 people to the tables, volumes by the planted law instead of images."""
    sessions, rng = simulated_people(1, 120), np.random.default_rng(0)
    scan, true = ["participant_id", "session_id"], sessions["thalamus"]
    engines = {"sharp": 0.03, "blunt": 1.5}
    volumes = pd.concat(
        [sessions[scan].assign(region="thalamus", engine=name,
                               volume_ml=true + rng.normal(0, sd, len(true)))
         for name, sd in engines.items()]
    )  # fmt: skip
    tables = {
        "features": sessions[[*scan, "tiv_ml"]],
        "clinical": sessions[[*scan, "age", "sex", "edss", "sdmt", "acq_time"]],
        "split-1_population": sessions[scan].assign(label="MS", external="no"),
        "volumes": volumes,
    }
    folder = tmp_path / "studies/s"
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False, na_rep="n/a")
    columns = [f"thalamus_{name}_volume_ml" for name in engines]
    adjusted = {"outcomes": ["edss", "sdmt"], "covariates": ["age", "sex", "tiv_ml"]}
    study = {
        "label": "group", "classes": ["MS", "none"], "sessions": "all", "bootstraps": 500,
        "evaluation": {
            "associations": {"features": columns} | adjusted,
            "longitudinal": {"features": columns, "outcome": "edss"},
        },
    }  # fmt: skip
    config = {"output_dir": "x", "anatomical": {}, "studies": {"s": study}}
    study, made = check_config(config)["studies"]["s"], {}
    assert tables_of("longitudinal") == ["trajectories", "longitudinal"]
    for evaluation in ("associations", *tables_of("longitudinal")):
        source = {
            name: [tmp_path / path for path in paths]
            for name, paths in inputs_of(evaluation, "s", study).items()
        }
        source["volumes"] = [folder / "volumes.tsv"]
        settings = settings_of(evaluation, "s", study) | {"classes": ["MS"]}
        out = SimpleNamespace(table=folder / f"{evaluation}.tsv")
        params = SimpleNamespace(asked=settings)
        main(SimpleNamespace(**source), out, params, SimpleNamespace(evaluation=evaluation))
        made[evaluation] = read_table(out.table)
    betas = made["associations"].set_index(["outcome", "feature"])
    first = sessions["session_id"] == "ses-1"
    for outcome, sign in (("edss", -1), ("sdmt", 1)):
        rows = betas.loc[outcome]
        alone = rows[rows["other"].isna()]
        sharp, blunt = (alone.loc[name] for name in columns)
        assert sharp["n"] == first.sum() == 120 and sharp["p_corrected"] < 0.001
        assert sharp["beta_low"] < planted_beta(outcome) < sharp["beta_high"]
        assert sign * sharp["beta"] > sign * blunt["beta"] > 0
        pair = rows.dropna(subset="other").iloc[0]
        assert pair["beta_difference_low"] < pair["beta_difference"] < pair["beta_difference_high"]
    change = made["longitudinal"].set_index("feature")
    assert (change["n"] == 80).all() and change["n_worsened"].between(30, 50).all()
    sharp, blunt = (change.loc[name] for name in columns)
    size = sessions["tiv_ml"].mean() / 1900
    planted = -3.3 * size * np.array([LOSS_MM, WORSENED_LOSS_MM])
    for name, slope in zip(("slope_stable", "slope_difference"), planted, strict=True):
        assert sharp[f"{name}_low"] < slope < sharp[f"{name}_high"], name
    assert sharp["p_corrected"] < 0.001 < blunt["p"] and abs(sharp["hedges_g"]) > 1
