import json

import numpy as np
import pandas as pd
import pytest

from tests.vessel_wall.tubes import Tube, contour_rows, save_contours
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.vessel_wall.contours import read_contours
from workflow_scripts.vessel_wall.segments import (
    contour_table,
    remodelling,
    section_table,
    segment_row,
    session_measures,
)


def course(plaque_lumen, plaque_outer, taper=0.0, at=15.0):
    """Position, areas and thickness of a vessel of 30 mm with a plaque of 4 mm."""
    position = np.arange(0, 30.1, 0.5)
    outer = 20 * (1 - taper * position / 30)
    lumen, thickness = 0.5 * outer, np.full(len(position), 0.8)
    inside = np.abs(position - at) <= 2
    lumen[inside] *= plaque_lumen
    outer[inside] *= plaque_outer
    thickness[inside] = 1.6
    return position, lumen, outer, thickness


@pytest.mark.parametrize("taper", [0.0, 0.3])
@pytest.mark.parametrize("true", [0.8, 1.0, 1.25])
def test_remodelling_is_the_planted_factor_whatever_the_taper(true, taper):
    index, narrowest, flags = remodelling(*course(0.4, true, taper))
    assert index == pytest.approx(true, rel=1e-6)
    assert abs(narrowest / 2 - 15) <= 2
    assert not flags


def test_reference_on_one_side_is_flagged():
    index, _, flags = remodelling(*course(0.4, 1.2, at=29.5))
    assert index == pytest.approx(1.2)
    assert flags == ["one_sided_reference"]


def test_without_reference_there_is_no_index():
    position = np.arange(0, 2.6, 0.5)
    index, _, flags = remodelling(position, 5 + position, 9 + position, 1 + 0 * position)
    assert np.isnan(index)
    assert flags == ["no_reference"]


@pytest.fixture
def vessel(tmp_path):
    rows = contour_rows(Tube(1.5, 2.5, 24, 20, 30, offset=0.2), np.arange(-12, 13, 2), points=60)
    path = save_contours(rows, tmp_path / "sub-01_hemi-L_label-MCA_desc-vesselwall_contours.tsv")
    return read_contours(path, "L", "MCA")[0]


def test_segment_is_the_mean_of_its_sections(vessel):
    table = section_table(vessel)
    row = segment_row(vessel, table)
    assert (row["label"], row["hemi"], row["sections"]) == ("MCA", "L", 13)
    assert row["length_mm"] == pytest.approx(24, abs=1e-3)
    assert row["nwi"] == pytest.approx(1 - 0.36, rel=1e-3)
    assert row["lumen_area_mm2"] == pytest.approx(np.pi * 2.25, rel=4e-3)
    assert row["wall_thickness_peak_mm"] == pytest.approx(1.2, rel=5e-3)
    assert row["remodelling_index"] == pytest.approx(1, abs=1e-3)
    assert row["remodelling"] == "none"
    assert table["section"].tolist() == list(range(1, 14))
    np.testing.assert_allclose(table["position_mm"], np.arange(0, 25, 2), atol=1e-3)


def test_contour_table_holds_both_contours_of_every_section(vessel):
    table = contour_table(vessel)
    counts = table.groupby(["section", "contour"]).size()
    assert len(counts) == 26
    assert (counts == 36).all()
    lumen = table[table["contour"] == "lumen"]
    np.testing.assert_allclose(np.hypot(lumen["u_mm"], lumen["v_mm"]), 1.5, atol=5e-3)


def segments(**columns):
    count = len(columns["nwi"])
    names = ["lumen_area_mm2", "wall_area_mm2", "wall_thickness_mean_mm", "wall_thickness_max_mm"]
    names += ["wall_eccentricity", "remodelling_index"]
    table = {name: np.arange(count) + index for index, name in enumerate(names, 1)}
    return pd.DataFrame(table | columns)


def test_session_is_the_mean_over_segments_and_of_each_side():
    found = session_measures(
        segments(
            nwi=[0.4, 0.5, 0.9],
            label=["MCA", "MCA", "BA"],
            hemi=["L", "R", None],
            flags=["thin_wall; image_edge", None, "x"],
        )
    )
    assert found["nwi"] == pytest.approx(0.6)
    assert found["nwi_left"] == 0.4
    assert found["nwi_right"] == 0.5
    assert found["vessels"] == 3
    assert found["vessel_flags"] == 3
    assert found["lumen_area_mm2"] == pytest.approx(2)
    assert found["remodelling_index"] == pytest.approx(7)


def test_what_a_session_does_not_have_is_left_out():
    table = segments(nwi=[0.4], label=["MCA"], hemi=["L"], flags=[None])
    table["remodelling_index"] = np.nan
    found = session_measures(table)
    assert "nwi_right" not in found
    assert "remodelling_index" not in found
    assert found["vessel_flags"] == 0


def some(arteries, values):
    names = [name.partition("_") for name in arteries]
    hemi = [{"left": "L", "right": "R", "": None}[side] for _, _, side in names]
    return segments(nwi=values, label=[label for label, _, _ in names], hemi=hemi, flags=None)


def test_means_are_over_the_declared_arteries_or_not_there():
    """A further artery changes no mean; a missing one leaves none but those of its side."""
    declared = ["MCA_left", "MCA_right"]
    both = session_measures(some(declared, [0.4, 0.5]), declared)
    more = session_measures(some([*declared, "BA"], [0.4, 0.5, 0.9]), declared)
    assert both["nwi"] == more["nwi"] == pytest.approx(0.45)
    assert more["nwi_BA"] == 0.9 and more["nwi_MCA_left"] == more["nwi_left"] == 0.4
    fewer = session_measures(some(["MCA_left", "BA"], [0.4, 0.9]), declared)
    assert not {"nwi", "nwi_right", "lumen_area_mm2", "remodelling_index"} & fewer.keys()
    assert fewer["nwi_left"] == fewer["nwi_MCA_left"] == 0.4 and fewer["vessels"] == 2


def test_mean_is_not_over_the_arteries_that_happen_to_have_the_measure():
    table = some(["MCA_left", "MCA_right"], [0.4, 0.5])
    table.loc[0, "remodelling_index"] = np.nan
    found = session_measures(table)
    assert "remodelling_index" not in found and "remodelling_index_MCA_left" not in found
    assert found["remodelling_index_MCA_right"] == table.loc[1, "remodelling_index"]


def test_columns_of_arteries_are_described(tmp_path):
    row = session_measures(some(["MCA_left", "MCA_right", "BA"], [0.4, 0.5, 0.9]))
    table = pd.DataFrame([{"participant_id": "sub-01", "session_id": None} | row])
    write_table(table, tmp_path / "features.tsv", resource("columns/cohort.tsv"))
    described = json.loads((tmp_path / "features.json").read_text())
    assert set(described) == set(table.columns)
    assert described["lumen_area_mm2_BA"]["Units"] == "mm2"
    with pytest.raises(KeyError, match="nwi_MCA_top"):
        write_table(table.assign(nwi_MCA_top=1), tmp_path / "x.tsv", resource("columns/cohort.tsv"))
