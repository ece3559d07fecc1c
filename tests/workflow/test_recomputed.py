"""Figures of a finished report, recomputed from its tables by other libraries than its own.

The program takes Kruskal-Wallis from scipy, correlations from pingouin, linear models from
statsmodels, and has its own Dunn, AUC, metrics, Brier score and net benefit.
"""

import re
from html import unescape

import numpy as np
import pingouin
import pytest
import scikit_posthocs
from dcurves import dca
from scipy import stats
from sklearn import metrics as judge
from statsmodels.stats.weightstats import ttest_ind

from workflow_scripts.common.tables import read_table

MULTIMODAL, CONTRASTIVE = "studies/npsle_multimodal", "studies/npsle_contrastive"
SCAN, MODEL = ["participant_id", "session_id"], "clinical"


class Study:
    """Tables of a study; ``people`` are its participants with features and clinical columns."""

    def __init__(self, folder):
        self.folder = folder
        people = read_table(folder / "split-1_population.tsv").drop_duplicates("participant_id")
        for name in ("features", "clinical"):
            table = read_table(folder / f"{name}.tsv")
            new = [column for column in table if column in SCAN or column not in people]
            people = people.merge(table[new], on=SCAN, how="left")
        self.people = people

    def table(self, name):
        return read_table(self.folder / f"{name}.tsv")

    def row(self, name, **chosen):
        table = self.table(name)
        for column, value in chosen.items():
            table = table[table[column].astype(str) == value]
        assert len(table) == 1
        return table.iloc[0]


@pytest.fixture(scope="module")
def multimodal(tiny):
    return Study(tiny / MULTIMODAL)


@pytest.fixture(scope="module")
def contrastive(tiny):
    return Study(tiny / CONTRASTIVE)


@pytest.fixture(scope="module")
def shown(tiny):
    """Cells of each row of the report's tables, by section of the page."""
    page = (tiny / "report/index.html").read_text()
    sections = re.split(r'(?=<section id=")', page)
    found = {}
    for section in sections[1:]:
        name = re.match(r'<section id="([^"]+)"', section).group(1)
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.DOTALL)
        cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in rows]
        found[name] = [[unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in row] for row in cells]
    return found


def printed(shown, study, first, *texts):
    """Whether a row that begins so has all these texts among its cells."""
    section = f"study-{study.folder.name}"
    return any(
        row and row[0].startswith(first) and all(any(c.startswith(t) for c in row) for t in texts)
        for row in shown[section]
    )


def p_text(p):
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def test_groups(multimodal, shown):
    people = multimodal.people.dropna(subset="alps")
    found = pingouin.kruskal(people, dv="alps", between="label").iloc[0]
    row = multimodal.row("groups", feature="alps", group="all")
    p = found["p_unc"] if "p_unc" in found else found["p-unc"]
    assert (row["h"], row["p"]) == (pytest.approx(found["H"]), pytest.approx(p))
    assert printed(shown, multimodal, "ALPS", p_text(p))
    pair = multimodal.row("groups_pairwise", feature="alps")
    dunn = scikit_posthocs.posthoc_dunn(people, "alps", "label", p_adjust=None)
    a, b = pair["group_a"], pair["group_b"]
    assert pair["p"] == pytest.approx(dunn.loc[a, b])
    delta = 2 * judge.roc_auc_score(people["label"] == b, people["alps"]) - 1
    assert pair["cliffs_delta"] == pytest.approx(delta)
    assert printed(shown, multimodal, "ALPS", f"{b} against {a}", f"{delta:.2f} (")


def test_groups_at_equal_age_and_sex(multimodal, shown):
    people = multimodal.people.dropna(subset="alps")
    people["male"] = (people["sex"] == "M").astype(float)
    found = pingouin.ancova(people, dv="alps", covar=["age", "male"], between="label").iloc[0]
    row = multimodal.row("groups", feature="alps", group="all")
    p = found["p_unc"] if "p_unc" in found else found["p-unc"]
    assert row["adjusted_f"] == pytest.approx(found["F"])
    assert row["adjusted_p"] == pytest.approx(p)
    pair = multimodal.row("groups_pairwise", feature="alps")
    assert printed(shown, multimodal, "ALPS", p_text(p), p_text(pair["adjusted_rank_p"]))


def test_correlations(multimodal, shown):
    people = multimodal.people.dropna(subset=["alps", "moca"])
    found = stats.spearmanr(people["alps"], people["moca"])
    row = multimodal.row("correlations", feature="alps", clinical="moca")
    assert row["r"] == pytest.approx(found.statistic)
    assert row["p"] == pytest.approx(found.pvalue)
    assert printed(shown, multimodal, "ALPS", "MoCA", f"{found.statistic:.2f} (")
    ranks = people[["alps", "moca"]].rank()
    inside = ranks - ranks.groupby(people["label"]).transform("mean")
    r = stats.pearsonr(inside["alps"], inside["moca"]).statistic
    assert row["r_within"] == pytest.approx(r)


def tested(study):
    rows = study.table("predictions").query("role == 'test' and model == @MODEL")
    return rows.assign(truth=(rows["label"] == "high").astype(int))


