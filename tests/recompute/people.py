"""Figures of a study's people: Table 1, balance, classes compared, correlations."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd
import pingouin
import scikit_posthocs
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.weightstats import ttest_ind

from tests.recompute.study import SCAN, Figure, Study
from workflow_scripts.report.text import label

METHODS = {"holm": "holm", "fdr_bh": "fdr_bh", "bonferroni": "bonf"}  # as pingouin names them
TISSUES = ["gm_fraction", "wm_fraction", "csf_fraction"]
REGIONS = ["white_matter", "grey_matter", "subcortical_grey_matter", "ventricles", "brainstem"]
REGIONS.append("thalamus")


def corrected(p: list[float], method: str) -> np.ndarray:
    return pingouin.multicomp(p, method=METHODS[method])[1]


def terms_of(people: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Columns as numbers, of texts an indicator of each value but the first; none constant."""
    terms = pd.get_dummies(people[columns], drop_first=True, dtype=float)
    return terms.loc[:, terms.nunique() > 1]


def table_1(study: Study) -> Iterator[Figure]:
    people = study.people()
    known = {label(name): name for name in people}
    for row in study.entries("Mean (SD), or number"):
        if row["variable"] not in known:
            continue
        values = people.dropna(subset=(name := known[row["variable"]]))
        groups = values.groupby("label")[name]
        if row["level"]:
            for group, own in groups:
                n = sum(f"{v:g}" == row["level"] if v != str(v) else v == row["level"] for v in own)
                figures = n, 100 * n / len(own)
                yield Figure(f"{name} {row['level']}: n (%) of {group}", row[group], figures)
            continue
        for group, own in groups:
            yield Figure(f"{name}: mean (SD) of {group}", row[group], (own.mean(), own.std()))
        if groups.ngroups == 2:
            p = pingouin.ttest(*(own for _, own in groups), correction=False)["p_val"].iloc[0]
        else:
            p = pingouin.anova(values, dv=name, between="label")["p_unc"].iloc[0]
        yield Figure(f"{name}: p of Table 1", row["p"], (p,))


def balance(study: Study) -> Iterator[Figure]:
    """Differences of test to training sides, of columns of numbers."""
    people = study.people().set_index("participant_id")
    known = {label(name): name for name in people}
    splits = study.read("split-*_splits").drop_duplicates(["split", "participant_id"])
    for number, variable, *_, printed in study.rows("Sides of each")[1:]:
        if variable in known and number.isdigit():  # sites have names
            roles = splits[splits["split"].astype(str) == number].groupby("role")["participant_id"]
            sides = [people.loc[roles.get_group(r), known[variable]] for r in ("test", "train")]
            spread = np.sqrt(np.mean([side.var() for side in sides]))
            difference = (sides[0].mean() - sides[1].mean()) / spread
            yield Figure(f"{variable}: balance of split {number}", printed, (difference,))


