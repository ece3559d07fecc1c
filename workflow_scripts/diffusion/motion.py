"""Head motion and eddy currents of a diffusion series.

Everything is in grid millimetres, voxel index times voxel size along each image
axis: there the phase-encoding axis is a coordinate axis, and gradient
directions need no conversion.
"""

import tempfile

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.gradients import shells
from workflow_scripts.common.transforms import nearest_rotation, read_itk_matrix, write_itk_matrix

MARGIN_VOXELS = 3
COARSE_MM = 6
SAMPLES = 3000
SAMPLES_BETWEEN_SHELLS = 10000
EVENNESS_MM = 12
NEIGHBOURHOOD_MM = 6
LARGEST_DEVIATION = 3


def grid_image(data: np.ndarray, zooms, corner=(0, 0, 0)) -> ants.ANTsImage:
    """ANTs image (x, y, z) whose physical space is grid mm.

    ``corner`` is the voxel of the whole grid where ``data`` begins.
    """
    spacing = [float(size) for size in zooms]
    origin = [float(index) * size for index, size in zip(corner, spacing, strict=True)]
    return ants.from_numpy(np.ascontiguousarray(data, np.float32), origin, spacing)


def even_out(data: np.ndarray, mask: np.ndarray, zooms, reach_mm=EVENNESS_MM) -> np.ndarray:
    """Image (x, y, z) divided by its local mean over the mask, so that coil sensitivity is gone.

    The mean is weighted by a Gaussian of standard deviation ``reach_mm``.
    """
    sigma = reach_mm / np.asarray(zooms)
    weight = gaussian_filter(mask.astype(np.float32), sigma)
    local = gaussian_filter(np.where(mask, data, 0).astype(np.float32), sigma)
    return np.divide(data * weight, local, out=np.zeros_like(local), where=weight > 0.05)


def normalize_locally(data: np.ndarray, mask: np.ndarray, zooms) -> np.ndarray:
    """Image (x, y, z) in local standard deviations from its local mean, at most 3.

    Mean and deviation are those over the mask, weighted by a Gaussian of standard
    deviation `NEIGHBOURHOOD_MM`; 0 away from the mask. Coil sensitivity, and how bright
    a region is as a whole, are gone; where CSF, grey and white matter meet is left, and that
    an image with and one without diffusion weighting have in common (as in a
    local correlation, Avants et al. 2008, doi:10.1016/j.media.2007.06.004).
    """
    sigma = NEIGHBOURHOOD_MM / np.asarray(zooms)
    weight = gaussian_filter(mask.astype(np.float32), sigma)
    near = weight > 0.05
    weight = np.where(near, weight, 1)
    mean = gaussian_filter(np.where(mask, data, 0).astype(np.float32), sigma) / weight
    offset = (data - mean).astype(np.float32)
    deviation = np.sqrt(gaussian_filter(np.where(mask, offset, 0) ** 2, sigma) / weight)
    near &= deviation > 0
    scaled = np.divide(offset, deviation, out=np.zeros_like(offset), where=near)
    return np.clip(scaled, -LARGEST_DEVIATION, LARGEST_DEVIATION)


def even_brain(image: str, mask: str) -> ants.ANTsImage:
    """Brain of an image file, evened out; 0 outside its mask."""
    brain = ants.image_read(image)
    inside = ants.image_read(mask).numpy() > 0
    return brain.new_image_like(even_out(brain.numpy(), inside, brain.spacing) * inside)


