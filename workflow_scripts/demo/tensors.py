"""The diffusion tensors of the simulated white matter, planted in template (MNI) axes.

The field is a closed form of the MNI coordinates, so what is planted is known everywhere. Tensors
are in mm2/s; x is right-left, y anterior-posterior, z inferior-superior of the brain.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from workflow_scripts.demo.images import grid_points

PROJECTION_MM, ASSOCIATION_MM = (26.0, -16.0, 27.0), (38.0, -16.0, 27.0)
PLATEAU_MM, FADE_MM = 6.0, 14.0
BORDER_MM = (31.0, 33.0)
ALONG, ACROSS = 1.3e-3, 0.45e-3
FAN_MM = (18.0, -12.0)
PEDUNCLE_MM = (8.0, -40.0, -35.0)
CROWN_MM, BLADE_MM, GYRUS_STEP, GYRUS_SLOPE = 8.0, 2.5, 2, 0.01
CORE_MM = ((0.0, -18.0, 10.0), (36.0, 56.0, 32.0))


def rise(values, start, end):
    """0 below ``start``, 1 above ``end``, a cubic step between."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def alps_tensors(alps):
    """Tensors of projection and association fibres with a given index ALPS.

    Diffusivity along the fibres and the mean over the two directions across them are those of
    all white matter; across them the x axis, that of the perivascular spaces, is ``alps`` times
    the other.

    Parameters
    ----------
    alps : (...) array of indices

    Returns
    -------
    projection, association : (..., 3, 3) arrays, mm2/s
    """
    alps = np.asarray(alps, dtype=float)
    projection, association = (np.zeros((*alps.shape, 3, 3)) for _ in range(2))
    for tensor, fibre, other in ((projection, 2, 1), (association, 1, 2)):
        tensor[..., 0, 0] = 2 * ACROSS * alps / (1 + alps)
        tensor[..., other, other] = 2 * ACROSS / (1 + alps)
        tensor[..., fibre, fibre] = ALONG
    return projection, association


def alps_plateau(points):
    """1 within 6 mm of the line from projection to association ROI of a side, 0 from 14 mm on.

    The ROIs are spheres of 2.5 mm radius, so the plateau ends 3.5 mm outside them.
    """
    side, y, z = np.abs(points[0]), points[1], points[2]
    lateral = side - np.clip(side, PROJECTION_MM[0], ASSOCIATION_MM[0])
    distance = np.sqrt(lateral**2 + (y - PROJECTION_MM[1]) ** 2 + (z - PROJECTION_MM[2]) ** 2)
    return 1 - rise(distance, PLATEAU_MM, FADE_MM)


def bundles(points):
    """Direction and weight of each bundle at ``points`` (3, n) in MNI mm; own choice, own shapes.

    The corpus callosum is an arc open upwards, forwards in the forceps minor and backwards in the
    forceps major; the corona radiata is a fan, the arcuate fibres are a circle in the sagittal
    plane, temporal fibres run along y, those of the brainstem along z, and the cerebellum's spread
    from its peduncle. Left mirrors right.
    """
    sign = np.where(points[0] < 0, -1.0, 1.0)
    x, y, z = np.abs(points[0]), points[1], points[2]
    zero, one = np.zeros_like(x), np.ones_like(x)
    above, radius = rise(z, -15, -5), np.hypot(y + 16, z + 13)
    behind = rise(-y, 40, 50) * rise(-z, 12, 22)
    stem = (1 - rise(z, -20, -5)) * (1 - rise(x, 14, 22)) * (1 - behind)
    arcuate = np.exp(-(((x - 39) / 5) ** 2) - ((radius - 40) / 8) ** 2) * rise(z, -5, 10)
    upward = (z + np.hypot(z, 20)) / 2
    middle = np.exp(-((x / 30) ** 4)) * above
    fields = [
        ((x - FAN_MM[0], y - FAN_MM[1], upward), 0.2 * one),
        ((50 - z, zero, x), 5 * np.exp(-((x / 16) ** 4)) * above * rise(-y, -30, -15)),
        ((75 - y, x, zero), 3 * middle * rise(y, 15, 30)),
        ((y + 95, -x, zero), 3 * middle * rise(-y, 35, 50)),
        ((zero, z + 13, -(y + 16)), 3 * arcuate),
        ((zero, one, 0.15 * one), 3 * rise(x, 20, 28) * (1 - rise(z, -8, 2)) * (1 - behind)),
        ((zero, 0.25 * one, one), 3 * stem),
        ((x - PEDUNCLE_MM[0], y - PEDUNCLE_MM[1], z - PEDUNCLE_MM[2]), 3 * behind),
    ]
    for direction, weight in fields:
        vector = np.stack(direction, axis=-1)
        vector[..., 0] *= sign
        yield vector / (np.linalg.norm(vector, axis=-1, keepdims=True) + 1e-6), weight