def groups(study: Study) -> Iterator[Figure]:
    printed = study.entries("All classes: ")
    if not printed:
        return
    people, table = study.people(), study.read("groups").query("group == 'all'")
    features, method = list(table["feature"]), table["correction"].iloc[0]
    pairs = study.entries("Pairs of classes.")
    found, dunn = [], []
    for feature in features:
        known = people.dropna(subset=feature)
        found.append(pingouin.kruskal(known, dv=feature, between="label").iloc[0])
        matrix = scikit_posthocs.posthoc_dunn(known, feature, "label", p_adjust=None)
        dunn += [matrix.loc[a, b] for a, b in combinations(study.classes, 2)]
    whole = corrected([test["p_unc"] for test in found], method)
    of_pairs = np.maximum(corrected(dunn, method), np.repeat(whole, len(pairs) // len(features)))
    for feature, test, p, row in zip(features, found, whole, printed, strict=True):
        name = label(feature)
        yield Figure(f"{name}: H of Kruskal and Wallis", row["H"], (test["H"],))
        yield Figure(f"{name}: p of Kruskal and Wallis", row["p"], (test["p_unc"],))
        yield Figure(f"{name}: corrected p", row["p corr."], (p,))
        share = test["H"] / (people[feature].count() - 1)
        yield Figure(f"{name}: epsilon squared", row["Epsilon²"], (share,))
    compared = [(feature, *pair) for feature in features for pair in combinations(study.classes, 2)]
    for (feature, a, b), p, p_corrected, row in zip(compared, dunn, of_pairs, pairs, strict=True):
        name = f"{label(feature)}, {b} against {a}"
        two = people[people["label"].isin([a, b])].dropna(subset=feature)
        delta = 2 * roc_auc_score(two["label"] == b, two[feature]) - 1
        medians = two.groupby("label")[feature].median()
        yield Figure(f"{name}: Dunn's p", row["p"], (p,))
        yield Figure(f"{name}: Dunn's corrected p", row["p corr."], (p_corrected,))
        yield Figure(f"{name}: Cliff's delta", row["Cliff's delta"], (delta,))
        yield Figure(f"{name}: medians", row["Difference of medians"], (medians[b] - medians[a],))


def at_equal_covariates(study: Study) -> Iterator[Figure]:
    printed = study.entries("The same at equal")
    if not printed:
        return
    people, table = study.people(), study.read("groups").query("group == 'all'")
    asked = table["adjusted_for"].iloc[0].split(", ")
    columns = [c for c in people if any(t == c or t.startswith(f"{c}_") for t in asked)]
    terms, p, means = terms_of(people, columns), [], []
    for feature in table["feature"]:
        cases = terms.assign(value=people[feature], label=people["label"]).dropna()
        test = pingouin.ancova(cases, dv="value", covar=list(terms), between="label")
        p.append(test["p_unc"].iloc[0])
        members = pd.get_dummies(cases["label"])[study.classes]
        line = LinearRegression(fit_intercept=False)
        line.fit(pd.concat([members, cases[list(terms)]], axis=1), cases["value"])
        means.append(dict(zip(study.classes, line.coef_, strict=False)))
    whole = corrected(p, table["correction"].iloc[0])
    pairs = list(combinations(study.classes, 2))
    compared = [(number, *pair) for number in range(len(p)) for pair in pairs]
    for (number, a, b), row in zip(compared, printed, strict=True):
        name = f"{label(table['feature'].iloc[number])} at equal covariates"
        yield Figure(f"{name}, corrected p", row["All classes, p corr."], (whole[number],))
        difference = means[number][b] - means[number][a]
        yield Figure(f"{name}, {b} against {a}", row["Difference"], (difference,))


def partial(values: pd.DataFrame, x: str, y: str, given: pd.DataFrame) -> tuple[float, float]:
    """Correlation of the residuals of two columns, and its two-sided p."""
    given = given.loc[:, given.nunique() > 1]
    design = np.column_stack([np.ones(len(values)), given])
    left = [values[c] - design @ np.linalg.lstsq(design, values[c])[0] for c in (x, y)]
    r, freedom = stats.pearsonr(*left).statistic, len(values) - 2 - given.shape[1]
    return r, 2 * stats.t.sf(abs(r) * np.sqrt(freedom / (1 - r**2)), freedom)


def correlations(study: Study) -> Iterator[Figure]:
    if not any(study.folder.glob("correlations.tsv")):
        return
    table, people = study.read("correlations"), study.people()
    people = people[people["label"].isin(table["classes"].iloc[0].split(", "))]
    found, p = [], []
    for row in table.itertuples():
        asked = row.covariates.split(", ") if isinstance(row.covariates, str) else []
        columns = [c for c in people if any(t == c or t.startswith(f"{c}_") for t in asked)]
        held = terms_of(people, columns) if columns else pd.DataFrame(index=people.index)
        within = pd.get_dummies(people["label"], drop_first=True, dtype=float)
        values = people[["participant_id"]].assign(x=people[row.feature], y=people[row.clinical])
        cases = pd.concat([values[["x", "y"]], held, within], axis=1).dropna()
        cases = cases.rank() if row.method == "spearman" else cases
        r, own = partial(cases, "x", "y", cases[list(held)])
        p.append(own)
        found.append((r, partial(cases, "x", "y", cases[[*held, *within]])[0]))
    whole = corrected(p, table["correction"].iloc[0])
    printed = study.entries(f"{label(table['method'].iloc[0])} partial correlations")
    for (r, within), p_of, p_corrected, row in zip(found, p, whole, printed, strict=True):
        name = f"{row['Feature']} with {row['Clinical column']}"
        yield Figure(f"{name}: partial r", row["r (95 % interval)"], (r,))
        yield Figure(f"{name}: p of r", row["p"], (p_of,))
        yield Figure(f"{name}: corrected p of r", row["p corr."], (p_corrected,))
        yield Figure(f"{name}: r within classes", row["r within classes"], (within,))


def shares(study: Study) -> Iterator[Figure]:
    """Tissues and regions by class, of all participants: means over a participant's sessions."""
    tissues, regions = study.rows("Mean ± SD in"), study.rows("Region volumes")[1:]
    if not (tissues or regions):
        return
    population = study.read("split-*_splits").query("role != 'external'")[[*SCAN, "label"]]
    table = population.drop_duplicates().merge(study.read("features"), on=SCAN)
    whose = table.drop_duplicates("participant_id").set_index("participant_id")["label"]
    volumes = {name: table[f"{name}_volume_ml"] / table["tiv_ml"] for name in REGIONS}
    fractions = {name: table[name] for name in TISSUES}
    asked = [(n, *tissues[-1][4 * i - 12 :][:4], "") for i, n in enumerate(TISSUES) if tissues]
    asked += [(n, *r[1:3], *r[5:], r[4]) for n, r in zip(REGIONS, regions, strict=False)]
    for name, *classes, p_printed, corrected_printed, effect in asked:
        values = (volumes | fractions)[name].groupby(table["participant_id"]).mean()
        sides = [values[whose == group].dropna() for group in (study.negative, study.positive)]
        for side, text in zip(sides, classes, strict=True):
            yield Figure(f"{name}: mean ± SD of a class", text, (side.mean(), side.std()))
        p = ttest_ind(*sides)[1]
        yield Figure(f"{name}: p of the t-test", p_printed, (p,))
        tests = len(TISSUES if name in TISSUES else REGIONS)
        yield Figure(f"{name}: Bonferroni", corrected_printed, (min(1, p * tests),))
        if effect:
            b, a = ((side.mean(), side.std(), len(side)) for side in sides)
            yield Figure(f"{name}: Hedges' g", effect, (effectsize_smd(*a, *b)[0],))


FIGURES = [table_1, balance, groups, at_equal_covariates, correlations, shares]