def register(
    fixed, moving, mask, zooms, initial=None, phase_axis=None, rough=False, samples=SAMPLES
) -> np.ndarray:
    """Linear transform of ``moving`` onto ``fixed``, by mutual information over the brain.

    Parameters
    ----------
    fixed, moving : (x, y, z)
    mask : (x, y, z) bool, the brain in ``fixed``
    zooms : voxel sizes in mm
    initial : (4, 4) to start from; the search then goes over the full grid alone.
        Without it, it begins on a coarse grid.
    rough : stop after the coarse grid
    phase_axis : axis along which eddy currents may distort; None for rigid alone.
        After the rigid search all 12 parameters of an affine are free, and the head's
        rotation is taken from the two axes that eddy currents leave alone: a rigid
        search turns the head where they shear the image.
    samples : voxels that the mutual information is computed from

    Returns
    -------
    (4, 4) array that moves points of ``fixed`` to ``moving``, grid mm
    """
    around = binary_dilation(mask, iterations=MARGIN_VOXELS)
    box = tuple(slice(index.min(), index.max() + 1) for index in np.nonzero(around))
    corner = [part.start for part in box]
    images = [grid_image(data[box], zooms, corner) for data in (fixed, moving)]
    region = grid_image(mask[box], zooms, corner)
    coarse = max(1, round(COARSE_MM / np.mean(zooms)))
    with tempfile.TemporaryDirectory() as folder:

        def search(kind, start, shrink):
            found = ants.registration(
                *images,
                kind,
                initial_transform=start,
                outprefix=f"{folder}/{kind}{shrink}",
                mask=region,
                aff_metric="mattes",
                aff_sampling=32,
                aff_random_sampling_rate=min(1, samples * shrink**3 / mask.sum()),
                aff_iterations=(40,),
                aff_shrink_factors=(shrink,),
                aff_smoothing_sigmas=(shrink // 2,),
                random_seed=1,
            )
            return found["fwdtransforms"]

        start = f"{folder}/initial.mat"
        write_itk_matrix(np.eye(4) if initial is None else initial, start)
        best = [start] if initial is not None else search("Rigid", [start], coarse)
        if not rough:
            best = search("Rigid", best, 1)
        if phase_axis is None:
            return read_itk_matrix(best[0])
        free = read_itk_matrix(search("Affine", best, 1)[0])
        return _distorted_along(phase_axis, free, np.argwhere(mask).mean(axis=0) * zooms)


def _distorted_along(phase_axis, free, centre):
    """Motion and distortion along one axis from an affine (4, 4) that moves the centre (3,) alike.

    Eddy currents shift a point along the phase-encoding axis by an amount that is
    linear in space (Jezzard et al. 1998, doi:10.1002/mrm.1910390518): the rows of the two
    other axes are those of the head's rotation.
    """
    matrix = free.copy()
    other = np.arange(3) != phase_axis
    matrix[:3, :3][other] = head_rotation(free, phase_axis)[other]
    matrix[:3, 3] += (free[:3, :3] - matrix[:3, :3]) @ centre
    return matrix


def estimate_motion(
    dwi: np.ndarray, bvals: np.ndarray, mask: np.ndarray, zooms, phase_axis: int | None
) -> np.ndarray:
    """Where each volume of a series shows the head of its first b = 0 volume.

    b = 0 volumes are registered to the first of them. Weighted volumes are
    registered, shell by shell, to the mean of the shell, twice: roughly, then to
    the mean of the aligned volumes with eddy currents; that mean is registered
    to the mean of the aligned b = 0 volumes, again with eddy currents, since a part of
    them can be common to the shell.

    Parameters
    ----------
    dwi : (x, y, z, volumes)
    bvals : (volumes,) s/mm2
    mask : (x, y, z) bool, the brain
    zooms : voxel sizes in mm
    phase_axis : phase-encoding axis (0, 1, 2); None where it is not known, and
        then motion is taken to be rigid

    Returns
    -------
    (volumes, 4, 4) matrices from the reference to each volume, grid mm
    """
    matrices = np.tile(np.eye(4), (len(bvals), 1, 1))
    raw = dwi
    dwi = np.stack([even_out(volume, mask, zooms) for volume in np.moveaxis(raw, -1, 0)], axis=-1)
    shell = shells(bvals)
    b0s = np.flatnonzero(shell == 0)
    for volume in b0s[1:]:
        matrices[volume] = register(dwi[..., b0s[0]], dwi[..., volume], mask, zooms)
    reference = normalize_locally(_aligned_mean(raw, b0s, matrices, zooms), mask, zooms)
    for value in np.unique(shell[shell > 0]):
        volumes = np.flatnonzero(shell == value)
        target = dwi[..., volumes].mean(axis=-1)
        for volume in volumes:
            matrices[volume] = register(target, dwi[..., volume], mask, zooms, rough=True)
        target = _aligned_mean(dwi, volumes, matrices, zooms)
        for volume in volumes:
            start = matrices[volume]
            moving = dwi[..., volume]
            matrices[volume] = register(target, moving, mask, zooms, start, phase_axis)
        mean = normalize_locally(_aligned_mean(raw, volumes, matrices, zooms), mask, zooms)
        between = {"phase_axis": phase_axis, "samples": SAMPLES_BETWEEN_SHELLS}
        matrices[volumes] = matrices[volumes] @ register(reference, mean, mask, zooms, **between)
    return matrices


def _aligned_mean(dwi, volumes, matrices, zooms):
    size = np.reshape(zooms, (3, 1))
    points = np.indices(dwi.shape[:3]).reshape(3, -1) * size
    total = 0
    for volume in volumes:
        moved = (matrices[volume][:3, :3] @ points + matrices[volume][:3, 3:]) / size
        total = total + map_coordinates(dwi[..., volume], moved, order=1, mode="nearest")
    return (total / len(volumes)).reshape(dwi.shape[:3])


def head_rotation(matrix: np.ndarray, phase_axis: int | None) -> np.ndarray:
    """Rotation (3, 3) of the head in a motion matrix that may hold an eddy distortion.

    The distortion changes the phase axis' row alone, so the two other rows are
    those of the rotation.
    """
    rotation = matrix[:3, :3].copy()
    if phase_axis is not None:
        following, last = (phase_axis + 1) % 3, (phase_axis + 2) % 3
        normal = np.cross(rotation[following], rotation[last])
        rotation[phase_axis] = normal / np.linalg.norm(normal)
    return nearest_rotation(rotation)


def displacement(matrices: np.ndarray, mask: np.ndarray, zooms) -> np.ndarray:
    """Mean distance in mm, over the mask, that each volume's head lies from the reference.

    Parameters
    ----------
    matrices : (volumes, 4, 4), grid mm
    mask : (x, y, z) bool

    Returns
    -------
    (volumes,)
    """
    points = np.argwhere(mask)[::10] * np.asarray(zooms)
    moved = np.einsum("vij,pj->vpi", matrices[:, :3, :3], points) + matrices[:, None, :3, 3]
    return np.linalg.norm(moved - points, axis=-1).mean(axis=1)


def rotation_degrees(rotation: np.ndarray) -> float:
    """Angle of a rotation matrix (3, 3)."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
