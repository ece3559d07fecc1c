"""Figures of a finished report, recomputed from its tables by other libraries than its own.

The program takes Kruskal-Wallis from scipy, correlations from pingouin, linear models from
statsmodels, and has its own Dunn, AUC, metrics, Brier score and net benefit.
"""

import re
from html import unescape
from itertools import combinations

import numpy as np
import pandas as pd
import pingouin
import pytest
import scikit_posthocs
from dcurves import dca
from markupsafe import Markup
from scipy import stats
from sklearn import metrics as judge

from tests.report import multimodal
from tests.report.example import CONFIG, example
from workflow_scripts.common.tables import read_table
from workflow_scripts.report import plots, plots_classifiers
from workflow_scripts.report.text import label
from workflow_scripts.report.write_report import render

CLASSES, MODEL = multimodal.CLASSES, "mri"
PLOTS = {
    plots: ["distributions", "measures", "recovered", "correlations"],
    plots_classifiers: ["split_roc", "scores", "roc", "calibration", "decision", "coefficients"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Output folder with the tables of the study and, without its plots, the report's page."""
    folder = tmp_path_factory.mktemp("finished")
    source = example(folder, b"RIFF" + (12).to_bytes(4, "little") + b"WEBPVP8 " + bytes(4))
    with pytest.MonkeyPatch.context() as patch:
        for module, names in PLOTS.items():
            for name in names:
                patch.setattr(module, name, lambda *_, **__: Markup(""))
        (folder / "index.html").write_text(render(source, CONFIG)[0])
    return folder


@pytest.fixture(scope="module")
def table(folder):
    """Function: a table of the study."""
    return lambda name: read_table(folder / f"studies/multimodal/{name}.tsv")


@pytest.fixture(scope="module")
def people(table):
    """Class, features and clinical columns of the participants."""
    clinical = multimodal.simulate()[2].drop(columns="session_id")
    features = table("features").drop(columns="session_id")
    labels = table("split-2_population")[["participant_id", "label"]]
    return labels.merge(features, on="participant_id").merge(clinical, on="participant_id")


@pytest.fixture(scope="module")
def printed(folder):
    """Function: whether a row of the study's tables begins so and has these texts in its cells."""
    page = (folder / "index.html").read_text()
    section = page[page.index('<section id="study-multimodal"') :]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
    cells = [[unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in row] for row in cells]

    def found(first, *texts):
        return any(
            row and row[0] == first and all(any(c.startswith(t) for c in row) for t in texts)
            for row in cells
        )

    return found


def only(table, **chosen):
    for column, value in chosen.items():
        table = table[table[column].astype(str) == value]
    assert len(table) == 1
    return table.iloc[0]


def p_text(p):
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def p_of(row):
    return row.filter(regex="^p.unc$").iloc[0]


def test_kruskal_wallis_dunn_and_cliffs_delta(people, table, printed):
    of_all, compared = [], []
    for feature in multimodal.FEATURES:
        known = people.dropna(subset=feature)
        found = pingouin.kruskal(known, dv=feature, between="label").iloc[0]
        of_all.append(p_of(found))
        row = only(table("groups"), feature=feature, group="all")
        assert [row["h"], row["p"]] == pytest.approx([found["H"], of_all[-1]])
        dunn = scikit_posthocs.posthoc_dunn(known, feature, "label", p_adjust=None)
        compared += [dunn.loc[a, b] for a, b in combinations(CLASSES, 2)]
    corrected = pingouin.multicomp(of_all, method="holm")[1]
    for p, whole in zip(
        corrected, table("groups").query("group == 'all'")["p_corrected"], strict=True
    ):
        assert whole == pytest.approx(p)
    assert printed("ALPS", p_text(of_all[0]), p_text(corrected[0]))
    pairs = pingouin.multicomp(compared, method="holm")[1]
    pairs = np.maximum(pairs, np.repeat(corrected, 3))
    assert table("groups_pairwise")["p"].tolist() == pytest.approx(compared)
    assert table("groups_pairwise")["p_corrected"].tolist() == pytest.approx(pairs.tolist())
    two = people[people["label"].isin(["control", "NPSLE"])]
    delta = 2 * judge.roc_auc_score(two["label"] == "NPSLE", two["alps"]) - 1
    assert printed("ALPS", "NPSLE against control", p_text(pairs[1]), f"{delta:.2f} (")


def test_difference_at_equal_age(people, table, printed):
    found = pingouin.ancova(people, dv="alps", covar="age", between="label").iloc[0]
    row = only(table("groups"), feature="alps", group="all")
    assert [row["adjusted_f"], row["adjusted_p"]] == pytest.approx([found["F"], p_of(found)])
    design = np.column_stack([people["label"] == name for name in CLASSES] + [people["age"]])
    means = np.linalg.lstsq(design.astype(float), people["alps"], rcond=None)[0]
    assert printed("ALPS", "NPSLE against control", f"{means[2] - means[0]:.3f} (")


def residuals(values, given):
    x = np.column_stack([np.ones(len(given)), given])
    return values - x @ np.linalg.lstsq(x, values, rcond=None)[0]


def test_partial_correlations(people, table, printed):
    lupus = people[people["label"] != "control"]
    ranks = lupus[["alps", "moca", "age"]].rank()
    given = [ranks[["age"]], ranks[["age"]].assign(ill=lupus["label"] == "NPSLE").astype(float)]
    r = [
        stats.pearsonr(*(residuals(ranks[name], covariates) for name in ("alps", "moca"))).statistic
        for covariates in given
    ]
    row = only(table("correlations"), feature="alps", clinical="moca")
    assert [row["r"], row["r_within"]] == pytest.approx(r)
    assert printed("ALPS", "MoCA", f"{r[0]:.2f} (", f"{r[1]:.2f} (")


@pytest.fixture(scope="module")
def tested(table):
    """Predictions of the test sides, by repeat of the folds (three folds each)."""
    rows = table("predictions").query("role == 'test' and model == @MODEL")
    rows = rows.assign(truth=(rows["label"] == "NPSLE").astype(int))
    rows["called"] = (rows["predicted"] == "NPSLE").astype(int)
    return [part for _, part in rows.groupby((rows["split"] - 1) // 3)]


def test_metrics(tested, table, printed):
    values = {
        "balanced_accuracy": [
            judge.balanced_accuracy_score(t["truth"], t["called"]) for t in tested
        ],
        "accuracy": [judge.accuracy_score(t["truth"], t["called"]) for t in tested],
        "sensitivity": [judge.recall_score(t["truth"], t["called"]) for t in tested],
        "precision": [judge.precision_score(t["truth"], t["called"]) for t in tested],
    }
    folds = [fold for t in tested for _, fold in t.groupby("split") if fold["truth"].nunique() == 2]
    pairs = [fold["truth"].sum() * (1 - fold["truth"]).sum() for fold in folds]
    areas = [judge.roc_auc_score(fold["truth"], fold["score"]) for fold in folds]
    values["auc"] = np.average(areas, weights=pairs)
    metrics = table("metrics")
    texts = []
    for name, value in values.items():
        row = only(metrics, model=MODEL, split="all", metric=name)
        assert row["value"] == pytest.approx(np.mean(value))
        texts.append(f"{np.mean(value):.2f} (")
    n, z = len(tested[0]), stats.norm.ppf(0.975)
    p = np.mean(values["accuracy"])
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    texts.append(f"{p:.2f} ({centre - half:.2f} to {centre + half:.2f})")
    assert only(metrics, model=MODEL, split="all", metric="accuracy")["n"] == n
    assert printed(label(MODEL), *texts)


def test_brier_score_and_net_benefit(tested, table, printed):
    brier = np.mean([judge.brier_score_loss(t["truth"], t["probability"]) for t in tested])
    row = only(table("calibration_figures"), model=MODEL, metric="brier", estimate="test")
    assert row["value"] == pytest.approx(brier)
    benefit = []
    for t in tested:
        data = t[["truth", "probability"]].reset_index(drop=True)
        found = dca(data=data, outcome="truth", modelnames=["probability"], thresholds=[0.4])
        benefit.append(found.loc[found["model"] == "probability", "net_benefit"].iloc[0])
    curve = table("decision_curve").query("model == @MODEL and estimate == 'test'")
    mine = curve.loc[np.isclose(curve["threshold"], 0.4), "net_benefit"]
    assert mine.tolist() == pytest.approx([np.mean(benefit)])


def test_table_1_and_balance(people, table, printed):
    found = pingouin.anova(people, dv="age", between="label").iloc[0]
    means = people.groupby("label")["age"].agg(["mean", "std"])
    texts = [f"{means.at[name, 'mean']:.1f} ({means.at[name, 'std']:.1f})" for name in CLASSES]
    assert printed("age", *texts, p_text(p_of(found)))
    sex = pd.crosstab(people["sex"], people["label"])
    row = table("table1").query("variable == 'sex' and level == 'F'").iloc[0]
    assert row["class_3"] == f"{sex.at['F', 'NPSLE']} ({100 * sex.at['F', 'NPSLE'] / 12:.1f})"
    splits = table("split-2_splits").query("split == 1").merge(people, on="participant_id")
    sides = [splits.loc[splits["role"] == role, "age"].to_numpy() for role in ("test", "train")]
    spread = np.sqrt(np.mean([np.var(side, ddof=1) for side in sides]))
    difference = only(table("balance"), split="1", term="age")["standardized_difference"]
    assert difference == pytest.approx((sides[0].mean() - sides[1].mean()) / spread)
