import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.diffusion.small_head import SHAPE, ZOOM, ZOOMS, turn
from workflow_scripts.common.gradients import Gradients
from workflow_scripts.common.job import InputError
from workflow_scripts.diffusion import susceptibility
from workflow_scripts.diffusion.series import (
    PhaseEncoding,
    Series,
    read_phase_encoding,
    read_reverse_b0,
    read_series,
)
from workflow_scripts.diffusion.susceptibility import (
    find_displacement,
    from_reverse_phase,
    from_t1w,
    stretch,
    undistort,
)

AXIS = 1
SETTINGS = {"reverse_phase": "pyhysco", "t1w_distortion": True}


def distorted(data, shift):
    """Image of ``data`` in which what lies at y is seen at y + shift, the signal piled up."""
    y = np.arange(SHAPE[AXIS])
    origin = np.empty(SHAPE)
    for i, k in np.ndindex(SHAPE[0], SHAPE[2]):
        origin[i, :, k] = np.interp(y, y + shift[i, :, k], y) - y
    return undistort(data, origin, AXIS)


@pytest.fixture(scope="module")
def shift():
    """Smooth displacement of up to 2 voxels, both ways, in voxels."""
    noise = np.random.default_rng(2).standard_normal(SHAPE)
    smooth = gaussian_filter(noise, 7)
    return 2 * smooth / abs(smooth).max()


@pytest.fixture(scope="module")
def pair(head, shift):
    return [distorted(head.b0, sign * shift).astype("f4") for sign in (1, -1)]


def test_reverse_phase_finds_sign_and_size_of_the_displacement(head, shift, pair):
    found = from_reverse_phase(*pair, ZOOMS, AXIS, "pyhysco")
    inner = head.inner
    assert np.corrcoef(found[inner], shift[inner])[0, 1] > 0.9
    assert np.abs(found - shift)[inner].mean() < 0.3 * np.abs(shift)[inner].mean()
    restored = undistort(pair[0], found, AXIS)
    before, after = (np.abs(d - head.b0)[inner].mean() for d in (pair[0], restored))
    assert after < 0.4 * before


def test_reverse_phase_image_of_a_moved_head(head, shift, pair):
    # moved across the phase axis: along it, motion and displacement cannot be told apart
    moved = head.seen(0, np.zeros(3), turn((0, 4, 0), (3, 0, 2)))
    reverse = distorted(moved, -shift).astype("f4")
    data, table = pair[0][..., None], Gradients(np.zeros(1), np.zeros((3, 1)))
    image = nib.Nifti1Image(data, np.diag([ZOOM, ZOOM, ZOOM, 1]))
    first = Series("a_dwi.nii.gz", image, data, table, PhaseEncoding(1, -1))
    other = replace(first, path="b_dwi.nii.gz", data=reverse[..., None])
    other = replace(other, phase_encoding=PhaseEncoding(1, 1))
    found, how, _ = find_displacement([first, other], [], [], SETTINGS, head.mask)
    assert how == "pyhysco, with b_dwi.nii.gz"
    naive = from_reverse_phase(pair[0], reverse, ZOOMS, AXIS, "pyhysco")
    inner = head.inner
    assert np.abs(found - shift)[inner].mean() < 0.7 * np.abs(naive - shift)[inner].mean()


def test_t1w_reduces_the_displacement_error(head, shift, pair):
    t1w = head.mask * (1000 - 0.7 * head.b0)
    found = from_t1w(pair[0], t1w, head.mask, ZOOMS, AXIS)
    inner = head.inner
    assert np.abs(found - shift)[inner].mean() < 0.6 * np.abs(shift)[inner].mean()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_undistort_restores_a_constant_stretch(axis):
    line = np.arange(40.0)
    size = [40 if a == axis else 3 for a in range(3)]
    along = np.reshape(line, [40 if a == axis else 1 for a in range(3)])
    shift = np.broadcast_to(0.1 * along, size)  # y is seen at 1.1 y, thinned by 1.1
    seen = np.broadcast_to(np.cos(along / 1.1 / 6) + 2, size) / 1.1
    found = np.moveaxis(undistort(seen, shift, axis), axis, 0)[:34]
    expected = np.cos(line / 6)[:34, None, None] + 2
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=5e-3)
    np.testing.assert_allclose(stretch(shift, axis), 1.1)


def test_no_negative_signal_where_the_displacement_folds():
    shift = np.broadcast_to(-2.0 * np.arange(10)[None, :, None], (3, 10, 3))
    assert stretch(shift, 1).max() == 0


