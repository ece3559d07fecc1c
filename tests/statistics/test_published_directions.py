import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.statistics.published_directions import beside_directions

SETTINGS = {
    "of": "ibrahim",
    "rater": "anna",
    "engines": {"FreeSurfer": "fs", "DBSegment": "db", "MindGlide": "net", "MindGlide R1": "r1"},
}
# Of each engine: Dice, sensitivity, precision, bias, its limits, slope, its limits, beta, g.
ENGINES = {
    "fs": (0.80, 0.95, 0.70, 12.0, 8, 16, 0.4, 0.1, 0.7, -0.2, -0.3),
    "db": (0.90, 0.90, 0.90, -3.0, -6, 0, 0.1, -0.2, 0.4, -0.3, -0.2),
    "net": (0.88, 0.89, 0.87, 1.0, -1, 3, 0.0, -0.1, 0.1, -0.5, -0.9),
    "r1": (0.85, 0.88, 0.86, 2.0, 1, 3, 0.0, -0.1, 0.1, -0.4, -1.2),
}
NAMES = ["dice", "sensitivity", "precision", "bias_percent", "bias_low", "bias_high"]
NAMES += ["slope", "slope_low", "slope_high", "beta", "hedges_g"]


@pytest.fixture
def tables():
    of = pd.DataFrame(
        [dict(zip(NAMES, row, strict=True)) | {"engine": e} for e, row in ENGINES.items()]
    )
    masks = of.assign(region="thalamus", reference="anna", side="both")
    people = pd.concat([masks.assign(participant_id=f"sub-{n}") for n in (1, 2)])
    left = people.assign(side="left", dice=0.1)
    feature = of.assign(feature="thalamus_" + of["engine"] + "_volume_ml")
    ends = {f"{name}_{end}": 0.0 for name in ("beta", "hedges_g") for end in ("low", "high")}
    outcomes = [feature.assign(outcome=name, other=None, **ends) for name in ("edss", "sdmt")]
    outcomes[1]["beta"] = [0.6, 0.3, 0.5, 0.4]  # fs before net
    pair = {"feature": "thalamus_net_volume_ml", "other": "thalamus_r1_volume_ml"}
    gains = {"edss": (0.1, 0.3), "sdmt": (-0.4, -0.1)}  # of net less r1: r1 more negative, larger
    pairs = [
        pair | {"outcome": name, "beta_difference_low": low, "beta_difference_high": high}
        for name, (low, high) in gains.items()
    ]
    ranking = {"region": "thalamus", "reference": "anna", "engine": "net", "other": "r1"}
    return {
        "overlap": pd.concat([people, left]),
        "agreement": masks,
        "ranking": pd.DataFrame([ranking | {"difference_low": -0.01, "difference_high": 0.07}]),
        "associations": pd.concat([*outcomes, pd.DataFrame(pairs)]),
        "longitudinal": feature.assign(**ends),
    }


def test_findings_are_asked_of_this_runs_figures(tables, tmp_path):
    table = beside_directions(tables, SETTINGS, "k")
    agrees = table.set_index(["finding", "outcome"])["agrees"]
    assert len(table) == 13
    told = {finding: agrees[finding].tolist() for finding in agrees.index.levels[0]}
    lacking = "Volumes of FreeSurfer and FIRST are too large"
    assert told["Dice is highest with DBSegment"] == ["yes"]
    assert told["MindGlide's volumes are the most accurate"] == ["yes"]
    assert told["DBSegment and FreeSurfer have a proportional bias"] == ["no"]
    assert told["R1 adds little or nothing to the agreement"] == ["yes"]
    assert told["R1 is associated more strongly with change"] == ["yes"]
    assert told["R1 adds little or nothing to associations at one visit"] == ["no", "no"]
    assert told["MindGlide has the largest effect of change on worsening"] == ["yes"]
    assert told["MindGlide is the most consistently associated with EDSS and cognition"] == [
        "yes", "no",
    ]  # fmt: skip
    row = table.set_index("finding").loc[lacking]
    assert pd.isna(row["agrees"]) and row["reason"] == "no FIRST here"
    first = table.iloc[0]
    assert first["here"] == "db 0.9, fs 0.8, net 0.88, r1 0.85"
    write_table(table, tmp_path / "t.tsv", resource("columns/statistics.tsv"))


def test_an_engine_without_figures_says_so(tables):
    tables["associations"] = tables["associations"].query("engine != 'net'")
    tables["agreement"] = tables["agreement"].assign(slope_low=float("nan"))
    tables["overlap"].loc[lambda t: t["engine"] == "db", "dice"] = None
    table = beside_directions(tables, SETTINGS, "k").set_index("finding")
    beta = table.loc["MindGlide is the most consistently associated with EDSS and cognition"]
    assert beta["agrees"].isna().all()
    assert (beta["reason"] == "net: no such figure").all()
    assert table.loc["Dice is highest with DBSegment", "reason"] == "db: no such figure"
    biased = table.loc["DBSegment and FreeSurfer have a proportional bias"]
    assert pd.isna(biased["agrees"]) and biased["reason"].startswith("no interval")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engines": {"Freesurfer": "fs"}}, "k.engines: Freesurfer is none of ibrahim's"),
        ({"engines": {"FreeSurfer": "f"}}, "k.engines: f is none of the segmentation's"),
        ({"rater": "ben"}, "k.rater: ben is none of the segmentation's"),
    ],
)
def test_what_is_not_there_is_named(tables, changes, message):
    with pytest.raises(InputError, match=message):
        beside_directions(tables, SETTINGS | changes, "k")
