"""A small head of closed form on a coarse grid, for tests of motion, distortion and tensors."""

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.common.gradients import from_voxel_axes
from workflow_scripts.diffusion.series import PhaseEncoding, Series

SHAPE = (44, 52, 36)
ZOOM = 3.0
ZOOMS = np.array([ZOOM] * 3)
CENTRE = ZOOM * (np.array(SHAPE) - 1) / 2
RADII = np.array([48.0, 60.0, 40.0])


def directions(count):
    """Unit vectors (3, count), spread over the sphere in a spiral."""
    rank = np.arange(count) + 0.5
    z, angle = 1 - 2 * rank / count, np.pi * (1 + 5**0.5) * rank
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z])


def grid():
    """Points (3, n) of the grid in mm."""
    return np.indices(SHAPE).reshape(3, -1) * ZOOM


def turn(angles, shift=(0, 0, 0)):
    """Rigid motion (4, 4) about the centre of the grid, angles in degrees."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    matrix[:3, 3] = CENTRE - matrix[:3, :3] @ CENTRE + shift
    return matrix


def eddy(axis, slopes, shift):
    """Shift along one axis that is linear in space, as a matrix (4, 4) about the centre."""
    matrix = np.eye(4)
    matrix[axis, :3] += slopes
    matrix[axis, 3] = shift - np.dot(slopes, CENTRE)
    return matrix


class SmallHead:
    """Ellipsoid of fibres, fluid-filled caves and something between; all in grid mm."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        points = grid()
        radius = np.sqrt((((points - CENTRE[:, None]) / RADII[:, None]) ** 2).sum(axis=0))
        edge = np.clip((1.02 - radius) / 0.06, 0, 1)
        texture = gaussian_filter(rng.standard_normal(SHAPE), 1.8).ravel()
        texture /= texture.std()
        fluid = np.clip((texture - 0.9) / 0.4, 0, 1)
        white = np.clip((0.4 - texture) / 0.4, 0, 1)
        self.b0 = (edge * (550 + 600 * fluid - 100 * white)).reshape(SHAPE)
        parts = [gaussian_filter(rng.standard_normal(SHAPE), 4).ravel() for _ in range(3)]
        fibre = np.stack(parts, axis=-1)
        fibre /= np.linalg.norm(fibre, axis=-1, keepdims=True)
        outer = (white[:, None, None] * fibre[:, :, None] * fibre[:, None, :]).reshape(*SHAPE, 3, 3)
        smooth = gaussian_filter(outer, (1.2, 1.2, 1.2, 0, 0))
        isotropic = (0.8e-3 + 2.0e-3 * fluid - 0.4e-3 * white).reshape(SHAPE)
        self.tensors = isotropic[..., None, None] * np.eye(3) + 0.9e-3 * smooth
        self.mask = (radius < 1).reshape(SHAPE)
        self.inner = (radius < 0.75).reshape(SHAPE)

    def seen(self, bval, direction, matrix):
        """Volume (x, y, z) after ``matrix``, a motion of the head and an eddy distortion."""
        attenuation = np.exp(-bval * np.einsum("...ij,i,j", self.tensors, direction, direction))
        origin = np.linalg.inv(matrix)
        points = origin[:3, :3] @ grid() + origin[:3, 3:]
        signal = map_coordinates(self.b0 * attenuation, points / ZOOM, order=3)
        return (signal / np.linalg.det(matrix[:3, :3])).clip(0).reshape(SHAPE)

    def series(self, bvals, vectors, rigid, eddies=None, affine=None, phase=(1, -1), noise=0.0):
        """Series of the head; the gradients (3, n) are fixed to the grid, under which it turns."""
        eddies = [np.eye(4)] * len(bvals) if eddies is None else eddies
        affine = np.diag([ZOOM, ZOOM, ZOOM, 1.0]) if affine is None else affine
        volumes = [
            self.seen(bval, motion[:3, :3].T @ vector, current @ motion)
            for bval, vector, motion, current in zip(bvals, vectors.T, rigid, eddies, strict=True)
        ]
        data = np.stack(volumes, axis=-1).astype(np.float32)
        rng = np.random.default_rng(1)
        real, imaginary = noise * rng.standard_normal((2, *data.shape), dtype="f4")
        data = np.hypot(data + real, imaginary).astype(np.float32)
        image = nib.Nifti1Image(data, affine)
        table = from_voxel_axes(np.asarray(bvals, float), vectors, affine)
        return Series("sub-01_dwi.nii.gz", image, data, table, PhaseEncoding(*phase))
