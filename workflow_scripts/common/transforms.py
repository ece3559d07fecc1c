"""Points and directions through ITK's spatial transforms, without ITK.

A transform ``from-A_to-B_mode-image`` moves images from A to B, and so points
from B to A. Points here are RAS mm; the files hold LPS.
"""

import nibabel as nib
import numpy as np
from scipy.io import loadmat, savemat
from scipy.ndimage import affine_transform, map_coordinates

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_itk_matrix(path) -> np.ndarray:
    """Matrix (4, 4) of a linear ITK transform (``.mat``), in the coordinates of the file."""
    content = loadmat(path)
    centre = content.pop("fixed").ravel()
    parameters = next(v for k, v in content.items() if "Transform" in k).ravel()
    matrix = np.eye(4)
    matrix[:3, :3] = parameters[:9].reshape(3, 3)
    matrix[:3, 3] = parameters[9:] + centre - matrix[:3, :3] @ centre
    return matrix


def write_itk_matrix(matrix: np.ndarray, path) -> None:
    """Write a matrix (4, 4), in the file's coordinates, as a linear ITK transform (``.mat``)."""
    parameters = np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]])[:, None]
    content = {"AffineTransform_double_3_3": parameters, "fixed": np.zeros((3, 1))}
    savemat(path, content, format="4")


def linear(path) -> np.ndarray:
    """Matrix (4, 4) of a linear ITK transform file, in RAS mm."""
    return LPS @ read_itk_matrix(path) @ LPS


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a (4, 4) matrix to points of shape (..., 3)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def sample(data: np.ndarray, affine: np.ndarray, points: np.ndarray, order=1) -> np.ndarray:
    """Values of ``data`` (x, y, z) at ``points`` (..., 3) in mm; 0 outside the grid."""
    voxels = move(np.linalg.inv(affine), points)
    return map_coordinates(data, np.moveaxis(voxels, -1, 0), order=order)


def resample(data: np.ndarray, affine: np.ndarray, like) -> np.ndarray:
    """Values of ``data`` (x, y, z) on the grid of the image ``like``.

    Trilinear; beyond the outermost voxels their values go on.
    """
    matrix = np.linalg.inv(affine) @ like.affine
    return affine_transform(data, matrix, output_shape=like.shape[:3], order=1, mode="nearest")


class PointTransform:
    """Several ITK transforms in a row, as a function of points.

    Parameters
    ----------
    paths : list of files
        In the order in which points go through them: linear transforms
        (``.mat``) and displacement fields (``.nii.gz``). This is the order of
        ``ants.apply_transforms``.
    """

    def __init__(self, paths: list[str]):
        self.steps = [linear(path) if str(path).endswith(".mat") else _warp(path) for path in paths]

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Points of shape (..., 3), RAS mm in the reference space, taken to the moving space."""
        for step in self.steps:
            points = move(step, points) if isinstance(step, np.ndarray) else step(points)
        return points

    def jacobian(self, points: np.ndarray, step_mm: float = 1.0) -> np.ndarray:
        """Jacobian at ``points`` (..., 3) by central differences.

        Returns
        -------
        (..., 3, 3); the column j is the derivative along axis j of the reference space.
        """
        columns = [
            (self(points + shift) - self(points - shift)) / (2 * step_mm)
            for shift in step_mm * np.eye(3)
        ]
        return np.stack(columns, axis=-1)

    def rigid_rotation(self) -> np.ndarray:
        """Rotation (3, 3) of the linear transforms together, without the warps."""
        matrix = np.eye(3)
        for step in self.steps:
            if isinstance(step, np.ndarray):
                matrix = step[:3, :3] @ matrix
        return nearest_rotation(matrix)


def nearest_rotation(matrices: np.ndarray) -> np.ndarray:
    """Rotation nearest to each matrix (..., 3, 3): the orthogonal factor of its polar form."""
    u, _, vt = np.linalg.svd(matrices)
    return u @ vt


def _warp(path):
    image = nib.load(path)
    vectors = np.asanyarray(image.dataobj)[:, :, :, 0, :] * np.array([-1, -1, 1], np.float32)

    def displace(points):
        moved = [sample(vectors[..., axis], image.affine, points) for axis in range(3)]
        return points + np.stack(moved, axis=-1)

    return displace
