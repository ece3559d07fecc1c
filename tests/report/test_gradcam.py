import pandas as pd
import pytest

from tests.report.example import WEBP
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.report.gradcam import comparison, gradcam_section, percent, top_regions
from workflow_scripts.report.study import reader
from workflow_scripts.report.write_report import templates

STUDY = {
    "design": {"kind": "random_trials"},
    "evaluation": {"gradcam": {"thresholds": [0.75, 0.95]}},
}
HIT = {"volume_ml": 2.5, "share_of_mask": 0.4, "share_of_region": 0.128, "p": 0.02}
HIT |= {"peak": 0.8, "peak_x_mm": -12.0, "peak_y_mm": 14.0, "peak_z_mm": 8.0}


def regions():
    rows = []
    for threshold in STUDY["evaluation"]["gradcam"]["thresholds"]:
        for split, n in (("1", 2), ("2", 0), ("all", 2)):
            row = {"split": split, "class": "patients", "n": n, "threshold": threshold}
            if n:
                rows.append(row | {"region": "Caudate", "side": "left"} | HIT)
                rows.append(row | {"region": "Brain-Stem"} | HIT | {"volume_ml": 1.0})
            else:
                rows.append(row | {"volume_ml": 0.0})
            rows.append(row | {"class": "<b>controls", "n": 0, "volume_ml": 0.0})
    columns = ["split", "class", "n", "threshold", "region", "side", *HIT]
    table = pd.DataFrame(rows, columns=columns)
    logit = table.assign(explained="logit", region="Cuneus", p=None)
    return pd.concat([table.assign(explained="difference"), logit])


def agreement():
    """The patients' maps agree from trial to trial; no scan of the others has a map."""
    rows = [
        ("difference", "<b>controls", "patients", 1, 0.0, 0.0, 0.0, 0.1),
        ("logit", "patients", "patients", 3, 0.6, 0.5, 0.7, 0.1),
        ("logit", "<b>controls", "<b>controls", 0, None, None, None, None),
    ]
    columns = ["explained", "class_a", "class_b", "pairs", "dice", "dice_low", "dice_high"]
    table = pd.DataFrame(rows, columns=[*columns, "dice_by_chance"])
    return pd.concat([table.assign(threshold=threshold) for threshold in (0.75, 0.95)])


@pytest.fixture
def source(tmp_path):
    """Pictures, reader of tables and table of the comparison of a study with one model."""
    folder = tmp_path / "studies/example/gradcam"
    table, picture = (
        folder / "model-crop+flip_regions.tsv",
        folder / "model-crop+flip_gradcam.webp",
    )
    write_table(regions(), table, resource("columns/learning.tsv"))
    agree = folder / "model-crop+flip_agreement.tsv"
    write_table(agreement(), agree, resource("columns/learning.tsv"))
    picture.write_bytes(WEBP)
    compared = {
        "study": "example", "model": ["crop+flip", "supervised", "all"],
        "explained": ["difference", "integrated_gradients", "difference"],
        "class": ["patients", "controls", "patients"], "auc_in_region": [0.91, None, 0.88],
        "chance_mean": [0.5, None, 0.52], "chance_low": [0.31, None, 0.3],
        "chance_high": [0.7, None, 0.69], "p": [0.001, None, 0.2], "n": [2, 0, 2],
        "n_permutations": [1000, None, 1000], "share_in_region": [0.4, None, 0.3],
        "region_share": [0.025, None, 0.025],
    }  # fmt: skip
    path = tmp_path / "demo/gradcam.tsv"
    write_table(pd.DataFrame(compared), path, resource("columns/demo.tsv"))
    other = str(picture).replace("example", "other")
    return (
        [other, str(picture)],
        reader("example", {str(made): made for made in (table, agree)}),
        path,
    )


def page(section):
    study = {"name": "example", "word": "trial", "gradcam": section}
    return templates().get_template("gradcam.html.j2").render(study=study)


def test_page_shows_picture_regions_and_comparison(source):
    pictures, read, compared = source
    html = page(gradcam_section("example", STUDY, read, pictures, compared))
    assert html.count("<img") == 1
    assert 'id="figure-example-gradcam-crop-flip"' in html
    assert "data:image/webp;base64," in html
    assert "Caudate, left" in html
    assert "-12, 14, 8" in html
    assert "1 of 1" in html
    assert "no scan was classified correctly" in html
    assert "&lt;b&gt;controls" in html
    assert "<b>controls" not in html
    assert "0.50 (0.31 to 0.70)" in html
    assert 'class="n strong">0.001<' in html
    assert 'class="n strong">0.020<' in html  # of the regions
    assert 'class="n">0.200<' in html
    assert "all models" in html
    assert "2.50 % of the brain" in html
    assert "patients, trial against trial" in html
    assert ">0.60 (0.50 to 0.70)<" in html
    assert "&lt;b&gt;controls against patients, in one trial" in html


def test_without_a_simulated_truth_nothing_is_compared(source):
    pictures, read, _ = source
    section = gradcam_section("example", STUDY, read, pictures)
    assert section["comparison"] is None
    assert "simulated" not in page(section)


def test_a_study_that_was_not_compared_has_no_such_table(source):
    assert comparison(source[2], "another") is None


def test_regions_are_those_of_all_splits_at_the_lowest_threshold():
    patients, controls = top_regions(regions(), 0.75)
    assert [line["place"] for line in patients["lines"]] == [
        "Caudate, left",
        "Brain-Stem, both sides",
    ]
    assert patients["n"] == 2
    assert patients["tested"] == 1
    assert controls["lines"] == []
    assert controls["n"] == 0


def test_nobody_classified_correctly_leaves_no_region(source, tmp_path):
    table = tmp_path / "regions.tsv"
    nobody = regions().assign(n=0, region=None, side=None, **dict.fromkeys(HIT))
    write_table(nobody, table, resource("columns/learning.tsv"))
    assert [row["lines"] for row in top_regions(read_table(table), 0.75)] == [[], []]


def test_missing_picture_and_missing_table_are_named(source, tmp_path):
    pictures, read, _ = source
    with pytest.raises(InputError, match="studies/absent/gradcam"):
        gradcam_section("absent", STUDY, read, pictures)
    with pytest.raises(InputError, match="model-crop_regions"):
        gradcam_section("example", STUDY, read, [p.replace("crop+flip", "crop") for p in pictures])


def test_models_of_one_name_in_two_studies_keep_their_own_regions(source, tmp_path):
    pictures, _, _ = source
    other = tmp_path / "studies/another/gradcam/model-crop+flip_regions.tsv"
    write_table(regions().assign(region="Thalamus"), other, resource("columns/learning.tsv"))
    own = tmp_path / "studies/example/gradcam/model-crop+flip_regions.tsv"
    agree = own.with_name("model-crop+flip_agreement.tsv")
    read = reader("example", {str(path): path for path in (other, own, agree)})
    assert "Thalamus" not in page(gradcam_section("example", STUDY, read, pictures))


def test_a_little_is_not_nothing():
    assert [percent(share) for share in (0, 0.004, 0.128, 1)] == ["0 %", "<1 %", "13 %", "100 %"]
