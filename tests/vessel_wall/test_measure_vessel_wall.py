import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.vessel_wall.tubes import (
    Tube,
    binary,
    contour_rows,
    grid,
    partial_volumes,
    save_contours,
    save_pair,
)
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.vessel_wall import measure_vessel_wall
from workflow_scripts.vessel_wall.measure_vessel_wall import (
    measure,
    read_vessels,
    session_flags,
)
from workflow_scripts.vessel_wall.segments import session_measures

LEFT = Tube(1.5, 2.5, 20, 30, 20, (0.1, 0.2, 0.3))
RIGHT = Tube(1.0, 2.0, 20, 60, 70, (-0.2, 0.1, 0))


def masks(tube, folder, name, make=binary, suffix="mask"):
    shape, affine = grid([tube])
    return save_pair(make(tube, shape, affine), affine, folder, f"sub-01_{name}", suffix)


def contours(tube, folder, name, points=60):
    path = folder / f"sub-01_{name}_desc-vesselwall_contours.tsv"
    return save_contours(contour_rows(tube, np.arange(-10, 11, 2), points=points), path)


def test_a_second_rater_is_measured_apart(tmp_path):
    """Of tubes with radii 1.5 and 2.5 mm, and 1 and 2 mm by the second rater: areas pi r^2."""
    first = contours(Tube(1.5, 2.5, 20), tmp_path, "label-BA")
    second = contours(Tube(1.0, 2.0, 20), tmp_path, "label-BA_rater-2")
    out = {name: str(tmp_path / name) for name in ("sections", "segments", "contours", "sidecar")}
    params = SimpleNamespace(arteries=["BA"])
    measure_vessel_wall.main([first, second], SimpleNamespace(**out), params)
    found = json.loads((tmp_path / "sidecar").read_text())["Measures"]
    assert found["lumen_area_mm2"] == pytest.approx(np.pi * 1.5**2, rel=0.01)
    assert found["second_rater_lumen_area_mm2"] == pytest.approx(np.pi, rel=0.01)
    assert found["second_rater_nwi"] == pytest.approx(3 / 4, rel=0.01)
    assert found["vessels"] == 1 and "second_rater_nwi_BA" not in found
    third = contours(Tube(1.0, 2.0, 20), tmp_path, "label-BA_rater-ann")
    with pytest.raises(InputError, match=r"these are 2 \(2, ann\)"):
        measure_vessel_wall.main([first, second, third], SimpleNamespace(**out), params)


def automatic(folder):
    path = folder / "sub-01_desc-automatic_contours.tsv"
    lines = ["label\themi\tslice\tcontour\tx_mm\ty_mm\tz_mm"]
    for label in ("ICA", "MCA"):
        for row in contour_rows(LEFT, [-4, -2, 0, 2, 4]):
            lines.append("\t".join(map(str, [label, "L", *row])))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_masks_and_contours_of_both_sides(tmp_path):
    paths = [
        *masks(RIGHT, tmp_path, "hemi-R_label-MCA", partial_volumes, "probseg"),
        *masks(LEFT, tmp_path, "hemi-L_label-MCA"),
        contours(Tube(2, 3, 20), tmp_path, "label-BA"),
    ]
    vessels = read_vessels(paths[::-1])
    assert [v.name for v in vessels] == ["label-BA", "hemi-L_label-MCA", "hemi-R_label-MCA"]
    assert [v.source for v in vessels] == ["contours", "binary", "partial volume"]
    sections, segments, drawn = measure(vessels)
    found = session_measures(segments)
    assert found["nwi_left"] == pytest.approx(LEFT.nwi, rel=0.02)
    assert found["nwi_right"] == pytest.approx(RIGHT.nwi, rel=0.005)
    assert found["nwi"] == pytest.approx(segments["nwi"].mean())
    assert found["vessels"] == 3
    for name, table in (("sections", sections), ("segments", segments), ("contours", drawn)):
        path = tmp_path / f"{name}.tsv"
        write_table(table, path, resource("columns/vessel_wall.tsv"))
        assert set(json.loads(path.with_suffix(".json").read_text())) == set(table.columns)
        back = read_table(path)
        assert len(back) == len(table)
        assert back["hemi"].isna().sum() == (table["label"] == "BA").sum()


def test_flags_of_vessels_are_told_in_words_and_notes_stand_apart(tmp_path):
    paths = masks(LEFT, tmp_path, "hemi-L_label-ICA", partial_volumes, "probseg")
    paths += masks(RIGHT, tmp_path, "hemi-R_label-ICA", partial_volumes, "probseg")
    vessels = read_vessels(paths)
    segments = pd.DataFrame({"flags": [None, "small_lumen; one_sided_reference"]})
    told = session_flags(vessels, segments)
    assert [text.split(":")[0] for text in (*told["Flags"], *told["Notes"])] == ["ICA right"] * 2
    assert "voxels across" in told["Flags"][0] and "one side alone" in told["Notes"][0]
    segments["flags"] = [np.nan, np.nan]
    assert session_flags(vessels, segments) == {"Flags": [], "Notes": []}
    [flag] = session_flags(vessels, segments, ["ICA_left", "MCA_left"])["Flags"]
    assert flag == "MCA left: missing, so the session has no mean over ICA_left, MCA_left"


