"""Gradient table and distortions of a simulated echo-planar diffusion series.

Scanner coordinates are RAS mm, and gradient directions are fixed to them. The phase-encoding
axis is y, the second axis of the image.
"""

import numpy as np
from dipy.core.sphere import HemiSphere, disperse_charges
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from workflow_scripts.demo.deformation import rigid
from workflow_scripts.demo.echo_planar import READOUT_S

B_VALUE = 1000.0
DIRECTIONS_PER_B0 = 8
POLARITY = {"j": 1.0, "j-": -1.0}
MOTION_DEGREES, MOTION_MM = 0.5, 0.4
EDDY_SLOPE, EDDY_SHIFT_MM = 0.005, 0.5
SINUS_MM, SINUS_WIDTH_MM, SINUS_HZ = (0.0, 62.0, -12.0), 18.0, 40.0
EAR_MM, EAR_WIDTH_MM, EAR_HZ = (48.0, -18.0, -32.0), 12.0, 15.0
SMOOTH_HZ = 4.0


def gradient_table(count=16):
    """b-values (s/mm2) and unit directions (n, 3) in scanner axes; directions of b=0 are zero.

    ``count`` directions spread over the half sphere by electrostatic repulsion (Jones et al.
    1999), starting from a spiral; a b=0 volume comes before every eight of them.
    """
    rank = np.arange(count)
    spiral = HemiSphere(theta=np.arccos((rank + 0.5) / count), phi=rank * np.pi * (3 - np.sqrt(5)))
    spread = np.round(disperse_charges(spiral, 1000)[0].vertices, 6)
    weighted = rank + 1 + np.minimum(rank // DIRECTIONS_PER_B0, count // DIRECTIONS_PER_B0 - 1)
    bvals, directions = np.zeros(weighted[-1] + 1), np.zeros((weighted[-1] + 1, 3))
    bvals[weighted] = B_VALUE
    directions[weighted] = spread / np.linalg.norm(spread, axis=1, keepdims=True)
    return bvals, directions


def fsl_bvecs(directions, affine):
    """Directions (n, 3) of scanner axes as FSL writes them, (3, n).

    Along the axes of the image, the first of them reversed where the affine's determinant is
    positive.
    """
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    vectors = axes.T @ directions.T
    if np.linalg.det(axes) > 0:
        vectors[0] = -vectors[0]
    return vectors + 0.0


def turn_about(point, degrees, axis):
    """Rotation (4, 4) by ``degrees`` about ``axis`` (3,) through ``point`` (3,), right-handed."""
    axis = np.asarray(axis, dtype=float)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(
        np.deg2rad(degrees) * axis / np.linalg.norm(axis)
    ).as_matrix()
    matrix[:3, 3] = point - matrix[:3, :3] @ point
    return matrix


def head_motion(rng, count, centre):
    """Rigid motion of the head per volume, about ``centre`` (3,) mm; none in the first.

    Returns
    -------
    (count, 4, 4) array; each moves a point of the head from the first volume into this one
    """
    to_centre = np.eye(4)
    to_centre[:3, 3] = -np.asarray(centre)
    moves = [
        np.linalg.inv(to_centre) @ rigid(rng, MOTION_DEGREES, MOTION_MM) @ to_centre
        for _ in range(count)
    ]
    return np.stack([np.eye(4), *moves[1:]])


def eddy_coefficients(rng, directions):
    """Displacement along y per volume: (n, 4), factors of x, y, z (mm from the centre) and shift.

    Each is linear in the gradient; b=0 has none.
    """
    scale = np.array([EDDY_SLOPE, EDDY_SLOPE, EDDY_SLOPE, EDDY_SHIFT_MM])
    return directions @ (rng.normal(0, 1, (3, 4)) * scale)


def off_resonance_hz(rng, points):
    """Off-resonance in Hz at ``points`` (3, ...) in MNI mm.

    A bump over the frontal sinus, smaller ones over the ear canals, and a random gentle slope.
    """

    def bump(centre, width):
        offset = points - np.reshape(centre, (3, *[1] * (points.ndim - 1)))
        return np.exp(-(offset**2).sum(axis=0) / (2 * width**2))

    slope = np.tensordot(rng.normal(0, SMOOTH_HZ / 80, 3), points, axes=1)
    right, left = EAR_MM, (-EAR_MM[0], *EAR_MM[1:])
    ears = bump(right, EAR_WIDTH_MM) + bump(left, EAR_WIDTH_MM)
    return SINUS_HZ * bump(SINUS_MM, SINUS_WIDTH_MM) - EAR_HZ * ears + slope


def displacement_mm(field_hz, direction, voxel_mm):
    """Displacement along y (mm) of a signal with off-resonance ``field_hz``.

    ``field_hz`` times the total readout time is in voxels; phase encoding j- turns its sign.
    """
    return POLARITY[direction] * field_hz * READOUT_S * voxel_mm


def origin_along_y(displacement, voxel_mm):
    """Where the signal seen at each voxel comes from: the map y -> y + displacement inverted.

    Parameters
    ----------
    displacement : (x, y, z) array in mm on the grid of the image, of the tissue that lies there

    Returns
    -------
    (x, y, z) array in mm, to be added to the y of a voxel of the distorted image
    """
    y = voxel_mm * np.arange(displacement.shape[1])
    result = np.empty_like(displacement)
    for i, k in np.ndindex(displacement.shape[0], displacement.shape[2]):
        result[i, :, k] = np.interp(y, y + displacement[i, :, k], y) - y
    return result


def undistorted(grid, origin, eddy, centre, voxel_mm):
    """Scanner points that the voxels of a distorted volume show, and the Jacobian.

    Parameters
    ----------
    grid : (3, x, y, z) points of the voxels, mm
    origin : array from `origin_along_y`
    eddy : (4,) row of `eddy_coefficients`
    centre : (3,) scanner mm about which the eddy currents are linear

    Returns
    -------
    points : (3, x, y, z) array in mm
    jacobian : (x, y, z) array, by which the signal is concentrated
    """
    offset = grid - np.reshape(centre, (3, 1, 1, 1)).astype("f4")
    shift = eddy[0] * offset[0] + eddy[2] * offset[2] + eddy[3]
    y = (offset[1] - shift) / (1 + eddy[1])
    voxels = np.indices(origin.shape, dtype="f4")
    voxels[1] += (y - offset[1]) / voxel_mm
    y = y + map_coordinates(origin, voxels, order=1, mode="nearest", output="f4")
    points = grid.copy()
    points[1] = y + centre[1]
    return points, np.gradient(points[1], voxel_mm, axis=1)
