import re

from tests.conftest import ROOT
from workflow_scripts.statistics.evaluate_classifiers import EVALUATIONS


def test_rule_knows_the_evaluations_of_the_script():
    helpers = (ROOT / "rules/helpers/statistics.smk").read_text()
    lists = re.findall(r"^FROM_PREDICTIONS \+?= \[(.*)\]", helpers, flags=re.M)
    assert re.findall(r'"(\w+)"', " ".join(lists)) == list(EVALUATIONS)
