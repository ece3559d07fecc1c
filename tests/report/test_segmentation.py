"""The section on regions by several engines, from made-up tables with known answers."""

import jinja2
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.report.draw_segmentation import draw_contours, main, styles_of
from workflow_scripts.report.segmentation import segmentation_section
from workflow_scripts.report.write_report import templates
from workflow_scripts.segmentation.compare_segmentations import (
    AGREEMENT,
    OVERLAP,
    VOLUMES,
    agreement_table,
)
from workflow_scripts.segmentation.ranking import RANKING, ranking_table

PEOPLE = [f"sub-{number:02d}" for number in range(1, 9)]


def overlaps() -> pd.DataFrame:
    """Dice of .8 and .9 in turn; volumes 2 mL above the rater's; one person has two sessions."""
    rows = [
        {"participant_id": person, "session_id": session, "side": side, "reason": None}
        | {"dice": 0.8 + 0.1 * (place % 2), "volume_ml": 12.0 + place, "hd95_mm": 2.0}
        for place, person in enumerate(PEOPLE)
        for session in (("ses-1", "ses-2") if place == 0 else ("ses-1",))
        for side in ("left", "right", "both")
    ]
    table = pd.DataFrame(rows).assign(region="thalamus", engine="vote", reference="anna")
    table["reference_volume_ml"] = table["volume_ml"] - 2 - 0.1 * (table["dice"] > 0.85)
    not_run = {"engine": "fs", "reason": "no /data/<fs>/aseg.mgz", "dice": np.nan}
    not_run |= {"volume_ml": np.nan}
    table = pd.concat([table, table.iloc[[2]].assign(**not_run)], ignore_index=True)
    return table.assign(sensitivity=0.9, precision=0.7, voxel_size_mm="1x1x3")[OVERLAP]