class Gyri:
    """Fibres of the gyri, up the blades of white matter towards the crown.

    They follow the slope of the phantom's white matter smoothed by 8 mm, less what of it is across
    the blade, the direction in which white matter smoothed by 2.5 mm is most sharply curved. None
    inside an ellipsoid round the deep structures. ``gyri(points)`` takes MNI points (3, n) and
    gives direction (n, 3) and weight (n,).
    """

    def __init__(self, phantom):
        white = phantom.channels["wm"][::GYRUS_STEP, ::GYRUS_STEP, ::GYRUS_STEP] / np.float32(255)
        slope = np.gradient(gaussian_filter(white, CROWN_MM / GYRUS_STEP), GYRUS_STEP)
        blade = np.gradient(gaussian_filter(white, BLADE_MM / GYRUS_STEP), GYRUS_STEP)
        inside = white > 0
        vector = np.stack([one[inside] for one in slope], axis=-1)
        curvature = [[one[inside] for one in np.gradient(first, GYRUS_STEP)] for first in blade]
        across = np.linalg.eigh(np.moveaxis(np.array(curvature), -1, 0))[1][:, :, 0]
        vector -= (vector * across).sum(axis=1, keepdims=True) * across
        self.vectors = np.zeros((3, *white.shape), dtype="f4")
        self.vectors[:, inside] = vector.T
        self.origin = phantom.affine[:3, 3].reshape(3, 1)

    def __call__(self, points):
        voxels = (points - self.origin) / GYRUS_STEP
        vector = np.stack([map_coordinates(g, voxels, order=1) for g in self.vectors], axis=-1)
        slope = np.linalg.norm(vector, axis=-1)
        centre, axes = (np.reshape(part, (3, 1)) for part in CORE_MM)
        outside = rise((((points - centre) / axes) ** 2).sum(axis=0), 0.8, 1.5)
        return vector / (slope[:, None] + 1e-6), (slope / GYRUS_SLOPE) ** 2 * outside


def template_tensors(points, alps_left, alps_right, gyri=None):
    """Tensors of white matter at points of the template.

    Around the ALPS regions projection fibres run along z medially, association fibres along y
    laterally, with the border halfway; elsewhere the bundles are mixed by weight.

    Parameters
    ----------
    points : (3, n) array, MNI mm
    alps_left, alps_right : index of each side (x < 0 is left)
    gyri : Gyri, or None for the bundles alone

    Returns
    -------
    (n, 3, 3) array, mm2/s, in MNI axes
    """
    points = np.asarray(points, dtype=float)
    tensors, total = np.zeros((points.shape[1], 3, 3)), np.zeros(points.shape[1])
    for direction, weight in [*bundles(points), *([gyri(points)] if gyri else [])]:
        tensors += weight[:, None, None] * direction[:, :, None] * direction[:, None, :]
        total += weight
    tensors *= (ALONG - ACROSS) / total[:, None, None]
    tensors += ACROSS * np.eye(3)
    plateau = alps_plateau(points)
    near = plateau > 0
    side, lateral = points[0, near], np.abs(points[0, near])
    projection, association = alps_tensors(np.where(side < 0, alps_left, alps_right))
    medial, keep = (1 - rise(lateral, *BORDER_MM))[:, None, None], plateau[near][:, None, None]
    planted = medial * projection + (1 - medial) * association
    tensors[near] = keep * planted + (1 - keep) * tensors[near]
    return tensors


def field_jacobian(field, points):
    """Jacobian (n, 3, 3) of a `Displacement` at ``points`` (3, n): the matrix d(field)_i / d(p)_j.

    Differences over the spacing of the field's grid.
    """
    step = float(np.abs(np.diag(field.affine)[:3]).min()) / 2
    columns = []
    for axis in range(3):
        offset = np.zeros((3, 1), dtype="f4")
        offset[axis] = step
        columns.append((field(points + offset) - field(points - offset)) / (2 * step))
    return np.moveaxis(np.stack(columns, axis=1), -1, 0)


def reorient(tensors, jacobian):
    """Turn tensors from the target of a map into its source, fibres carried along.

    Preservation of principal direction (Alexander et al. 2001, doi:10.1109/42.963816): with F
    the inverse of the Jacobian of the map, the first eigenvector goes to F e1 and the plane of
    the first two to that of F e1 and F e2. Eigenvalues stay.

    Parameters
    ----------
    tensors : (n, 3, 3) array in the axes of the target (the template)
    jacobian : (n, 3, 3) array of the map source -> target at the same points

    Returns
    -------
    (n, 3, 3) array in the axes of the source
    """
    values, vectors = np.linalg.eigh(tensors)
    carried = np.linalg.solve(jacobian, vectors[:, :, :0:-1])
    first = carried[:, :, 0] / np.linalg.norm(carried[:, :, 0], axis=1, keepdims=True)
    second = carried[:, :, 1]
    second = second - (second * first).sum(axis=1, keepdims=True) * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    axes = np.stack([np.cross(first, second), second, first], axis=2)
    return np.einsum("nij,nj,nkj->nik", axes, values, axes, optimize=True)


def tensor_phantom(alps_left, alps_right, spacing=2.0):
    """The planted tensor field on a grid of the template, without a head around it.

    Returns
    -------
    tensors : (x, y, z, 3, 3) array, mm2/s, in MNI axes; zero outside the mask
    mask : (x, y, z) bool array, an ellipsoid of the size of a brain
    affine : (4, 4) array, voxel to MNI mm
    """
    shape = tuple(int(n // spacing) + 1 for n in (160, 190, 150))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = (-80, -112, -66)
    points = grid_points(shape, affine)
    centre, axes = (np.reshape(part, (3, 1, 1, 1)) for part in ((0, -18, 8), (70, 88, 66)))
    mask = (((points - centre) / axes) ** 2).sum(axis=0) < 1
    tensors = np.zeros((*shape, 3, 3))
    tensors[mask] = template_tensors(points[:, mask], alps_left, alps_right)
    return tensors, mask, affine
