import numpy as np
import pytest
from dipy.reconst.dti import from_lower_triangular
from scipy.spatial.transform import Rotation

from tests.diffusion.small_head import SmallHead, directions
from workflow_scripts.common.gradients import Gradients
from workflow_scripts.common.job import InputError
from workflow_scripts.diffusion.fit_tensor import (
    bootstrap_tensors,
    fit,
    outlier_slices,
    shell_volumes,
    tensor_maps,
)
from workflow_scripts.diffusion.gradient_check import coherence, tables

BVALS = np.array([0.0, 0, *[1000] * 20])
VECTORS = np.concatenate([np.zeros((3, 2)), directions(20)], axis=1)


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    axes = Rotation.random(60, random_state=0).as_matrix()
    values = rng.uniform(0.2e-3, 2e-3, (60, 3))
    return np.einsum("nij,nj,nkj->nik", axes, values, axes)


def signal(tensors, bvals, vectors, s0=800.0):
    return s0 * np.exp(-bvals * np.einsum("nij,iv,jv->nv", tensors, vectors, vectors))


def test_noise_free_tensors_are_exact(tensors):
    mask = np.zeros((4, 5, 6), bool)
    mask[:, :, 2:5] = True
    dwi = np.zeros((*mask.shape, len(BVALS)))
    dwi[mask] = signal(tensors, BVALS, VECTORS)
    values, axes, predicted = fit(dwi, mask, BVALS, VECTORS)
    found = np.einsum("nij,nj,nkj->nik", axes, values, axes)
    np.testing.assert_allclose(found, tensors, atol=1e-9)
    assert (np.diff(values, axis=1) <= 0).all()
    np.testing.assert_allclose(predicted, dwi[mask], rtol=1e-5)


def test_bootstrap_of_a_signal_without_noise_is_the_tensor(tensors):
    clean = signal(tensors, BVALS, VECTORS)
    found = list(bootstrap_tensors(clean, BVALS, VECTORS, samples=3))
    assert len(found) == 3
    for sample in found:
        np.testing.assert_allclose(from_lower_triangular(sample), 1000 * tensors, atol=1e-5)


def test_bootstrap_spreads_as_the_noise_does_on_every_run(tensors):
    clean = signal(tensors, BVALS, VECTORS)
    noisy = clean + np.random.default_rng(0).normal(0, 20, clean.shape)
    found, again = (np.array(list(bootstrap_tensors(noisy, BVALS, VECTORS, 50))) for _ in "12")
    np.testing.assert_array_equal(found, again)
    fits = []
    for seed in range(50):
        other = clean + np.random.default_rng(seed).normal(0, 20, clean.shape)
        values, axes, _ = fit(other, np.ones(60, bool), BVALS, VECTORS)
        fits.append(tensor_maps(values.clip(0), axes)["tensor"])
    truth = np.std(fits, axis=0).mean(axis=0)
    np.testing.assert_allclose(found.std(axis=0).mean(axis=0), truth, rtol=0.1)


def test_shell_nearest_1000_and_all_b0():
    bvals = np.repeat([0.0, 5, 700, 1010, 3000], [1, 1, 8, 6, 30])
    used, shell = shell_volumes(Gradients(bvals, np.zeros((3, 46))), 1000)
    assert shell == 1010
    assert np.unique(bvals[used]).tolist() == [0, 5, 1010]
    assert shell_volumes(Gradients(bvals, np.zeros((3, 46))), 3000)[1] == 3000


def test_other_shells_do_not_change_the_tensor(tensors):
    # with kurtosis, b = 2000 would: the signal there is higher than that of a tensor
    bvals = np.concatenate([BVALS, np.full(20, 2000.0)])
    vectors = np.concatenate([VECTORS, directions(20)], axis=1)
    kurtosis = np.exp((bvals * 0.4e-3) ** 2)[None] * signal(tensors, bvals, vectors)
    used, _ = shell_volumes(Gradients(bvals, vectors), 1000)
    alone = fit(kurtosis[:, None, None, :22], np.ones((60, 1, 1), bool), BVALS, VECTORS)[0]
    mask = np.ones((60, 1, 1), bool)
    chosen = fit(kurtosis[:, None, None, used], mask, bvals[used], vectors[:, used])[0]
    np.testing.assert_allclose(chosen, alone, rtol=1e-9)
    mixed = fit(kurtosis[:, None, None], mask, bvals, vectors)[0]
    assert np.abs(mixed - alone).mean() > 0.02 * alone.mean()


