import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from shapely.geometry import Polygon

from workflow_scripts.demo.images import grid_points
from workflow_scripts.demo.simulate_vessel_contours import contours
from workflow_scripts.demo.simulate_vessel_image import FLUID, LUMEN, SCALE, WALL, centre_line
from workflow_scripts.demo.simulate_vessel_image import vessel_image as image_of
from workflow_scripts.demo.simulate_vessel_wall import save_segmentation, segmentations
from workflow_scripts.demo.vessels import LENGTH_MM, VOXEL_MM, arteries, truth

SUBJECT = {
    "seed": [1, 2, 3],
    "lumen_radius_left_mm": 1.22,
    "lumen_radius_right_mm": 1.45,
    "nwi_left": 0.60,
    "nwi_right": 0.42,
}


@pytest.fixture(scope="module")
def tubes():
    return arteries(SUBJECT)


def test_truth_follows_from_radius_and_wall_index(tubes):
    row = truth("sub-1", tubes).iloc[0]
    lumen = np.pi * np.array([1.22, 1.45]) ** 2
    vessel = lumen / (1 - np.array([0.60, 0.42]))
    assert (row["nwi_left"], row["nwi_right"]) == pytest.approx((0.60, 0.42))
    assert row["nwi"] == pytest.approx(0.51)
    assert row["lumen_area_mm2"] == pytest.approx(lumen.mean(), rel=1e-5)
    assert row["wall_area_mm2"] == pytest.approx((vessel - lumen).mean(), rel=1e-5)


@pytest.mark.parametrize("side", ["L", "R"])
def test_volume_is_area_times_length_of_the_centre_line(tubes, side):
    """Pappus: the centroid of the cross-section runs along the centre line."""
    tube = tubes[side]
    maps, _ = segmentations(tube)
    for name, radius in (("lumen", tube.lumen_mm), ("outerwall", tube.outer_mm)):
        volume = maps[name].sum() * VOXEL_MM**3
        assert volume == pytest.approx(np.pi * radius**2 * LENGTH_MM, rel=0.005)
    assert (maps["lumen"] <= maps["outerwall"]).all()
    assert 2 * tube.lumen_mm >= 6 * VOXEL_MM - 1e-9
    for face in (maps["outerwall"][[0, -1]], maps["outerwall"][:, [0, -1]]):
        assert not face.any()


@pytest.mark.parametrize(("kind", "tolerance"), [("probseg", 0.01), ("mask", 0.03)])
def test_stored_segmentations_keep_the_wall_index(tubes, tmp_path, kind, tolerance):
    for side, nwi in (("L", 0.60), ("R", 0.42)):
        maps, affine = segmentations(tubes[side])
        volumes = {}
        for name, fractions in maps.items():
            path = tmp_path / f"{name}_{side}_{kind}.nii.gz"
            save_segmentation(fractions, affine, kind, path)
            data = nib.load(path).get_fdata()
            assert kind == "probseg" or set(np.unique(data)) == {0, 1}
            volumes[name] = data.sum()
        assert 1 - volumes["lumen"] / volumes["outerwall"] == pytest.approx(nwi, rel=tolerance)


def test_left_is_left_and_both_run_outwards(tubes):
    for side, sign in (("L", -1), ("R", 1)):
        maps, affine = segmentations(tubes[side])
        x = grid_points(maps["lumen"].shape, affine)[0]
        assert sign * np.average(x, weights=maps["lumen"]) > 10
        line = centre_line(tubes[side])
        assert sign * (line["x_mm"].iloc[-1] - line["x_mm"].iloc[0]) > 8
        steps = np.linalg.norm(np.diff(line.to_numpy(), axis=0), axis=1)
        np.testing.assert_allclose(steps, 0.5, atol=0.001)


@pytest.mark.parametrize(("side", "nwi"), [("L", 0.60), ("R", 0.42)])
def test_contours_are_closed_planar_nested_and_have_the_areas(tubes, side, nwi, rng):
    tube, table = tubes[side], contours(tubes[side], rng)
    areas = {"lumen": [], "outerwall": []}
    assert list(table["slice"].unique()) == list(range(1, 15))
    for _, cut in table.groupby("slice"):
        points = cut[["x_mm", "y_mm", "z_mm"]].to_numpy()
        offset = points - points.mean(axis=0)
        axes = np.linalg.svd(offset)[2]
        assert np.abs(offset @ axes[2]).max() < 0.001
        flat = offset @ axes[:2].T
        rings = {name: Polygon(flat[(cut["contour"] == name).to_numpy()]) for name in areas}
        assert all(ring.is_valid for ring in rings.values())
        assert rings["outerwall"].contains(rings["lumen"])
        for name, ring in rings.items():
            areas[name].append(ring.area)
    for name, radius in (("lumen", tube.lumen_mm), ("outerwall", tube.outer_mm)):
        assert np.mean(areas[name]) == pytest.approx(np.pi * radius**2, rel=0.01)
    found = 1 - np.array(areas["lumen"]) / np.array(areas["outerwall"])
    assert found.mean() == pytest.approx(nwi, abs=0.005)


def test_black_blood_image_is_dark_in_the_lumen_and_bright_in_the_wall(tubes, rng):
    """Mean over the line; the wall of about one voxel is not reached in full."""
    image, affine = image_of(tubes, rng, snr=None)
    for tube in tubes.values():
        centres, outward, _ = tube.frame(np.linspace(2, LENGTH_MM - 2, 60))
        radii = (0.0, (tube.lumen_mm + tube.outer_mm) / 2, tube.outer_mm + 1.5)
        levels = []
        for radius in radii:
            points = centres + radius * outward
            voxels = nib.affines.apply_affine(np.linalg.inv(affine), points).T
            levels.append(map_coordinates(image, voxels, order=1).mean() / SCALE)
        lumen, wall, fluid = levels
        assert lumen == pytest.approx(LUMEN, abs=0.02)
        assert fluid == pytest.approx(FLUID, abs=0.02)
        assert 0.6 * WALL < wall <= WALL


def test_shape_depends_on_the_subject_and_not_on_the_wall(tubes):
    same = arteries(SUBJECT | {"nwi_left": 0.40})
    np.testing.assert_array_equal(same["L"].centre, tubes["L"].centre)
    other = arteries(SUBJECT | {"seed": [1, 2, 4]})
    assert not np.allclose(other["L"].centre, tubes["L"].centre)
