import numpy as np
import pandas as pd
import pytest

from tests.vessel_wall.tubes import Tube, contour_rows, save_contours
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
            nwi=[0.4, 0.5, 0.9], hemi=["L", "R", None], flags=["thin_wall; image_edge", None, "x"]
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
    table = segments(nwi=[0.4], hemi=["L"], flags=[None]).assign(remodelling_index=np.nan)
    found = session_measures(table)
    assert "nwi_right" not in found
    assert "remodelling_index" not in found
    assert found["vessel_flags"] == 0