def test_every_flag_of_a_vessel_has_words():
    described = read_table(resource("columns/vessel_wall.tsv")).set_index("column")
    known = re.findall(r"(\w+_\w+|automatic): ", described.at["flags", "description"])
    assert set(read_table(resource("vessel_wall_flags.tsv"))["flag"]) == set(known)


def test_same_input_same_tables_whatever_the_order(tmp_path):
    paths = masks(LEFT, tmp_path, "hemi-L_label-ICA", partial_volumes, "probseg")
    paths += masks(RIGHT, tmp_path, "hemi-R_label-ICA")
    for one, other in zip(
        measure(read_vessels(paths)), measure(read_vessels(paths[::-1])), strict=True
    ):
        assert one.to_csv() == other.to_csv()


def test_contours_by_hand_replace_the_automatic_ones(tmp_path):
    by_hand = contours(RIGHT, tmp_path, "hemi-L_label-MCA")
    vessels = read_vessels([automatic(tmp_path), by_hand])
    assert [(v.label, v.source) for v in vessels] == [("ICA", "automatic"), ("MCA", "contours")]


def test_all_problems_of_a_session_are_in_one_message(tmp_path):
    good = masks(LEFT, tmp_path, "hemi-L_label-ICA")
    lonely = masks(LEFT, tmp_path, "hemi-R_label-ICA")[:1]
    swapped = [path.replace("R_label-BA", "X") for path in masks(RIGHT, tmp_path, "label-BA")]
    table = tmp_path / "sub-01_hemi-L_label-MCA_desc-vesselwall_contours.tsv"
    table.write_text("slice\tcontour\tx_mm\n1\tlumen\t0\n")
    odd = tmp_path / "sub-01_hemi-L_label-MCA_desc-wall_mask.nii.gz"
    shape, affine = grid([RIGHT])
    lumen, outer = binary(RIGHT, shape, affine)
    save_pair((outer, lumen), affine, tmp_path, "sub-01_label-BA", "mask")
    with pytest.raises(InputError) as error:
        read_vessels([*good, *lonely, *swapped, str(table), str(odd)])
    message = str(error.value)
    assert "hemi-R_label-ICA_desc-lumen_mask.nii.gz: its desc-outerwall is missing" in message
    assert "label-BA_desc-lumen_mask.nii.gz: " in message and "outside the outer wall" in message
    assert "desc-vesselwall_contours.tsv: has no columns ['y_mm', 'z_mm']" in message
    assert "desc-wall_mask.nii.gz: no name of a vessel-wall file" in message
    assert "hemi-L_label-ICA" not in message
    assert len(message.splitlines()) == 4


def test_a_vessel_given_twice_is_refused(tmp_path):
    paths = masks(LEFT, tmp_path, "hemi-L_label-MCA")
    with pytest.raises(InputError, match="hemi-L_label-MCA: given by masks and by contours"):
        read_vessels([*paths, contours(LEFT, tmp_path, "hemi-L_label-MCA")])
    paths += masks(LEFT, tmp_path, "hemi-L_label-MCA", partial_volumes, "probseg")
    with pytest.raises(InputError, match="_mask.nii.gz for one vessel; keep one of them"):
        read_vessels(paths)


def test_names_without_an_artery_and_no_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="names no artery"):
        read_vessels([str(tmp_path / "sub-01_desc-lumen_mask.nii.gz")])
    with pytest.raises(InputError, match="no vessel-wall files"):
        read_vessels([])


def test_short_segments_are_flagged(tmp_path):
    path = tmp_path / "sub-01_label-BA_desc-vesselwall_contours.tsv"
    _, segments, _ = measure(read_vessels([save_contours(contour_rows(LEFT, [0, 1, 2]), path)]))
    assert segments["flags"].iloc[0] == "no_reference; few_sections"
    assert segments["remodelling"].isna().all()


def test_four_vessels_are_measured_over_their_length(tmp_path):
    paths = []
    for number, name in enumerate(("L_label-ICA", "R_label-ICA", "L_label-MCA", "R_label-MCA")):
        tube = Tube(1.5, 2.5, 60, 10 + 20 * number, 30, bend=30.0 + number)
        paths += masks(tube, tmp_path, f"hemi-{name}")
    _, segments, _ = measure(read_vessels(paths))
    assert (segments["length_mm"] > 50).all()
