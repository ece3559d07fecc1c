"""Table 1 of a study's population, the flow from screened to analysed, sides of the splits."""

import logging
from collections import Counter

import pandas as pd
from tableone import TableOne

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.splits import SCAN, read_splits
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.common.values import value_problem
from workflow_scripts.statistics.counts import compare_counts
from workflow_scripts.statistics.describe_sides import COLUMNS, describe_sides

LOG = logging.getLogger(__name__)
MOST_CLASSES = 8


def as_text(values: pd.Series) -> pd.Series:
    """Codes as text, whole numbers without a decimal point; missing stays missing."""
    if pd.api.types.is_numeric_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype(object).where(values.notna(), None).map(str, na_action="ignore")


def summarize(people: pd.DataFrame, name: str, continuous: bool) -> list[dict]:
    """Rows of one variable of Table 1, over the classes in which it has values.

    Parameters
    ----------
    people : DataFrame
        class (class_1, class_2 ...), label and the column ``name``.

    Returns
    -------
    list of dict
        level, overall, class_1 ... (text), p, test.
    """
    has_value = people.groupby("label")[name].transform(lambda values: values.notna().any())
    some = people[has_value]
    tested = some["class"].nunique() > 1
    made = TableOne(
        some[["class", name]].reset_index(drop=True),
        columns=[name],
        categorical=[] if continuous else [name],
        continuous=[name] if continuous else [],
        groupby="class",
        pval=tested and continuous,
        htest_name=tested and continuous,
        include_null=False,
        label_suffix=False,
        ttest_equal_var=True,
    )
    test = {}
    if tested:
        counts = pd.crosstab(some[name], some["class"]).to_numpy()
        if continuous:
            found = made.htest_table.loc[name]
            test = {"p": found["P-Value"], "test": found["Test"]}
        elif len(counts) > 1:
            test = dict(zip(("p", "test"), compare_counts(counts), strict=True))
        if test and (without := people.loc[~has_value, "label"].unique().tolist()):
            test["test"] += f", without {', '.join(without)}"
    cells = made.tableone["Grouped by class"].iloc[1:].rename(columns={"Overall": "overall"})
    return [
        {"level": level or None, **cell[["overall", *some["class"].unique()]], **test}
        for (_, level), cell in cells.iterrows()
    ]


def describe(people: pd.DataFrame, columns: list[str], classes: list[str]) -> pd.DataFrame:
    """Table 1: each column overall and per class, with a named test.

    A numeric column with more than two different values is summarized as mean
    (SD) and compared by a t-test with pooled variance, of three and more classes
    by one-way analysis of variance; any other as count (%) of those known, by
    `compare_counts`. A class in which nobody has a value takes no part in the column's test.

    Parameters
    ----------
    people : DataFrame
        One row per participant: label and ``columns``.
    columns : list of str
    classes : list of str
        Two or more, in the order of the table.

    Returns
    -------
    DataFrame
        Columns variable, level (n/a for means), missing, overall, class_1,
        class_2 ... (text), p, test. The first row holds the names of the
        classes, the second the numbers of participants.

    Raises
    ------
    InputError
        If there are more classes than the table has columns, or a column of texts has numbers
        among them or one text in several spellings.

    Notes
    -----
    tableone: Pollard et al. 2018, 10.1093/jamiaopen/ooy012.
    """
    if len(classes) > MOST_CLASSES:
        raise InputError(
            f"classes: {len(classes)} are too many for Table 1, it has {MOST_CLASSES} columns; "
            "describe fewer in one study"
        )
    places = {name: f"class_{number}" for number, name in enumerate(classes, 1)}
    people = people.assign(**{"class": people["label"].map(places)})
    rows = [
        {"variable": "class", **dict(zip(places.values(), classes, strict=True))},
        {"variable": "n", "overall": len(people), **people["class"].value_counts()},
    ]
    for name in columns:
        column = people[name]
        if column.isna().all():
            LOG.warning("Table 1: no values in %s", name)
            continue
        continuous = pd.api.types.is_numeric_dtype(column) and column.nunique() > 2
        if not continuous:
            people[name] = as_text(column)
            if problem := value_problem(name, list(people[name].dropna().items())):
                raise InputError(f"table1: {problem}")
        missing = {"variable": name, "missing": int(column.isna().sum())}
        rows += [missing | row for row in summarize(people, name, continuous)]
    table = pd.DataFrame(
        rows, columns=["variable", "level", "missing", "overall", *places.values(), "p", "test"]
    )
    table["missing"] = table["missing"].astype("Int64")
    return table


def label_of_person(labels: list[str | None], classes: list[str]) -> str | None:
    """The first label of a participant's sessions that is a class, else the first."""
    known = [label for label in labels if not pd.isna(label)]
    return next((label for label in known if label in classes), next(iter(known), None))


