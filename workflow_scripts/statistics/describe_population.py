"""Table 1 of a study's population and the flow from screened to analysed."""

import logging

import pandas as pd
from tableone import TableOne

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table

LOG = logging.getLogger(__name__)


def as_text(values: pd.Series) -> pd.Series:
    """Codes as text, whole numbers without a decimal point; missing stays missing."""
    if pd.api.types.is_numeric_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype(object).where(values.notna(), None).map(str, na_action="ignore")


def describe(people: pd.DataFrame, columns: list[str], classes: list[str]) -> pd.DataFrame:
    """Table 1: each column overall and per class, with a named test.

    A numeric column with more than two different values is summarized as mean
    (SD) and compared by a t-test with pooled variance; any other as count (%)
    of those known, by chi-squared or Fisher's exact test, as tableone chooses.

    Parameters
    ----------
    people : DataFrame
        One row per participant: label and ``columns``.
    columns : list of str
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        Columns variable, level (n/a for means), missing, overall, negative,
        positive (text), p, test, negative_class, positive_class; the first row
        counts participants.

    Notes
    -----
    tableone: Pollard et al. 2018, 10.1093/jamiaopen/ooy012.
    """
    people = people[["label", *columns]].reset_index(drop=True)
    continuous = [
        name
        for name in columns
        if pd.api.types.is_numeric_dtype(people[name]) and people[name].nunique() > 2
    ]
    known = [name for name in columns if people[name].notna().any()]
    categorical = [name for name in known if name not in continuous]
    for name in categorical:
        people[name] = as_text(people[name])
    if len(known) < len(columns):
        LOG.warning("Table 1: no values in %s", [name for name in columns if name not in known])

    rows = [
        {"variable": "n", "overall": len(people)}
        | {side: (people["label"] == name).sum()
           for side, name in zip(("negative", "positive"), classes, strict=True)}
    ]  # fmt: skip
    if known:
        made = TableOne(
            people,
            columns=known,
            categorical=categorical,
            continuous=[name for name in known if name in continuous],
            groupby="label",
            pval=True,
            htest_name=True,
            include_null=False,
            label_suffix=False,
            ttest_equal_var=True,
        )
        cells = made.tableone["Grouped by label"]
        tests = made.htest_table
        for (variable, level), cell in cells.iloc[1:].iterrows():
            rows.append(
                {
                    "variable": variable,
                    "level": level or None,
                    "missing": int(people[variable].isna().sum()),
                    "overall": cell["Overall"],
                    "negative": cell[classes[0]],
                    "positive": cell[classes[1]],
                    "p": tests.loc[variable, "P-Value"],
                    "test": tests.loc[variable, "Test"],
                }
            )
    table = pd.DataFrame(
        rows,
        columns=["variable", "level", "missing", "overall", "negative", "positive", "p", "test"],
    )
    table["missing"] = table["missing"].astype("Int64")
    return table.assign(negative_class=classes[0], positive_class=classes[1])


def reason_left_out(scans: pd.DataFrame, label, classes: list[str]) -> tuple[str, str]:
    """Why a screened participant is not in the population: (stage, reason).

    Parameters
    ----------
    scans : DataFrame
        The participant's T1w rows of the status table: status, reason.
    label : str or missing
    classes : [negative, positive]
    """
    excluded = scans.loc[scans["status"] == "EXCLUDED", "reason"].dropna()
    if (scans["status"] == "EXCLUDED").any() and not (scans["status"] == "AVAILABLE").any():
        return "excluded", "; ".join(sorted(set(excluded))) or "no reason given"
    if pd.isna(label):
        return "not in a class", "no label"
    if label not in classes:
        return "not in a class", f"label {label}"
    if (scans["status"] == "AVAILABLE").any():
        return "not in the frozen population", "T1w available, not part of this split"
    if (scans["status"] == "INVALID").any():
        return "missing data", "T1w INVALID"
    return "missing data", "T1w MISSING"


def flow(
    participants: pd.DataFrame,
    status: pd.DataFrame,
    population: pd.DataFrame,
    label: str,
    classes: list[str],
) -> pd.DataFrame:
    """Count participants from screened to analysed.

    Parameters
    ----------
    participants : DataFrame
        participants.tsv: participant_id and the label column.
    status : DataFrame
        cohort/status.tsv.
    population : DataFrame
        participant_id, session_id, label of what is analysed.
    label : str
        Label column of ``participants``.
    classes : [negative, positive]

    Returns
    -------
    DataFrame
        Columns stage, reason, n in the order screened, excluded, not in a
        class, missing data, not in the frozen population, analysed. Each
        participant is counted under one reason, the first that applies, and
        screened minus all reasons is analysed.

    Raises
    ------
    InputError
        If the population or the status table names a participant that
        participants.tsv lacks.
    """
    screened = participants.drop_duplicates("participant_id").set_index("participant_id")
    labels = as_text(screened[label])
    analysed = set(population["participant_id"])
    unknown = sorted((analysed | set(status["participant_id"])) - set(screened.index))
    if unknown:
        raise InputError(
            f"participants.tsv: no row for {unknown}, which have scans or are in the study; "
            "add the rows"
        )
    t1w = status[status["suffix"] == "T1w"]
    reasons = [
        reason_left_out(t1w[t1w["participant_id"] == participant], value, classes)
        for participant, value in labels.items()
        if participant not in analysed
    ]
    stages = ["excluded", "not in a class", "missing data", "not in the frozen population"]
    counts = pd.DataFrame(reasons, columns=["stage", "reason"]).value_counts().reset_index(name="n")
    counts["order"] = counts["stage"].map(stages.index)
    counts = counts.sort_values(["order", "n", "reason"], ascending=[True, False, True])
    table = pd.concat(
        [
            pd.DataFrame([{"stage": "screened", "n": len(screened)}]),
            counts[["stage", "reason", "n"]],
            pd.DataFrame([{"stage": "analysed", "n": len(analysed)}]),
        ],
        ignore_index=True,
    )[["stage", "reason", "n"]]
    assert table["n"].iloc[0] - table["n"].iloc[1:-1].sum() == table["n"].iloc[-1]
    return table


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        study = snakemake.params.study  # noqa: F821
        described = resource("columns/statistics.tsv")
        participants = read_table(snakemake.input.participants)  # noqa: F821
        population = read_table(snakemake.input.population)  # noqa: F821
        people = population[["participant_id", "label"]].drop_duplicates()
        people["label"] = people["label"].astype(str)
        wanted = [name for name in study["table1"] if name != study["label"]]
        absent = [name for name in wanted if name not in participants]
        if absent:
            raise InputError(
                f"participants.tsv: columns {absent} of studies.{snakemake.wildcards.study}"  # noqa: F821
                ".table1 are missing; add them or take them out of table1"
            )
        people = people.merge(
            participants[["participant_id", *wanted]].drop_duplicates("participant_id"),
            on="participant_id",
            how="left",
        )
        table1 = describe(people, wanted, study["classes"])
        write_table(table1, snakemake.output.table1, described)  # noqa: F821
        counted = flow(
            participants,
            read_table(snakemake.input.status),  # noqa: F821
            population,
            study["label"],
            study["classes"],
        )
        write_table(counted, snakemake.output.flow, described)  # noqa: F821