def test_no_usable_shell():
    with pytest.raises(InputError, match="no shell has 6 directions"):
        shell_volumes(Gradients(np.array([0.0, *[1000] * 5]), np.zeros((3, 6))), 1000)


@pytest.fixture(scope="module")
def noisy(head):
    """Series of SNR 25 at b = 0, (x, y, z, volumes)."""
    return head.series(BVALS, VECTORS, [np.eye(4)] * len(BVALS), noise=20.0).data


def outliers(data, head, used=slice(None)):
    bvals, vectors = BVALS[used], VECTORS[:, used]
    data = data[head.mask][:, used]
    predicted = fit(data, np.ones(len(data), bool), bvals, vectors)[2]
    b0 = data[:, bvals == 0].mean(axis=1, keepdims=True)
    residual = np.clip((data - predicted) / b0, -1, 1)
    return outlier_slices(residual, np.clip(predicted / b0, 0, 1), head.mask, bvals, vectors)


@pytest.mark.parametrize("kept", [0.6, 0.85])
def test_lost_slices_are_found_and_no_others(noisy, head, kept):
    data, lost = noisy.copy(), {(7, 15), (13, 15), (7, 20), (4, 28)}
    for volume, level in lost:
        data[:, :, level, volume] *= kept
    found = outliers(data, head)
    assert set(zip(found["volume"], found["slice"], strict=True)) == lost
    assert (found["deviation"] < -6).all()


def test_lost_slice_of_a_short_series(noisy, head):
    data = noisy.copy()
    data[:, :, 18, 5] *= 0.6
    found = outliers(data, head, np.r_[0, 2:22:2, 5])
    assert found[["volume", "slice"]].to_numpy().tolist() == [[11, 18]]


def test_clean_series_has_no_outlier_slices(noisy, head):
    assert len(outliers(noisy, head)) == 0


def test_slices_with_few_voxels_are_not_judged(noisy, head):
    data = noisy.copy()
    lowest = np.nonzero(head.mask)[2].min()
    assert head.mask[:, :, lowest].sum() > 50
    few = SmallHead()
    few.mask[4:, :, lowest] = few.mask[:, :20, lowest] = False
    few.mask[20:22, 20:24, lowest] = True
    data[:, :, lowest, 7] *= 0.3
    assert len(outliers(data, few)) == 0


def test_the_24_tables_are_all_different():
    matrices = list(tables().values())
    assert len(matrices) == 24
    assert next(iter(tables())) == "as given"
    np.testing.assert_array_equal(matrices[0], np.eye(3))
    for matrix in matrices:
        assert round(np.linalg.det(matrix)) == 1
        np.testing.assert_array_equal(matrix @ matrix.T, np.eye(3))
    probe = {tuple(np.round(np.outer(v, v).ravel(), 6)) for v in (m @ [1, 2, 3] for m in matrices)}
    assert len(probe) == 24
    np.testing.assert_array_equal(tables()["x, -z, y"] @ [1, 2, 3], [1, -3, 2])


def test_coherence_of_a_straight_bundle():
    fibres = np.zeros((20, 20, 20, 3))
    fibres[8:12, 5:15, 8:12, 1] = 1
    # of ten voxels, the two at either end point out of the bundle
    assert coherence(fibres, np.ones(3)) == pytest.approx(0.8)
    # two voxels of the mean size, 1.5 mm, are one voxel of 3 mm
    assert coherence(fibres, np.array([0.75, 3.0, 0.75])) == pytest.approx(0.9)
    across = fibres[..., [1, 0, 2]]
    assert coherence(across, np.ones(3)) == pytest.approx(0.5)
    assert np.isnan(coherence(np.zeros((8, 8, 8, 3)), np.ones(3)))
