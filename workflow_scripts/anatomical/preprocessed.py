"""What fMRIPrep or sMRIPrep made of a T1w, checked and brought into the form of our own steps."""

from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.bids import made_by
from workflow_scripts.common.images import load_scan
from workflow_scripts.common.job import InputError
from workflow_scripts.common.transforms import LPS, move, write_itk_matrix

# Inside the brain eight real T1w correlated with themselves after N4 by .95 to .99, with others on
# their grid by .16 to .62.
ALIKE = 0.8
SUM_TO_ONE = 0.05
THERE_AND_BACK_MM = 1.0


def taken_from(path: str) -> str:
    """What a sidecar says of a file of another program: ``taken from fMRIPrep 23.2.1``."""
    return f"taken from {made_by(path)}"


def on_grid_of(path: str, scan: nib.Nifti1Image) -> np.ndarray:
    """Data of an image (x, y, z) in the voxel order of a raw scan.

    These programs store images in RAS order; nothing is interpolated.

    Raises
    ------
    InputError
        If the voxels of the two do not lie in the same places.
    """
    image = load_scan(path)
    order = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.io_orientation(scan.affine)
    )
    turned = image.as_reoriented(order)
    if turned.shape != scan.shape or not np.allclose(turned.affine, scan.affine, atol=1e-2):
        raise InputError(
            f"{path}: its voxels are not those of {Path(scan.get_filename()).name}, in any order "
            "of axes: was it made of another scan, averaged over several, or resampled? Take "
            "what was made of this T1w alone, or leave it out of anatomical.preprocessed.take"
        )
    return np.asanyarray(turned.dataobj)


def preprocessed_t1w(files: list[str], scan: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Bias-corrected T1w (x, y, z) and brain mask (x, y, z) bool, on the grid of the raw T1w.

    Raises
    ------
    InputError
        If their grids differ, the mask is none, or the two T1w are not of one head: inside the
        mask they correlate by less than `ALIKE`.
    """
    t1w, mask = (on_grid_of(path, scan) for path in files)
    if len(np.unique(mask)) != 2 or mask.min() != 0:
        raise InputError(f"{files[1]}: a mask holds 0 and one more value; make it again")
    mask = mask > 0
    raw = np.asanyarray(scan.dataobj)
    alike = np.corrcoef(t1w[mask], raw[mask])[0, 1]
    if not alike >= ALIKE:
        raise InputError(
            f"{files[0]}: correlates with {scan.get_filename()} by {alike:.2f} inside the brain, "
            f"of one scan it is above {ALIKE}: is it of this scan?"
        )
    return t1w.astype(np.float32), mask


def preprocessed_tissues(files: list[str], scan: nib.Nifti1Image, mask: np.ndarray) -> np.ndarray:
    """Probabilities (x, y, z, tissue) of CSF, GM and WM on a T1w's grid, 0 outside of ``mask``.

    Raises
    ------
    InputError
        If a grid differs, or they do not sum to 1 inside the mask.
    """
    maps = np.stack([on_grid_of(path, scan) for path in files], axis=-1).astype(np.float32)
    maps *= (mask > 0)[..., None]
    total = maps.sum(axis=-1)[mask > 0]
    if abs(np.mean(total) - 1) > SUM_TO_ONE or maps.min() < 0 or total.max() > 1 + SUM_TO_ONE:
        raise InputError(
            f"{files[0]} and the other tissues: sum to {np.mean(total):.2f} in the brain, "
            f"at most {total.max():.2f}; probabilities sum to 1: of another mask?"
        )
    return maps


def as_own_transforms(files: list[str], source, folder: str) -> list[str]:
    """Transforms of a program in the form of `register`: ``[affine, warp, inverse warp]``.

    The affine is the one nearest to the transform inside the template's brain; the two warps are
    what it leaves, on the template's grid.

    Parameters
    ----------
    files : composite ITK transforms from the T1w to the template and back
    source : files ``template`` and ``template_mask``
    folder : where the transforms are written

    Raises
    ------
    InputError
        If the way there and back does not end where it began.
    """
    forward, backward = files
    template = ants.image_read(source.template)
    grid = nib.load(source.template)
    voxels = np.moveaxis(np.indices(grid.shape), 0, -1)
    points = move(LPS @ grid.affine, voxels)
    inside = np.asanyarray(nib.load(source.template_mask).dataobj) > 0

    def composed(name: str, steps: list[str], inverted: list[bool]) -> str:
        return ants.apply_transforms(
            template, template, steps, whichtoinvert=inverted, compose=f"{folder}/{name}"
        )

    there = points + _field(composed("there", [forward], [False]))
    design = np.column_stack([points[inside], np.ones(inside.sum())])
    matrix = np.eye(4)
    matrix[:3] = np.linalg.lstsq(design, there[inside], rcond=None)[0].T
    affine = f"{folder}/affine.mat"
    write_itk_matrix(matrix, affine)
    warp = composed("warp", [forward, affine], [False, True])
    inverse = composed("inverse", [affine, backward], [False, False])
    there_and_back = composed("both", [forward, backward], [False, False])
    error = np.median(np.linalg.norm(_field(there_and_back)[inside], axis=-1))
    if error > THERE_AND_BACK_MM:
        raise InputError(
            f"{backward}: is not the inverse of {Path(forward).name}, which it misses by "
            f"{error:.1f} mm; make them again, or leave transforms out of "
            "anatomical.preprocessed.take"
        )
    return [affine, warp, inverse]


def _field(path: str) -> np.ndarray:
    """Displacements (x, y, z, 3) in LPS mm of a file of ITK."""
    return np.asanyarray(nib.load(path).dataobj)[:, :, :, 0, :]