def volumes() -> pd.DataFrame:
    rows = [
        {"participant_id": person, "engine": engine, "kind": kind, "run": run, "volume_ml": size}
        for place, person in enumerate(PEOPLE)
        for engine, kind, run, size in (
            ("vote", "vote", "yes", 12.0 + place),
            ("fs", "import", "no", np.nan),
            ("anna", "manual", "yes", 10.0),
        )
    ]
    table = pd.DataFrame(rows).assign(region="thalamus", session_id="ses-1", flags=None)
    table["reason"] = np.where(table["run"] == "no", "no /data/<fs>/aseg.mgz", None)
    table.loc[0, "flags"] = "a thalamus of 5.0 mL"
    return table.reindex(columns=VOLUMES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Tables, and a picture of each session."""
    folder = tmp_path_factory.mktemp("segmentation")
    columns, paths = resource("columns/segmentation.tsv"), []
    tables = {"volumes": volumes(), "overlap": overlaps(), "agreement": agreement_table(overlaps())}
    tables["ranking"] = ranking_table(overlaps())
    for name, table in tables.items():
        paths.append(folder / f"{name}.tsv")
        write_table(table, paths[-1], columns)
    pictures = []
    for person in ["sub-00", *PEOPLE]:
        pictures.append(folder / f"{person}_ses-1_label-Thalamus_desc-engines_T1w.webp")
        Image.new("RGB", (40, 20)).save(pictures[-1], "WEBP")
    return paths, pictures


def test_nothing_segmented_is_no_section():
    assert segmentation_section([], []) is None


def test_numbers_of_the_section(made):
    [part] = segmentation_section(*made)["regions"]
    engines = {line["engine"]: line for line in part["engines"]}
    assert (engines["vote"]["run"], engines["vote"]["flagged"]) == (8, 1)
    assert (engines["fs"]["run"], engines["fs"]["not_run"], engines["fs"]["volume"]) == (
        0, 8, "n/a",
    )  # fmt: skip
    assert {line["engine"] for line in part["overlap"]} == {"vote"}
    both = next(line for line in part["overlap"] if line["side"] == "both")
    assert (both["n"], both["sessions"], both["lowest"]) == (8, 9, "0.800")
    assert both["dice"].startswith("0.850 ± 0.053")
    agreed = next(line for line in part["agreement"] if line["side"] == "both")
    assert agreed["n"] == 8 and agreed["bias"].startswith("2.05 (")
    [ranked] = part["ranking"]
    assert [(line["engine"], line["n"]) for line in ranked["engines"]] == [("vote", 8), ("fs", 0)]
    assert ranked["engines"][0]["dice"].startswith("0.850 (0.8")
    assert ranked["engines"][1]["dice"] == ranked["engines"][1]["rank"] == "n/a"
    assert ranked["pairs"] == ranked["friedman"] == []
    assert part["voxels"] == ["1x1x3"]


def test_what_was_not_run_and_what_is_flagged_is_said(made):
    section = segmentation_section(*made)
    rows = section["doubtful"]["rows"]
    assert len(rows) == 9
    assert sum("a thalamus of 5.0 mL" in row for row in rows) == 1
    assert sum("no /data/<fs>/aseg.mgz" in row for row in rows) == 8
    assert section["pictures"][0]["name"] == "sub-01, ses-1"
    assert section["number"] == 9


def test_page_has_figures_and_escapes_what_it_is_told(made):
    page = (
        templates()
        .get_template("segmentation.html.j2")
        .render(segmentation=segmentation_section(*made))
    )
    assert "/data/&lt;fs&gt;/aseg.mgz" in page and "<fs>" not in page
    assert 'id="figure-segmentation-thalamus-dice"' in page
    assert 'id="figure-segmentation-thalamus-volumes"' in page
    assert page.count("<img") == 9
    with pytest.raises(jinja2.UndefinedError):
        templates().get_template("segmentation.html.j2").render()


def test_without_raters_volumes_stand_alone(tmp_path):
    columns, paths = resource("columns/segmentation.tsv"), []
    empty = {"overlap": OVERLAP, "ranking": RANKING, "agreement": AGREEMENT}
    empty = {name: pd.DataFrame(columns=names) for name, names in empty.items()}
    for name, table in {"volumes": volumes(), **empty}.items():
        paths.append(tmp_path / f"{name}.tsv")
        write_table(table, paths[-1], columns)
    section = segmentation_section(paths, [])
    assert section["regions"][0]["overlap"] == [] and section["regions"][0]["plots"] == {}
    page = templates().get_template("segmentation.html.j2").render(segmentation=section)
    assert "0 of 0 pictures" in page


def test_picture_shows_each_engine_in_its_colour(tmp_path):
    """Of two boxes on a dark head, stored in another order of axes."""
    t1w = np.random.default_rng(0).normal(100, 5, (60, 70, 50)).astype(np.float32)
    one, two = np.zeros(t1w.shape, np.uint8), np.zeros(t1w.shape, np.uint8)
    one[20:40, 25:45, 15:35] = 1
    two[16:44, 21:49, 11:39] = 2
    paths = []
    affine = np.diag([-2.0, 2, 2, 1])
    for name, data in (("t1w", t1w), ("desc-atlas_dseg", one), ("desc-anna_dseg", two)):
        paths.append(str(tmp_path / f"sub-1_{name}.nii.gz"))
        nib.save(nib.Nifti1Image(data, affine), paths[-1])

    class Source:
        sides = paths[1:]

    Source.t1w = paths[0]
    out, params = type("Out", (), {"picture": str(tmp_path / "x.webp")}), type("P", (), {})
    params.raters = ["anna"]
    main(Source, out, params)
    picture = np.asarray(Image.open(out.picture).convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 130) & (picture[..., 2] < 130)
    assert red.sum() > 300
    figure = draw_contours(t1w, np.array([2.0, 2, 2]), {"a": one > 0, "b": two > 0}, ["b"])
    assert len(figure.axes) == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    styles = styles_of(["a", "b", "c"], ["b"])
    assert styles["b"]["linestyles"] == "--" and styles["a"]["linestyles"] == "-"
    assert len({style["colors"] for style in styles.values()}) == 3
