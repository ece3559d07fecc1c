import nibabel as nib
import numpy as np
import pytest
from dipy.reconst.dti import fractional_anisotropy
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.deformation import Displacement, save_displacement
from workflow_scripts.demo.images import Phantom, grid_points
from workflow_scripts.demo.tensors import (
    Gyri,
    alps_tensors,
    field_jacobian,
    reorient,
    template_tensors,
    tensor_phantom,
)

# doi-named centres of the regions in MNI mm (gbarisano/alps), spheres of 5 mm diameter.
ROIS = {
    ("projection", "left"): (-26, -16, 27),
    ("projection", "right"): (26, -16, 27),
    ("association", "left"): (-38, -16, 27),
    ("association", "right"): (38, -16, 27),
}
TRUTH = {"left": 1.62, "right": 1.31}


def alps(projection, association):
    """The index by its definition, from tensors (..., 3, 3) in MNI axes."""
    upper = projection[..., 0, 0].mean() + association[..., 0, 0].mean()
    return upper / (projection[..., 1, 1].mean() + association[..., 2, 2].mean())


@pytest.fixture(scope="module")
def brain_points():
    rng = np.random.default_rng(3)
    return rng.uniform((-65, -100, -50), (65, 70, 75), (4000, 3)).T


@pytest.mark.parametrize("margin", [0.0, 2.5])
def test_alps_of_the_planted_spheres_is_the_truth(margin):
    """In the spheres and as far around them as an interpolated voxel reaches."""
    tensors, mask, affine = tensor_phantom(TRUTH["left"], TRUTH["right"], spacing=1.0)
    points = grid_points(mask.shape, affine)
    mean = {}
    for roi, centre in ROIS.items():
        near = ((points - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) <= (2.5 + margin) ** 2
        assert mask[near].all()
        mean[roi] = tensors[near]
    for side, truth in TRUTH.items():
        found = alps(mean["projection", side], mean["association", side])
        assert found == pytest.approx(truth, rel=1e-12)


def test_planted_fibres_run_along_z_and_y_with_the_anisotropy_of_white_matter():
    for (fibre, _), centre in ROIS.items():
        tensor = template_tensors(np.reshape(centre, (3, 1)), 1.5, 1.5)[0]
        values, vectors = np.linalg.eigh(tensor)
        axis = {"projection": 2, "association": 1}[fibre]
        np.testing.assert_allclose(np.abs(vectors[:, -1]), np.eye(3)[axis], atol=1e-12)
        assert 0.5 < fractional_anisotropy(values[::-1]) < 0.7


def test_mean_diffusivity_does_not_depend_on_alps_nor_place(brain_points):
    for index in (1.0, 1.3, 2.0):
        trace = np.trace(template_tensors(brain_points, index, index), axis1=1, axis2=2)
        np.testing.assert_allclose(trace, 2.2e-3, rtol=1e-5)


def test_tensors_are_positive_and_mirrored(brain_points):
    tensors = template_tensors(brain_points, 1.4, 1.4)
    assert np.linalg.eigvalsh(tensors).min() > 0.3e-3
    mirror = np.diag([-1.0, 1.0, 1.0])
    mirrored = template_tensors(mirror @ brain_points, 1.4, 1.4)
    np.testing.assert_allclose(mirrored, mirror @ tensors @ mirror, atol=1e-12)


def test_callosum_crosses_the_midline_and_the_field_is_smooth():
    body = template_tensors(np.array([[0.0], [0.0], [25.0]]), 1.5, 1.5)[0]
    assert np.abs(np.linalg.eigh(body)[1][0, -1]) > 0.95
    line = np.stack([np.full(2001, v) for v in (0.0, -16.0, 27.0)])
    line[0] = np.linspace(-60, 60, 2001)
    step = np.abs(np.diff(template_tensors(line, 1.5, 1.5), axis=0)).max()
    assert step < 0.1e-3


def test_reorienting_by_a_rotation_turns_the_tensor():
    """The map p -> R p takes source to target, so in the source the tensor is R' D R."""
    rotation = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()
    tensor = alps_tensors(1.5)[0]
    found = reorient(tensor[None], rotation[None])[0]
    np.testing.assert_allclose(found, rotation.T @ tensor @ rotation, atol=1e-12)


def test_a_shear_carries_the_fibre_and_keeps_the_eigenvalues():
    carried = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.2]])
    tensor = alps_tensors(1.5)[0]
    found = reorient(tensor[None], np.linalg.inv(carried)[None])[0]
    values, vectors = np.linalg.eigh(found)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(tensor), rtol=1e-10)
    fibre = carried @ [0, 0, 1]
    np.testing.assert_allclose(np.abs(vectors[:, -1]), fibre / np.linalg.norm(fibre), atol=1e-9)
    np.testing.assert_allclose(np.abs(vectors[1, 0]), 1, atol=1e-9)


def test_growth_along_the_axes_turns_nothing():
    tensor = alps_tensors(1.5)[1]
    found = reorient(tensor[None], np.diag([0.8, 1.1, 1.3])[None])[0]
    np.testing.assert_allclose(found, tensor, atol=1e-15)


def test_jacobian_of_a_stored_linear_field_is_its_matrix(tmp_path):
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    matrix = np.array([[1.1, 0.2, 0], [0, 0.9, 0.1], [0.3, 0, 1.2]])
    points = grid_points((12, 12, 12), affine)
    displacement = np.einsum("ij,j...->i...", matrix - np.eye(3), points)
    save_displacement(displacement, affine, tmp_path / "xfm.nii.gz")
    field = Displacement(tmp_path / "xfm.nii.gz")
    inside = np.random.default_rng(1).uniform(5, 38, (3, 40)).astype("f4")
    found = field_jacobian(field, inside)
    np.testing.assert_allclose(found, np.broadcast_to(matrix, (40, 3, 3)), atol=0.004)


def test_fibres_of_a_gyrus_run_up_its_blade(white_head):
    """A blade thin in y that rises along z from a block of white matter below."""
    affine = white_head.affine
    white = np.zeros((121, 171, 151), dtype="u1")
    middle = nib.affines.apply_affine(np.linalg.inv(affine), (0, 0, 60)).astype(int)
    x, y, z = middle
    white[x - 30 : x + 30, y - 30 : y + 30, z - 30 : z] = 255
    white[x - 30 : x + 30, y - 3 : y + 3, z : z + 20] = 255
    head = Phantom({"wm": white}, affine)
    side = np.array([[0.0, -2.0, 68.0], [3.0, 1.0, 70.0], [0.0, 2.0, 66.0]]).T
    direction, weight = Gyri(head)(side)
    assert np.abs(direction[:, 2]).min() > 0.95
    assert weight.min() > 0.2
    assert Gyri(head)(np.array([[0.0], [-18.0], [10.0]]))[1] == 0