@pytest.fixture
def series(head):
    return head.series([0.0], np.zeros((3, 1)), [np.eye(4)])


@pytest.fixture
def ways(monkeypatch):
    """The methods replaced by ones that give their name in place of a displacement."""
    monkeypatch.setattr(susceptibility, "from_reverse_phase", lambda *a: f"reverse {a[-1]}")
    monkeypatch.setattr(susceptibility, "_follow_head", lambda *a: (a[1], 0.1))
    monkeypatch.setattr(susceptibility, "t1w_on_grid", lambda *a: None)
    monkeypatch.setattr(susceptibility, "from_t1w", lambda *a: "t1w")
    monkeypatch.setattr(
        susceptibility, "read_reverse_b0", lambda epi, like: (epi[0] if epi else None, [])
    )


EPI = [("fmap/sub-01_dir-PA_epi.nii.gz", np.ones(SHAPE))]
T1W = ["t1w.nii.gz", "mask.nii.gz"]


@pytest.mark.parametrize(
    ("epi", "t1w", "settings", "phase", "expected"),
    [
        (EPI, T1W, {}, (1, -1), ("reverse pyhysco", "pyhysco, with sub-01_dir-PA_epi.nii.gz")),
        (
            EPI,
            [],
            {"reverse_phase": "fsl_topup"},
            (1, -1),
            ("reverse fsl_topup", "fsl_topup, with"),
        ),
        (EPI, T1W, {"reverse_phase": "none"}, (1, -1), ("t1w", "SyN to the T1w")),
        ([], T1W, {}, (1, None), ("t1w", "SyN to the T1w")),
        ([], T1W, {"t1w_distortion": False}, (1, -1), (None, "none: switched off")),
        ([], [], {}, (1, -1), (None, "none: neither an image of reverse phase encoding nor a T1w")),
        ([], T1W, {}, (None, None), (None, "none: the phase-encoding direction is not known")),
    ],
)
def test_choice_of_the_method(ways, series, head, epi, t1w, settings, phase, expected):
    series = replace(series, phase_encoding=PhaseEncoding(*phase))
    shift, how, _ = find_displacement([series], epi, t1w, SETTINGS | settings, head.mask)
    assert shift == expected[0]
    assert how.startswith(expected[1])


def test_reverse_image_of_another_gain_is_brought_to_the_scale_of_the_series(
    ways, monkeypatch, series, head
):
    monkeypatch.setattr(susceptibility, "from_reverse_phase", lambda forward, reverse, *_: reverse)
    series = replace(series, phase_encoding=PhaseEncoding(1, -1))
    epi = [("sub-01_dir-PA_epi.nii.gz", 3 * series.b0)]
    found, _, _ = find_displacement([series], epi, [], SETTINGS, head.mask)
    np.testing.assert_allclose(found, series.b0, rtol=1e-5)


def test_a_second_series_of_reverse_phase_comes_before_an_epi(ways, series, head):
    other = replace(series, path="dwi/sub-01_dir-PA_dwi.nii.gz", phase_encoding=PhaseEncoding(1, 1))
    _, how, _ = find_displacement([series, other], EPI, T1W, SETTINGS, head.mask)
    assert how == "pyhysco, with sub-01_dir-PA_dwi.nii.gz"