def test_metrics(multimodal, shown):
    rows = tested(multimodal)
    predicted = (rows["predicted"] == "high").astype(int)
    values = {
        "balanced_accuracy": judge.balanced_accuracy_score(rows["truth"], predicted),
        "accuracy": judge.accuracy_score(rows["truth"], predicted),
    }
    folds = [part for _, part in rows.groupby("split") if part["truth"].nunique() == 2]
    pairs = [part["truth"].sum() * (1 - part["truth"]).sum() for part in folds]
    areas = [judge.roc_auc_score(part["truth"], part["score"]) for part in folds]
    values["auc"] = np.average(areas, weights=pairs)
    for name, value in values.items():
        row = multimodal.row("metrics", model=MODEL, split="all", metric=name)
        assert row["value"] == pytest.approx(value)
        assert printed(shown, multimodal, MODEL, f"{value:.2f} (")
    n = rows["participant_id"].nunique()
    hits = int((rows["truth"] == predicted).sum())
    limits = stats.binomtest(hits, n).proportion_ci(method="wilson")
    row = multimodal.row("metrics", model=MODEL, split="all", metric="accuracy")
    assert [row["ci_low"], row["ci_high"]] == pytest.approx([limits.low, limits.high])
    assert row["n"] == n
    text = f"{values['accuracy']:.2f} ({limits.low:.2f} to {limits.high:.2f})"
    assert printed(shown, multimodal, MODEL, text)


def test_permutations(multimodal, shown):
    """All people of one class weigh as much, so that the mean over folds is weighted by them."""
    table = multimodal.table(f"models/{MODEL}_permutations")
    parts = {
        name: (table[name].fillna(0) * table[n]).groupby(table["permutation"]).sum()
        / table[n].groupby(table["permutation"]).sum()
        for name, n in (("sensitivity", "n_positive"), ("specificity", "n_negative"))
    }
    null = sum(parts.values()) / 2
    rows = tested(multimodal)
    observed = judge.balanced_accuracy_score(rows["truth"], rows["predicted"] == "high")
    p = (1 + (null >= observed - 1e-9).sum()) / (1 + len(null))
    row = multimodal.row("permutation_test", model=MODEL, metric="balanced_accuracy")
    assert row["p"] == pytest.approx(p) and row["null_mean"] == pytest.approx(null.mean())
    assert printed(shown, multimodal, MODEL, "balanced accuracy", p_text(p))


def test_calibration_and_decision_curve(multimodal, shown):
    rows = tested(multimodal)
    brier = judge.brier_score_loss(rows["truth"], rows["probability"])
    row = multimodal.row("calibration_figures", model=MODEL, metric="brier", estimate="test")
    assert row["value"] == pytest.approx(brier)
    data = rows[["truth", "probability"]].reset_index(drop=True)
    found = dca(data=data, outcome="truth", modelnames=["probability"], thresholds=[0.3])
    benefit = found.loc[found["model"] == "probability", "net_benefit"].iloc[0]
    curve = multimodal.table("decision_curve")
    mine = curve[(curve["model"] == MODEL) & np.isclose(curve["threshold"], 0.3)]
    assert mine["net_benefit"].tolist() == pytest.approx([benefit])


def test_fractions_and_table_1(contrastive, shown):
    low, high = (contrastive.people.query("label == @name") for name in ("low", "high"))
    row = contrastive.row("fractions", split="all", measure="csf_fraction")
    t, p, _ = ttest_ind(high["csf_fraction"], low["csf_fraction"])
    assert (row["t"], row["p"]) == (pytest.approx(t), pytest.approx(p))
    assert printed(shown, contrastive, "all", p_text(p))
    age = contrastive.table("table1").query("variable == 'age'").iloc[0]
    p = pingouin.ttest(high["age"], low["age"], correction=False).iloc[0]
    assert age["p"] == pytest.approx(p["p_val"] if "p_val" in p else p["p-val"], abs=5e-4)
    assert age["class_1"] == f"{low['age'].mean():.1f} ({low['age'].std():.1f})"
    assert printed(shown, contrastive, "age", age["class_1"])


def test_balance(contrastive):
    splits = contrastive.table("split-1_splits").query("split == 1")
    people = splits.merge(contrastive.people[["participant_id", "age"]], on="participant_id")
    test, train = (people.loc[people["role"] == role, "age"] for role in ("test", "train"))
    row = contrastive.row("balance", split="1", term="age")
    spread = np.sqrt((test.var() + train.var()) / 2)
    assert row["standardized_difference"] == pytest.approx((test.mean() - train.mean()) / spread)


def test_analysis_of_variance(contrastive):
    table = contrastive.table("metrics").query("metric == 'accuracy' and estimate == 'test'")
    table = table[(table["split"] != "all") & table["model"].isin(["svm", "logistic"])]
    means = table.groupby("model")["value"].mean()
    rows = contrastive.table("strategies").dropna(subset="mean").set_index("strategy")
    for name, value in means.items():
        assert rows.loc[name, "mean"] == pytest.approx(value)
