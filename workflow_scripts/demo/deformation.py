"""Random deformations of the phantom, as displacement fields on a coarse native grid."""

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.images import PUSH_AT_WALL, framed, grid_points

SPACING_MM = 4.0
PUSH_STEP_MM, LARGEST_STEP_MM, GENTLE_SLOPE_MM = 2.0, 0.5, 50.0
LPS = np.array([-1.0, -1.0, 1.0], dtype="f4")


def coarse_grid(shape, affine):
    """Shape and affine of a grid of `SPACING_MM` that covers the image grid given."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    coarse = affine.copy()
    coarse[:3, :3] *= SPACING_MM / spacing
    return tuple(int(n) for n in np.ceil((np.array(shape) - 1) * spacing / SPACING_MM) + 1), coarse


def rigid(rng, degrees, millimetres):
    """Random rotation about the origin and shift, normal with the standard deviations given.

    Returns
    -------
    (4, 4) array
    """
    matrix = np.eye(4)
    angles = rng.normal(0, degrees, 3)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = rng.normal(0, millimetres, 3)
    return matrix


def smooth_displacement(rng, shape, sigma_mm, amplitude_mm):
    """Gaussian random field of displacements on a coarse grid.

    Returns
    -------
    (3, *shape) float32 array in mm, of standard deviation ``amplitude_mm`` and correlation
    length ``sigma_mm``.
    """
    noise = rng.standard_normal((3, *shape))
    sigma = sigma_mm / SPACING_MM
    smooth = np.stack([gaussian_filter(one, sigma, mode="wrap") for one in noise])
    return (amplitude_mm * smooth / smooth.std()).astype("f4")


def pushed(phantom, points, channel, amplitude_mm):
    """Where the points of a head lie in the phantom, one of whose structures has other walls there.

    The points follow the slope of ``channel`` (see `build_phantom.push_of`), at the amplitude's
    speed at the wall and at less with the square of the channel beyond, for a unit of time and
    in steps of `LARGEST_STEP_MM`, so that nothing folds. Sampling the phantom where they end
    makes the structure wider and presses the tissue around it together, most of all next to
    it. A negative amplitude makes it narrower.

    Parameters
    ----------
    points : (3, ...) array, MNI mm

    Returns
    -------
    array of the shape of ``points``
    """
    steps = int(np.ceil(abs(amplitude_mm) / LARGEST_STEP_MM))
    for _ in range(steps):
        gradient = np.empty_like(points)
        for axis in range(3):
            ahead, behind = points.copy(), points.copy()
            ahead[axis] += PUSH_STEP_MM
            behind[axis] -= PUSH_STEP_MM
            gradient[axis] = phantom.sample(channel, ahead) - phantom.sample(channel, behind)
        length = np.sqrt((gradient**2).sum(axis=0))
        direction = gradient / np.maximum(length, 2 * PUSH_STEP_MM / GENTLE_SLOPE_MM)
        speed = np.minimum(phantom.sample(channel, points) / PUSH_AT_WALL, 1) ** 2
        points = points + amplitude_mm / steps * speed * direction
    return points


def jacobian_determinant(displacement):
    """Determinant of the Jacobian of x + u(x), u of shape (3, x, y, z) on a coarse RAS grid."""
    gradient = np.stack(
        [np.stack(np.gradient(one, SPACING_MM)) for one in displacement]
    )  # component, axis, x, y, z
    matrix = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
    return np.linalg.det(matrix)


def save_displacement(displacement, affine, path):
    """Write a field (3, x, y, z) of RAS mm as ITK wants it: 5D, vectors in LPS, 0.01 mm steps."""
    vectors = np.round(np.moveaxis(displacement, 0, -1) * LPS, 2)
    image = framed(vectors[:, :, :, None, :].astype("f4"), affine)
    image.header.set_intent("vector")
    nib.save(image, path)


class Displacement:
    """A displacement field read from a file, applied to points.

    ``field(points)`` takes and gives points of shape (3, ...) in RAS mm; between the field's
    grid points it is linear, as in ITK.
    """

    def __init__(self, path):
        image = nib.load(path)
        self.affine = image.affine
        vectors = image.get_fdata(dtype="f4")[:, :, :, 0, :] * LPS
        self.vectors = np.moveaxis(vectors, -1, 0)

    def __call__(self, points):
        voxels = np.tensordot(np.linalg.inv(self.affine[:3, :3]).astype("f4"), points, axes=1)
        offset = np.linalg.solve(self.affine[:3, :3], self.affine[:3, 3])
        voxels -= offset.astype("f4").reshape(-1, *[1] * (points.ndim - 1))
        return np.stack(
            [
                p + map_coordinates(v, voxels, output="f4", order=1, mode="nearest")
                for p, v in zip(points, self.vectors, strict=True)
            ]
        )


def native_to_template(rng, phantom, shape, affine, scale, head_centre, widening_mm):
    """Displacement field from the native grid to the phantom.

    A point of the scanner is moved by pose and size of the head, then by two random smooth
    fields, then with the walls of the structures that are wider or narrower than the phantom's.

    Parameters
    ----------
    rng : numpy Generator
    phantom : Phantom
    shape, affine : the native image grid
    scale : size of the head relative to the template
    head_centre : (3,) MNI mm of the point that lies at the scanner's origin before the shift
    widening_mm : dict from channel to mm, see `pushed`

    Returns
    -------
    displacement : (3, x, y, z) float32 array on the coarse grid, RAS mm
    coarse : (4, 4) affine of that grid
    """
    coarse_shape, coarse = coarse_grid(shape, affine)
    native = grid_points(coarse_shape, coarse)
    pose = rigid(rng, 2.5, 2.0)
    size = scale * np.exp(rng.normal(0, 0.02, 3))
    centred = np.einsum("ij,j...->i...", pose[:3, :3].T, native - pose[:3, 3].reshape(3, 1, 1, 1))
    points = centred / size.reshape(3, 1, 1, 1) + np.reshape(head_centre, (3, 1, 1, 1))
    for sigma, amplitude in ((24.0, 2.0), (12.0, 0.8)):
        points = points + smooth_displacement(rng, coarse_shape, sigma, amplitude)
    for channel, amplitude in widening_mm.items():
        points = pushed(phantom, points, channel, amplitude)
    return (points - native).astype("f4"), coarse