def reason_left_out(
    scans: pd.DataFrame, label, classes: list[str], requires: list[str]
) -> tuple[str, str]:
    """Why a screened participant, or session, is not in the population: (stage, reason).

    Parameters
    ----------
    scans : DataFrame
        Its rows of the scan table: session_id, suffix, status, reason.
    label : str or missing
    classes : list of str
    requires : list of str
        Suffixes of the scans without which a session is not analysed.
    """
    found = {suffix: scans[scans["suffix"] == suffix] for suffix in requires}
    lacking = {
        suffix: rows for suffix, rows in found.items() if not (rows["status"] == "AVAILABLE").any()
    }
    excluded = [rows[rows["status"] == "EXCLUDED"] for rows in lacking.values()]
    if any(map(len, excluded)):
        reasons = sorted(set(pd.concat(excluded)["reason"].dropna()))
        return "excluded", "; ".join(reasons) or "no reason given"
    if pd.isna(label):
        return "not in a class", "no label"
    if label not in classes:
        return "not in a class", f"label {label}"
    if lacking:
        states = {
            suffix: "INVALID" if (rows["status"] == "INVALID").any() else "MISSING"
            for suffix, rows in lacking.items()
        }
        return "missing data", ", ".join(f"{suffix} {state}" for suffix, state in states.items())
    sessions = [
        set(rows.loc[rows["status"] == "AVAILABLE", "session_id"].fillna(""))
        for rows in found.values()
    ]
    if not set.intersection(*sessions):
        return "missing data", f"{' and '.join(requires)} not in one session"
    verb = "available, not part of this split"
    return "not in the frozen population", f"{' and '.join(requires)} {verb}"


def flow(
    labels: dict[str, dict],
    status: pd.DataFrame,
    population: pd.DataFrame,
    classes: list[str],
    requires: list[str],
    all_sessions: bool = False,
) -> pd.DataFrame:
    """Count participants, and their sessions where all are wanted, from screened to analysed.

    Parameters
    ----------
    labels : dict
        Of every participant screened the label of each session ("" without a name), None where
        there is none.
    status : DataFrame
        cohort/scans.tsv.
    population : DataFrame
        participant_id, session_id, label of what is analysed.
    classes : list of str
    requires : list of str
        Suffixes of the scans without which a session is not analysed.

    Returns
    -------
    DataFrame
        Columns stage, reason, n, sessions in the order screened, excluded, not in a
        class, missing data, not in the frozen population, analysed. Each
        participant is counted under one reason, the first that applies, and so is each
        session; screened minus all reasons is analysed. ``n`` is 0 where sessions are left out
        of participants who have another one; ``sessions`` is missing unless all are wanted.

    Raises
    ------
    InputError
        If the population or the scan table names a participant that was not screened.
    """
    analysed = set(population["participant_id"])
    unknown = sorted((analysed | set(status["participant_id"])) - set(labels))
    if unknown:
        raise InputError(
            f"participants.tsv: no row for {unknown}, which have scans or are in the study; "
            "add the rows"
        )
    scans = dict(list(status.groupby("participant_id")))
    nothing = status.iloc[:0]
    people, sessions = Counter(), Counter()
    used = set(population[SCAN].fillna("").itertuples(index=False, name=None))
    for participant, of_sessions in labels.items():
        rows = scans.get(participant, nothing)
        if participant not in analysed:
            label = label_of_person(list(of_sessions.values()), classes)
            people[reason_left_out(rows, label, classes, requires)] += 1
        for session, label in of_sessions.items() if all_sessions else ():
            if (participant, session) not in used:
                own = rows[rows["session_id"].fillna("") == session]
                sessions[reason_left_out(own, label, classes, requires)] += 1
    stages = ["excluded", "not in a class", "missing data", "not in the frozen population"]
    left_out = sorted(
        people | sessions, key=lambda key: (stages.index(key[0]), -people[key], key[1])
    )
    screened = sum(map(len, labels.values()))
    rows = [
        ("screened", None, len(labels), screened),
        *((*key, people[key], sessions[key]) for key in left_out),
        ("analysed", None, len(analysed), len(used)),
    ]
    table = pd.DataFrame(rows, columns=["stage", "reason", "n", "sessions"])
    for name in ("n", "sessions") if all_sessions else ("n",):
        assert table[name].iloc[0] - table[name].iloc[1:-1].sum() == table[name].iloc[-1]
    return table if all_sessions else table.assign(sessions=None)


def main(source, out, params):
    """Write Table 1, the flow, and who is on the sides of the splits (nobody without a design)."""
    described = resource("columns/statistics.tsv")
    population = read_table(source.population)
    people = population.drop_duplicates("participant_id")[[*SCAN, "label"]]
    study = params.study
    columns = [column for column in study["table1"] if column != study["label"]]
    clinical = read_table(source.clinical)[[*SCAN, *columns]]
    people = people.merge(clinical, on=SCAN, how="left").set_index("participant_id")
    write_table(describe(people, columns, study["classes"]), out.table1, described)
    counted = flow(
        params.labels,
        read_table(source.scans),
        population,
        study["classes"],
        study["requires"],
        study["sessions"] == "all",
    )
    write_table(counted, out.flow, described)
    sides = pd.DataFrame(columns=COLUMNS)
    if source.splits:
        sides = describe_sides(read_splits(source.splits), clinical, columns)
    write_table(sides, out.sides, described)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
