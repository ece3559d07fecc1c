import numpy as np
import pytest
import shapely

from tests.vessel_wall.tubes import Tube, contour_rows, save_contours
from workflow_scripts.common.job import InputError
from workflow_scripts.vessel_wall.contours import read_contours
from workflow_scripts.vessel_wall.sections import measure_sections

NAME = "sub-01_hemi-L_label-MCA_desc-vesselwall_contours.tsv"


def read(rows, tmp_path):
    (vessel,) = read_contours(save_contours(rows, tmp_path / NAME), "L", "MCA")
    return vessel, measure_sections(vessel.lumen, vessel.outer)


def test_area_is_that_of_the_polygon_exactly(tmp_path):
    """A 24-gon drawn perpendicular to a turned vessel."""
    tube = Tube(1.5, 2.5, 12, 35, 20, (4, -2, 7))
    vessel, found = read(contour_rows(tube, np.arange(-6, 7, 2), points=24), tmp_path)
    polygon = 24 / 2 * np.sin(2 * np.pi / 24)
    np.testing.assert_allclose(found["lumen_area_mm2"], polygon * 1.5**2, rtol=1e-4)
    np.testing.assert_allclose(found["outer_area_mm2"], polygon * 2.5**2, rtol=1e-4)
    assert vessel.source == "contours"
    assert vessel.slices == [1, 2, 3, 4, 5, 6, 7]
    assert not vessel.flags


@pytest.mark.parametrize("tilt", [10, 30, 60])
@pytest.mark.parametrize("offset", [0, 0.4])
def test_oblique_slices_are_measured_perpendicular(tmp_path, tilt, offset):
    tube = Tube(1.5, 2.5, 24, 30, 40, (3, 2, 1), offset=offset)
    rows = contour_rows(tube, np.arange(-12, 13, 2), tilt, 100, 30)
    vessel, found = read(rows, tmp_path)
    np.testing.assert_allclose(found["lumen_area_mm2"], tube.lumen_area, rtol=3e-3)
    np.testing.assert_allclose(found["nwi"], tube.nwi, rtol=3e-3)
    np.testing.assert_allclose(found["wall_thickness_mean_mm"], tube.mean_thickness, rtol=5e-3)
    expected = 2 * offset / (1 + offset)
    np.testing.assert_allclose(found["wall_eccentricity"], expected, atol=5e-3)
    assert len(vessel.slices) < 13 or tilt < 20  # sections that run off the ends


@pytest.mark.parametrize("bend", [8.0, 15.0])
def test_parallel_slices_through_an_arc(tmp_path, bend):
    """Slices z = constant through a torus, tilted by up to 33 degrees to its centre line."""
    tube, theta, rows = Tube(1.5, 2.5, bend, bend=bend), 2 * np.pi * np.arange(100) / 100, []
    for number, z in enumerate(np.arange(-0.55 * bend, 0.55 * bend, 1.0), 1):
        for what, radius in (("lumen", 1.5), ("outerwall", 2.5)):
            x = np.sqrt((bend + radius * np.cos(theta)) ** 2 - z**2) - bend
            rows += [[number, what, *p] for p in zip(x, radius * np.sin(theta), 0 * x + z)]  # noqa: B905
    vessel, found = read(rows, tmp_path)
    assert len(vessel.lumen) >= 5
    np.testing.assert_allclose(found["lumen_area_mm2"], tube.lumen_area, rtol=5e-3)
    np.testing.assert_allclose(found["nwi"], tube.nwi, rtol=2e-3)


def test_two_slices_are_a_vessel(tmp_path):
    vessel, found = read(contour_rows(Tube(1, 2, 4), [0, 2], points=40), tmp_path)
    np.testing.assert_allclose(found["nwi"], 0.75, rtol=1e-4)
    assert len(vessel.frames.position) == 2


def test_contours_come_back_at_their_place(tmp_path):
    """The point of a session's contour table is on the tube's surface in scanner space."""
    tube = Tube(1.5, 2.5, 12, 35, 20, (4, -2, 7))
    vessel, _ = read(contour_rows(tube, np.arange(-6, 7, 2)), tmp_path)
    points = np.stack([shapely.get_coordinates(p) for p in vessel.lumen])
    _, a, b = tube.coordinates(vessel.frames.in_space(points))
    np.testing.assert_allclose(np.hypot(a, b), 1.5, atol=0.005)


def test_what_limits_the_numbers_is_flagged(tmp_path):
    tube = Tube(1.5, 2.5, 12)
    vessel, _ = read(contour_rows(tube, np.arange(-6, 7, 2), points=12), tmp_path)
    assert vessel.flags == ["sparse_contour"]
    rows = [row for row in contour_rows(tube, np.arange(-6, 7, 2)) if row[0] not in (3, 4)]
    vessel, _ = read(rows, tmp_path)
    assert vessel.flags == ["missing_slices"]


