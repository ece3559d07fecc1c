"""The parts on associations and change over time, from simulated people."""

import pandas as pd
import pytest

from tests.report.test_checks import reader
from tests.statistics.test_associations import simulated
from tests.statistics.test_longitudinal import EDSS, followed
from workflow_scripts.report.associations import associations_section, longitudinal_section
from workflow_scripts.report.write_report import templates
from workflow_scripts.statistics.associations import associate
from workflow_scripts.statistics.longitudinal import longitudinal

STUDY = {"bootstraps": 100, "evaluation": {"longitudinal": {"outcome": "edss", "worsening": EDSS}}}


@pytest.fixture(scope="module")
def betas() -> pd.DataFrame:
    return associate(**simulated(200, 1), bootstraps=100, seed=0)


def page(name: str, part: dict) -> str:
    study = {"name": "s", name: part}
    return templates().get_template(f"{name}.html.j2").render(study=study)


def test_associations_and_their_differences(betas):
    part = associations_section("s", STUDY, reader(associations=betas))
    assert [line["feature"] for line in part["lines"]] == ["e0", "e1"]
    assert part["lines"][0]["beta"].startswith(f"{betas['beta'][0]:.2f} (")
    assert part["lines"][0]["significant"] and part["lines"][0]["adjusted"] == "age"
    [pair] = part["pairs"]
    assert pair["pair"] == "e0 - e1" and pair["n"] == "200"
    assert pair["apart"] == (betas["beta_difference_high"][2] < 0)
    shown = page("associations", part)
    assert 'id="figure-s-associations"' in shown and "Benjamini-Hochberg over 2 assoc" in shown


def test_what_could_not_be_fitted_is_no_number(betas):
    table = betas.copy()
    table.loc[0, ["beta", "beta_low", "beta_high", "p", "p_corrected"]] = None
    line = associations_section("s", STUDY, reader(associations=table))["lines"][0]
    assert (line["beta"], line["corrected"], line["significant"]) == ("n/a", "n/a", False)


def test_change_over_time_tells_groups_and_who_is_left_out():
    sessions = followed(24, 1)
    sessions.loc[sessions["participant_id"] == "sub-001", "worsened"] = None
    tables = {"longitudinal": longitudinal(sessions), "trajectories": sessions}
    part = longitudinal_section("s", STUDY, reader(**tables))
    [line] = part["lines"]
    assert (line["n_worsened"], line["n_stable"], line["without"]) == (12, 11, 1)
    assert line["slope"].startswith("-0.") and part["rule"].startswith("1.5 from 0, 1 from 0.5")
    shown = page("longitudinal", part)
    assert 'id="figure-s-longitudinal"' in shown and "EDSS" in shown
    assert shown.count("#cc6677") >= 12


def test_the_overview_of_a_study_without_models_tells_what_is_shown(betas):
    def overview(**parts) -> str:
        study = {"screened": 24, "analysed": 24, "several": False, "external": 0}
        study |= {"classes": ["mild", "severe"], "groups": None, "classifiers": None}
        study |= {"associations": None, "longitudinal": None} | parts
        html = templates().get_template("overview.html.j2").render(study=study)
        return " ".join(html.split())

    part = associations_section("s", STUDY, reader(associations=betas))
    first, second = part["lines"]
    second["significant"] = False
    told = f"Of 2 associations e0 with {first['outcome']} (beta {first['beta']}, n = 200) is shown"
    assert told in overview(associations=part)
    first["significant"] = False
    assert "Of 2 associations none is shown" in overview(associations=part)
    sessions = followed(24, 1)
    tables = {"longitudinal": longitudinal(sessions), "trajectories": sessions}
    change = longitudinal_section("s", STUDY, reader(**tables))
    [line] = change["lines"]
    shown = f"in {line['feature']} (difference in slope {line['slope']}, n = 12 + 12)"
    for line["significant"], text in ((True, shown), (False, "in no feature")):
        assert f"Where EDSS worsened, change over time differs {text} (p corr. below" in overview(
            longitudinal=change
        )
