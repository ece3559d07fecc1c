"""Write the report: one HTML file with all tables and pictures inside."""

import base64
import re
from pathlib import Path

import jinja2
import pandas as pd
import yaml

from workflow_scripts.common.bids import session_prefix
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.report import plots
from workflow_scripts.report.draw_qc import RIM_MM
from workflow_scripts.report.flag_outliers import FEWEST
from workflow_scripts.report.methods import Methods
from workflow_scripts.report.study import study_section
from workflow_scripts.report.text import label, labels, load, number, require, tabulate

SESSION = ["participant_id", "session_id"]
PICTURE = "_desc-qc_T1w.webp"
SHOWN_MEASURES = ["brain_mask_volume_ml", "template_correlation", "gm_fraction", "wm_fraction"]
SHOWN_MEASURES += ["csf_fraction", "tiv_ml"]
OPEN_SESSIONS = 5


def embed(path: Path) -> str:
    """A WebP picture as a data URI.

    Raises
    ------
    InputError
        If the file is missing, no WebP or cut short.
    """
    if not path.is_file():
        raise InputError(f"{path}: is missing, the report shows it; run draw_qc again")
    data = path.read_bytes()
    whole = len(data) == 8 + int.from_bytes(data[4:8], "little")
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or not whole:
        raise InputError(f"{path}: is not a whole WebP picture; run draw_qc again")
    return "data:image/webp;base64," + base64.b64encode(data).decode()


def prefixes(table: pd.DataFrame) -> pd.Series:
    """``sub-X[_ses-Y]`` of each row."""
    return pd.Series(
        [
            session_prefix(participant, None if pd.isna(session) else session)
            for participant, session in table[SESSION].itertuples(index=False)
        ],
        index=table.index,
        dtype=object,
    )


def scan_section(path) -> dict:
    """Counts by modality and status, and every scan that is not AVAILABLE."""
    status, dictionary = load(path)
    shown = [*SESSION, "suffix", "status", "reason"]
    status = require(status, path, shown)
    names = ["AVAILABLE", "MISSING", "EXCLUDED", "INVALID"]
    counts = pd.crosstab(status["suffix"], status["status"])
    counts = counts.reindex(columns=names, fill_value=0).rename_axis(columns=None).reset_index()
    others = status[status["status"] != "AVAILABLE"].sort_values(["status", *SESSION])
    return {
        "participants": status["participant_id"].nunique(),
        "counts": tabulate(counts, dictionary),
        "others": tabulate(others, dictionary),
        "bad": {name: int((status["status"] == name).sum()) for name in names[1:]},
    }


def qc_section(features_path, outliers_path, pictures: list, shown: int) -> dict:
    """Outliers and the pictures of at most ``shown`` sessions, flagged ones first.

    Raises
    ------
    InputError
        If a session has no picture, or an outlier is no session of the features.
    """
    features, units = load(features_path)
    require(features, features_path, [*SESSION, *SHOWN_MEASURES])
    outliers, dictionary = load(outliers_path)
    require(outliers, outliers_path, [*SESSION, "measure", "value", "robust_z", "reason"])
    units = {name: entry.get("Units", "") for name, entry in units.items()}
    features = features.assign(prefix=prefixes(features)).set_index("prefix")
    reasons: dict[str, list[str]] = {}
    for prefix, row in zip(prefixes(outliers), outliers.itertuples(), strict=True):
        reasons.setdefault(prefix, []).append(f"{label(row.measure)}: {row.reason}")
    if strangers := sorted(reasons.keys() - set(features.index)):
        raise InputError(
            f"{outliers_path}: {', '.join(strangers)} not in {features_path}; remake it"
        )
    found = {Path(path).name.removesuffix(PICTURE): Path(path) for path in pictures}
    order = sorted(features.index, key=lambda prefix: prefix not in reasons)
    if absent := [prefix for prefix in order if prefix not in found]:
        raise InputError(f"{absent[0]}{PICTURE}: is not among the pictures; run draw_qc for it")
    sessions = [
        {
            "name": prefix.replace("_ses-", ", ses-"),
            "id": re.sub(r"[^A-Za-z0-9_-]", "-", prefix),
            "reasons": reasons.get(prefix, []),
            "open": place == 0 or (prefix in reasons and place < OPEN_SESSIONS),
            "picture": embed(found[prefix]),
            "numbers": [
                (label(name), number(features.at[prefix, name]), units.get(name, ""))
                for name in SHOWN_MEASURES
            ],
        }
        for place, prefix in enumerate(order[:shown])
    ]
    columns = [*SESSION, "measure", "value", "median", "robust_z", "reason"]
    outliers_shown = outliers[columns].assign(measure=outliers["measure"].map(label))
    return {
        "flagged": len(reasons),
        "total": len(features),
        "rim": RIM_MM,
        "fewest": FEWEST,
        "outliers": tabulate(outliers_shown, dictionary),
        "rows": yaml.safe_load(resource("report/qc.yaml").read_text()),
        "limits": pd.read_csv(resource("report/limits.tsv"), sep="\t").to_dict("records"),
        "sessions": sessions,
        "plot": plots.measures(features, units, outliers, SHOWN_MEASURES, "qc-measures"),
    }


def truth_section(table_path, summary_path) -> dict:
    """Recovered against true values of the simulated cohort."""
    table, _ = load(table_path)
    require(table, table_path, ["participant_id", "measure", "true", "recovered", "error_percent"])
    summary, dictionary = load(summary_path)
    place = {name: order for order, name in enumerate(labels())}
    volumes = [name for name in table["measure"].unique() if name.endswith("_ml")]
    volumes.sort(key=lambda name: place.get(name, len(place)))
    dice = table.loc[table["measure"] == "brain_mask_dice", "recovered"]
    if dice.empty or not volumes:
        raise InputError(f"{table_path}: lacks volumes or brain_mask_dice; remake it")
    errors = summary.sort_values("measure", key=lambda names: names.map(place))
    errors["measure"] = errors["measure"].map(label)
    return {
        "plot": plots.recovered(table, volumes, "truth"),
        "summary": tabulate(errors, dictionary),
        "dice": {"mean": number(dice.mean()), "min": number(dice.min()), "n": len(dice)},
    }


def render(source, config: dict) -> str:
    """The report as HTML.

    Parameters
    ----------
    source : object or namedlist with the paths ``status``, ``features``,
        ``outliers``, and the lists ``studies`` (tables of all studies),
        ``pictures``, ``sidecars`` and ``recovered`` (empty, or the two tables
        of a simulated cohort)
    config : checked configuration

    Raises
    ------
    InputError
        If a file that a panel needs is missing or cannot be used.
    """
    methods = Methods(source.sidecars, config)
    tables = {str(path): path for path in source.studies}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("report")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"label": label, "number": number}
    return environment.get_template("report.html.j2").render(
        title=config["report"]["title"],
        simulated=not config["bids_dir"],
        scans=scan_section(source.status),
        qc=qc_section(
            source.features, source.outliers, source.pictures, config["report"]["qc_subjects"]
        ),
        studies=[study_section(name, study, tables) for name, study in config["studies"].items()],
        truth=truth_section(*source.recovered) if source.recovered else None,
        methods=methods.anatomical(),
        study_methods={name: methods.study(study) for name, study in config["studies"].items()},
        software=methods.software(),
        configuration=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
    )


if "snakemake" in globals():
    with job(snakemake):  # noqa: F821
        page = render(snakemake.input, snakemake.params.config)  # noqa: F821
        Path(snakemake.output.report).write_text(page, encoding="utf-8")  # noqa: F821
