"""Figures of a finished report, recomputed from its tables by other libraries (tests/recompute)."""

import shutil

import pytest
from markupsafe import Markup

from tests.recompute.__main__ import main, recompute
from tests.recompute.study import Figure
from tests.report import multimodal
from tests.report.example import CONFIG, WEBP, example
from workflow_scripts.report import plots, plots_classifiers
from workflow_scripts.report.write_report import render

KINDS = ["mean (SD)", "n (%)", "p of Table 1", "balance", "p of Kruskal", "corrected p"]
KINDS += ["epsilon squared", "Dunn's corrected p", "Cliff's delta", "medians", "equal covariates"]
KINDS += ["partial r", "within classes", "AUC", "balanced accuracy", "precision", "Brier score"]
KINDS += ["difference in AUC", "calibration slope", "calibration intercept", "net benefit"]
PLOTS = {
    plots: ["distributions", "measures", "recovered", "correlations"],
    plots_classifiers: ["split_roc", "scores", "roc", "calibration", "decision", "coefficients"],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Output folder with the tables of the studies and, without its plots, the report's page."""
    folder = tmp_path_factory.mktemp("finished")
    source = example(folder, WEBP)
    clinical = multimodal.simulate()[2]
    clinical.to_csv(folder / "studies/multimodal/clinical.tsv", sep="\t", index=False, na_rep="n/a")
    (folder / "report").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for module, names in PLOTS.items():
            for name in names:
                patch.setattr(module, name, lambda *_, **__: Markup(""))
        (folder / "report/index.html").write_text(render(source, CONFIG)[0])
    return folder


def test_figures_are_those_of_other_libraries(results):
    found = recompute(results, "multimodal")
    assert [figure for figure in found if not figure.agrees] == []
    assert [kind for kind in KINDS if not any(kind in figure.name for figure in found)] == []


def test_a_changed_value_is_told(results, tmp_path, capsys):
    copy = shutil.copytree(results, tmp_path / "results")
    path = copy / "studies/multimodal/predictions.tsv"
    lines = path.read_text().splitlines()
    place = lines[0].split("\t").index("predicted")
    cells = lines[1].split("\t")
    cells[place] = next(name for name in multimodal.CLASSES[1:] if name != cells[place])
    path.write_text("\n".join([lines[0], "\t".join(cells), *lines[2:]]))
    assert main(copy, "multimodal") > 0
    wrong = [line for line in capsys.readouterr().out.splitlines() if "DIFFERENT" in line]
    assert any("accuracy, clinical: 0.50" in line for line in wrong)
    assert not any("MRI" in line for line in wrong)


@pytest.mark.parametrize(
    ("printed", "values", "agrees"),
    [
        ("0.75 (0.50 to 0.90)", (0.7549,), True),
        ("0.75 (0.50 to 0.90)", (0.7551,), False),
        ("<0.001", (0.00099,), True),
        ("<0.001", (0.0011,), False),
        ("7", (7.2,), False),
        ("123", (123.4,), True),
        ("-1.2e-05", (-1.23e-05,), True),
        ("39.2 (9.9)", (39.2, 9.8), False),
        ("n/a", (float("nan"),), True),
        ("n/a", (0.5,), False),
        ("0.5", (float("nan"),), False),
        ("", (0.5,), False),
    ],
)
def test_numbers_agree_as_they_are_rounded(printed, values, agrees):
    assert Figure("", printed, values).agrees is agrees