def test_a_table_of_a_session_has_several_vessels(tmp_path):
    lines = ["label\themi\tslice\tcontour\tx_mm\ty_mm\tz_mm"]
    for label, hemi, tube in (
        ("MCA", "R", Tube(1, 2, 8)),
        ("MCA", "L", Tube(1.5, 2, 8)),
        ("BA", "n/a", Tube(2, 3, 8)),
    ):
        for row in contour_rows(tube, [-4, -2, 0, 2, 4]):
            lines.append("\t".join(map(str, [label, hemi, *row])))
    path = tmp_path / "sub-01_desc-automatic_contours.tsv"
    path.write_text("\n".join(lines) + "\n")
    vessels = {vessel.name: vessel for vessel in read_contours(str(path))}
    assert set(vessels) == {"hemi-R_label-MCA", "hemi-L_label-MCA", "label-BA"}
    for name, radius in (("hemi-R_label-MCA", 1), ("hemi-L_label-MCA", 1.5), ("label-BA", 2)):
        assert shapely.area(vessels[name].lumen[0]) == pytest.approx(np.pi * radius**2, rel=3e-3)
        assert vessels[name].source == "automatic"


def change(rows, which, function):
    return [function(row) if which(row) else row for row in rows]


def crossing_itself(rows):
    """A figure of eight: half of the points of a lumen mirrored."""
    lumen = [row for row in rows if row[:2] == [2, "lumen"]]
    swapped = lumen[:10] + lumen[10:30][::-1] + lumen[30:]
    return [row for row in rows if row[:2] != [2, "lumen"]] + swapped


def of(number, contour):
    return lambda row: row[:2] == [number, contour]


def moved(x=0.0, y=0.0, z=0.0):
    return lambda row: [*row[:2], row[2] + x, row[3] + y, row[4] + z]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (crossing_itself, "slice 2: the lumen contour crosses itself"),
        (lambda r: change(r, of(3, "lumen"), moved(x=1.5)), "slice 3: the lumen crosses the outer"),
        (lambda r: change(r, of(3, "lumen"), moved(x=9)), "slice 3: the lumen is outside of"),
        (
            lambda r: change(
                r,
                lambda row: True,
                lambda row: [
                    row[0],
                    {"lumen": "outerwall", "outerwall": "lumen"}[row[1]],
                    *row[2:],
                ],
            ),
            "slice 1: the lumen is outside of",
        ),
        (
            lambda r: [x for x in r if not of(2, "outerwall")(x)],
            "slice 2: has no outerwall contour",
        ),
        (lambda r: [x for x in r if not of(2, "lumen")(x)], "slice 2: has no lumen contour"),
        (
            lambda r: (
                [x for x in r if not of(2, "lumen")(x)] + [x for x in r if of(2, "lumen")(x)][:2]
            ),
            "slice 2: lumen has 2 points",
        ),
        (lambda r: [x for x in r if x[0] == 1], "a single section has no centre line"),
        (
            lambda r: change(r, lambda row: of(2, "lumen")(row) and row[2] > 0, moved(z=1)),
            "slice 2: the contours are not in one plane",
        ),
        (
            lambda r: change(r, lambda row: row[0] == 3, moved(z=-5)),
            "the slices run back and forth",
        ),
        (lambda r: change(r, lambda row: row[0] == 3, moved(z=-2)), "slices in one place"),
        (
            lambda r: change(r, of(1, "lumen"), lambda row: [row[0], "Lumen", *row[2:]]),
            r"unknown contours \['Lumen'\]; call them lumen or outerwall",
        ),
        (
            lambda r: change(r, of(1, "lumen"), lambda row: ["first", *row[1:]]),
            "slice holds no numbers",
        ),
        (
            lambda r: change(r, of(1, "lumen"), lambda row: [*row[:4], "n/a"]),
            "missing coordinates",
        ),
        (lambda r: [], "is empty"),
    ],
)
def test_unusable_contours_are_refused(tmp_path, edit, message):
    rows = edit(contour_rows(Tube(1.5, 2.5, 10), [-4, -2, 0, 2, 4], points=40))
    with pytest.raises(InputError, match=f"{NAME}.*{message}"):
        read(rows, tmp_path)


def test_missing_columns_are_named(tmp_path):
    (tmp_path / NAME).write_text("slice\tcontour\tx\ty_mm\tz_mm\n1\tlumen\t0\t0\t0\n")
    with pytest.raises(InputError, match=r"has no columns \['x_mm'\]"):
        read_contours(str(tmp_path / NAME), "L", "MCA")


def test_all_bad_slices_are_listed(tmp_path):
    rows = crossing_itself(contour_rows(Tube(1.5, 2.5, 10), [-4, -2, 0, 2, 4], points=40))
    rows = [row for row in rows if not of(4, "outerwall")(row)]
    with pytest.raises(InputError, match=r"slice 2: .*\n.*slice 4: has no outerwall"):
        read(rows, tmp_path)
