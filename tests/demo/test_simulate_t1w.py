import numpy as np
import pytest

from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.images import Phantom, grid_points
from workflow_scripts.demo.lesions import lesion_fraction
from workflow_scripts.demo.simulate_t1w import WHITE_MATTER, volumes_ml


def test_same_seed_same_image(make, control):
    again = make(0.0)
    np.testing.assert_array_equal(control[0], again[0])
    assert control[-1].read_bytes()[20:] == again[-1].read_bytes()[20:]


def test_volumes_are_the_integrals_of_the_maps(control):
    _, truth, brain, _, _ = control
    volumes = volumes_ml(truth, 0.008)
    for tissue in ("gm", "wm", "csf"):
        integral = (truth[tissue] / 255).sum() * 0.008
        assert volumes[f"{tissue}_volume_ml"] == pytest.approx(integral)
    whole = sum((truth[tissue] / 255).sum() for tissue in ("gm", "wm", "csf")) * 0.008
    assert volumes["tiv_ml"] == pytest.approx(whole)
    assert brain.sum() * 0.008 == pytest.approx(whole, rel=0.01)


def test_volumes_are_those_of_an_adult(control):
    volumes = volumes_ml(control[1], 0.008)
    assert 1200 < volumes["tiv_ml"] < 1800
    for tissue, low, high in (("gm", 0.40, 0.50), ("wm", 0.28, 0.38), ("csf", 0.18, 0.30)):
        assert low < volumes[f"{tissue}_volume_ml"] / volumes["tiv_ml"] < high


def test_fractions_never_exceed_a_voxel(control):
    truth = {name: data.astype(int) for name, data in control[1].items()}
    assert (truth["gm"] + truth["wm"] + truth["csf"]).max() <= 255 + 2
    assert (truth["lesion"] <= truth["wm"]).all()
    assert (truth["ventricles"] <= truth["csf"] + 1).all()


def test_effect_widens_ventricles_and_adds_lesions(control, patient):
    before, after = (volumes_ml(one[1], 0.008) for one in (control, patient))
    assert after["ventricles_volume_ml"] > 1.3 * before["ventricles_volume_ml"]
    assert after["lesion_volume_ml"] > before["lesion_volume_ml"] + 0.5
    assert after["tiv_ml"] == pytest.approx(before["tiv_ml"], rel=0.01)


def test_heads_are_as_different_as_patients(make):
    """The ends of the range of `benchmarks/atrophy.py`: young and full, old and wide."""
    young, old = (
        volumes_ml(make(0.0, **anatomy)[1], 0.008)
        for anatomy in (
            {"scale": 0.88, "ventricles_mm": -4.0, "borders": {"pial": -0.6}, "thalamus_mm": 1.0},
            {"scale": 0.95, "ventricles_mm": 16.0, "borders": {"pial": 1.0}, "thalamus_mm": -2.0},
        )
    )
    assert young["ventricles_volume_ml"] < 10 < 110 < old["ventricles_volume_ml"]
    assert young["csf_volume_ml"] < 0.18 * young["tiv_ml"]
    assert old["csf_volume_ml"] > 0.36 * old["tiv_ml"]
    assert old["thalamus_volume_ml"] < 11 < 13 < young["thalamus_volume_ml"]


@pytest.mark.parametrize(
    ("border", "inside", "outside"), [("pial", "gm", "csf"), ("white", "wm", "gm")]
)
def test_a_moved_border_exchanges_two_tissues_and_nothing_else(make, border, inside, outside):
    volumes = {
        moved: volumes_ml(make(0.0, borders={border: moved})[1], 0.008) for moved in (-0.4, 0, 0.4)
    }
    for moved in (-0.4, 0.4):
        change = {name: volumes[moved][name] - volumes[0][name] for name in volumes[0]}
        lost = -change.pop(f"{inside}_volume_ml")
        assert lost * moved > 0
        assert abs(lost) > 30
        assert change.pop(f"{outside}_volume_ml") == pytest.approx(lost, abs=0.5)
        change.pop("lesion_volume_ml")
        assert np.abs([*change.values()]).max() < 0.5


def test_more_lesions_contain_the_fewer(phantom, control):
    affine, field = control[3:]
    points = Displacement(field)(grid_points((96, 112, 96), affine)).reshape(3, -1)
    few, many = (
        lesion_fraction(np.random.default_rng(2), phantom, points, number) for number in (3, 9)
    )
    assert (many >= few).all()
    assert many.sum() > few.sum() > 0


def test_tissues_rise_from_csf_to_white_matter(control):
    t1w, truth, _, _, _ = control
    csf, gm, wm = (np.median(t1w[truth[tissue] > 250]) for tissue in ("csf", "gm", "wm"))
    assert csf < 0.6 * gm < gm < 0.75 * wm


def test_air_holds_rayleigh_noise_of_the_nominal_level(make):
    corners = make(0.0, snr=25)[0][:8, :8, -8:].astype(float)
    assert corners.mean() == pytest.approx(np.sqrt(np.pi / 2) * WHITE_MATTER / 25, rel=0.05)


def test_left_stays_left(make, phantom):
    ventricles = phantom.channels["ventricles"].copy()
    ventricles[: len(ventricles) // 2] = 0
    right_only = Phantom(phantom.channels | {"ventricles": ventricles}, phantom.affine)
    _, truth, _, affine, _ = make(0.0, source=right_only)
    x = grid_points(truth["ventricles"].shape, affine)[0]
    middle = np.average(x, weights=truth["wm"])
    assert np.average(x, weights=truth["ventricles"]) > middle + 8


def test_the_head_lies_inside_the_field_of_view(control):
    t1w = control[0]
    top_and_sides = (t1w[:, :, -1], t1w[0], t1w[-1], t1w[:, 0], t1w[:, -1])
    assert max(np.median(face) for face in top_and_sides) < 3 * WHITE_MATTER / 20