def saved(folder, name, shape=(30, 32, 30), affine=None, **metadata):
    data = np.random.default_rng(0).integers(1, 500, shape).astype("i2")
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    affine = np.diag([4.0, 4, 4, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(data, affine), path)
    path.with_name(name.split("/")[-1].replace(".nii.gz", ".json")).write_text(json.dumps(metadata))
    return str(path)


@pytest.fixture
def bids(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return tmp_path / "sub-01"


@pytest.mark.parametrize(
    ("name", "metadata", "expected"),
    [
        ("dwi/sub-01_dwi.nii.gz", {"PhaseEncodingDirection": "j-"}, (1, -1)),
        ("dwi/sub-01_dwi.nii.gz", {"PhaseEncodingDirection": "i"}, (0, 1)),
        ("dwi/sub-01_dwi.nii.gz", {"PhaseEncodingAxis": "j"}, (1, None)),
        ("dwi/sub-01_dir-AP_dwi.nii.gz", {}, (1, -1)),
        ("dwi/sub-01_dir-PA_dwi.nii.gz", {}, (1, 1)),
        ("dwi/sub-01_dwi.nii.gz", {}, (None, None)),
    ],
)
def test_phase_encoding_from_metadata_or_name(bids, name, metadata, expected):
    assert read_phase_encoding(saved(bids, name, **metadata)) == PhaseEncoding(*expected)


UNWEIGHTED = {"data": None, "gradients": SimpleNamespace(bvals=np.zeros(1))}


def test_reverse_b0_is_the_one_meant_for_the_series(bids):
    like = SimpleNamespace(
        path=str(bids / "dwi/sub-01_dir-AP_dwi.nii.gz"),
        image=nib.load(saved(bids, "dwi/sub-01_dir-AP_dwi.nii.gz")),
        phase_encoding=PhaseEncoding(1, -1),
        **UNWEIGHTED,
    )
    same = saved(bids, "fmap/sub-01_dir-AP_epi.nii.gz")
    bold = saved(bids, "fmap/sub-01_acq-b_dir-PA_epi.nii.gz", IntendedFor="func/sub-01_bold.nii.gz")
    meant = {"IntendedFor": ["bids::sub-01/dwi/sub-01_dir-AP_dwi.nii.gz"]}
    right = saved(bids, "fmap/sub-01_acq-d_dir-PA_epi.nii.gz", (30, 32, 30, 2), **meant)
    assert read_reverse_b0([same, bold], like) == (None, [])
    (path, b0), _ = read_reverse_b0([same, bold, right], like)
    assert path == right and b0.shape == (30, 32, 30)
    np.testing.assert_allclose(b0, nib.load(right).get_fdata().mean(axis=3))
    Path(right.replace(".nii.gz", ".bval")).write_text("1000 0")
    (_, b0), _ = read_reverse_b0([right], like)
    np.testing.assert_allclose(b0, nib.load(right).get_fdata()[..., 1])


def test_reverse_b0_on_another_grid(bids, caplog):
    image = nib.load(saved(bids, "dwi/sub-01_dir-AP_dwi.nii.gz"))
    phase = PhaseEncoding(1, -1)
    like = SimpleNamespace(path="x_dwi.nii.gz", image=image, phase_encoding=phase, **UNWEIGHTED)
    other = saved(bids, "fmap/sub-01_acq-b_dir-PA_epi.nii.gz", (30, 32, 28))
    assert find_displacement([like], [other], [], SETTINGS, None) == (
        None,
        "none: neither an image of reverse phase encoding nor a T1w",
        [f"{Path(other).name} is passed over: its grid differs from that of x_dwi.nii.gz"],
    )
    assert "acq-b_dir-PA_epi.nii.gz is passed over" in caplog.text
    same = saved(bids, "fmap/sub-01_acq-d_dir-PA_epi.nii.gz")
    found, passed_over = read_reverse_b0([other, same], like)
    assert found[0] == same and len(passed_over) == 1


def table(path, bvals):
    stem = path.removesuffix(".nii.gz")
    directions = np.random.default_rng(0).standard_normal((3, len(bvals)))
    directions /= np.linalg.norm(directions, axis=0)
    np.savetxt(f"{stem}.bval", [bvals])
    np.savetxt(f"{stem}.bvec", directions * (np.array(bvals) > 0))
    return path


def test_series_of_b0_alone_comes_last(bids):
    names = ("dwi/sub-01_dir-PA_dwi.nii.gz", "dwi/sub-01_dir-AP_dwi.nii.gz")
    b0 = table(saved(bids, names[0], (30, 32, 30, 2)), [0, 0])
    weighted = table(saved(bids, names[1], (30, 32, 30, 8)), [0, *[1000] * 7])
    found = read_series([b0, weighted])
    assert [one.path for one in found] == [weighted, b0]
    assert found[1].phase_encoding.opposite(found[0].phase_encoding)
    with pytest.raises(InputError, match=r"dir-PA_dwi.nii.gz: no diffusion-weighted volume"):
        read_series([b0])


def test_series_on_two_grids(bids):
    one = table(saved(bids, "dwi/sub-01_dir-AP_dwi.nii.gz", (30, 32, 30, 8)), [0, *[1000] * 7])
    away = np.diag([4.0, 4, 4, 1])
    away[0, 3] = 3
    two = saved(bids, "dwi/sub-01_dir-PA_dwi.nii.gz", (30, 32, 30, 2), away)
    with pytest.raises(InputError, match=r"dir-PA_dwi.nii.gz: grid differs .* choose one of them"):
        read_series([one, table(two, [0, 0])])
