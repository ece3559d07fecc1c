import numpy as np
from scipy.ndimage import distance_transform_edt

from workflow_scripts.demo.build_phantom import (
    crisp_tissues,
    depth_in,
    distance_from,
    head_tissues,
    inside_dura,
)
from workflow_scripts.demo.images import TISSUES


def test_distances_are_those_of_the_whole_grid():
    mask = np.zeros((30, 25, 20), dtype=bool)
    mask[8:15, 10:14, :9] = mask[12, 5:20, 4:15] = True
    np.testing.assert_array_equal(depth_in(mask), distance_transform_edt(mask))
    whole = distance_transform_edt(~mask)
    np.testing.assert_array_equal(distance_from(mask, 6.5), np.where(whole <= 6.5, whole, np.inf))


def test_crisp_tissues_choose_the_likeliest():
    gm = np.array([[[0.7, 0.3, 0.2, 0.7]]])
    wm = np.array([[[0.1, 0.6, 0.1, 0.1]]])
    dura = np.array([[[True, True, True, False]]])
    winner = crisp_tissues(gm, wm, dura, csf_weight=1.0)
    np.testing.assert_array_equal(winner[:, 0, 0].T, [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]])


def test_dura_is_the_mask_with_a_rim_and_without_grooves():
    mask = np.zeros((60, 60, 60), dtype=bool)
    mask[15:45, 15:45, 15:45] = True
    mask[29:31, 15:45, 40:45] = False
    dura = inside_dura(mask, closing=6, rim=1)
    assert dura[30, 30, 42]
    assert dura[20, 20, 45]
    assert not dura[20, 20, 46]
    assert (dura | ~mask).all()


def test_head_tissues_do_not_overlap():
    dura = np.zeros((80, 80, 80), dtype=bool)
    dura[20:60, 20:60, 20:60] = True
    affine = np.eye(4)
    affine[:3, 3] = -40
    parts = head_tissues(dura, affine)
    assert sum(part.astype(int) for part in (*parts, dura)).max() == 1
    assert all(part.any() for part in parts)


def test_phantom_is_symmetric_and_within_a_voxel(phantom):
    total = sum(phantom.channels[tissue].astype(int) for tissue in TISSUES)
    assert total.max() <= 255 + 4
    for channel in ("gm", "wm", "ventricles"):
        data = phantom.channels[channel].astype(int)
        assert np.abs(data - data[::-1]).mean() < 0.01 * data.mean() + 0.5


def test_ventricles_lie_deep_in_the_csf(phantom):
    ventricles = phantom.channels["ventricles"]
    voxels = np.argwhere(ventricles > 128) + phantom.affine[:3, 3]
    assert 10_000 < len(voxels) < 40_000
    assert (ventricles.astype(int) <= phantom.channels["csf"].astype(int) + 1).all()
    assert np.abs(voxels[:, 0]).max() < 45
