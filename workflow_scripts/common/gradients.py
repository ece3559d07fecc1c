"""Diffusion gradient tables."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow_scripts.common.bids import gradient_files
from workflow_scripts.common.files import is_there, read_text
from workflow_scripts.common.job import InputError

B0_THRESHOLD = 50  # s/mm2
HIGHEST_B = 20000
ALPS_B = 1000  # at which ALPS is defined
# Shells that it can be compared at.
COMPARABLE_B = (800, 1200)
SHELL_WIDTH = 100
UNIT_TOLERANCE = 0.05
FEWEST_DIRECTIONS = 6
WORST_CONDITION = 100  # of six directions of a common scheme 2, of 30 or more 1.6
# Some scanners write one b-value for all, and the rest of it into the length.
ADVICE_ON_LENGTHS = "make them unit vectors, with b times length squared in .bval, or convert"


@dataclass(frozen=True)
class Gradients:
    """Gradient table of a diffusion series.

    Attributes
    ----------
    bvals : (volumes,) in s/mm2
    bvecs : (3, volumes), unit vectors relative to the image axes as FSL wants
        them: x is flipped where the determinant of the affine is positive.
    """

    bvals: np.ndarray
    bvecs: np.ndarray

    @property
    def is_b0(self) -> np.ndarray:
        """Which volumes are without diffusion weighting, (volumes,) bool."""
        return self.bvals <= B0_THRESHOLD

    def voxel_axes(self, affine: np.ndarray) -> np.ndarray:
        """Directions (3, volumes) along the voxel axes of an image with this affine."""
        return self.bvecs * _fsl_flip(affine)

    def scanner_axes(self, affine: np.ndarray) -> np.ndarray:
        """Directions (3, volumes) in scanner (RAS) axes of an image with this affine."""
        return axes(affine) @ self.voxel_axes(affine)


def _fsl_flip(affine: np.ndarray) -> np.ndarray:
    return np.array([[-1.0 if np.linalg.det(affine[:3, :3]) > 0 else 1.0], [1.0], [1.0]])


def from_voxel_axes(bvals: np.ndarray, directions: np.ndarray, affine: np.ndarray) -> Gradients:
    """Table of directions (3, volumes) given along the voxel axes."""
    return Gradients(bvals, directions * _fsl_flip(affine))


def axes(affine: np.ndarray) -> np.ndarray:
    """Directions of the voxel axes in scanner space, (3, 3), a column per axis."""
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def read_gradients(dwi, volumes: int) -> Gradients:
    """Gradient table of a diffusion image with so many volumes.

    A series of b = 0 volumes alone, such as a reverse-phase scan, is a table too.

    Raises
    ------
    InputError
        Saying which file is wrong: missing, not numbers, of another length than
        the image, transposed, without a b = 0 volume, with b-values in other
        units, with directions that are missing or no unit vectors, or fewer than
        six of them.
    """
    bval_file, bvec_file = gradient_files(dwi)
    bvals, bvecs = _numbers(bval_file), _numbers(bvec_file)
    if bvals.size != volumes:
        raise InputError(
            f"{bval_file}: has {bvals.size} b-values, the image {volumes} volumes; "
            "convert the series again"
        )
    bvals = bvals.ravel()
    if bvecs.shape != (3, volumes):
        transposed = bvecs.shape == (volumes, 3)
        raise InputError(
            f"{bvec_file}: has {bvecs.shape[0]} rows of {bvecs.shape[1]} numbers, "
            f"the image {volumes} volumes; it needs 3 rows of {volumes}"
            + (" (it is transposed: exchange rows and columns)" if transposed else "")
        )
    if bvals.min() < 0 or not np.isfinite(bvals).all():
        raise InputError(f"{bval_file}: values are negative or not finite; convert it again")
    bvecs = np.where((bvals <= B0_THRESHOLD) & np.isnan(bvecs), 0, bvecs)  # which have no direction
    if not np.isfinite(bvecs).all():
        raise InputError(f"{bvec_file}: values are not finite; convert it again")
    table = Gradients(bvals, bvecs)
    problem = _units_problem(table) or _direction_problem(table)
    if problem:
        raise InputError(f"{problem[0].format(bval=bval_file, bvec=bvec_file)}; {problem[1]}")
    lengths = np.linalg.norm(bvecs, axis=0)
    return Gradients(bvals, np.divide(bvecs, lengths, out=np.zeros_like(bvecs), where=lengths > 0))


def b0_volumes(epi, volumes: int) -> np.ndarray:
    """Which of so many volumes of an ``_epi`` are without weighting, (volumes,) bool.

    All, unless its .bval says otherwise.

    Raises
    ------
    InputError
        If that has another length than the image, or no b = 0 volume.
    """
    file, _ = gradient_files(epi)
    if not is_there(file):
        return np.ones(volumes, bool)
    bvals = _numbers(file).ravel()
    if bvals.size != volumes:
        raise InputError(
            f"{file}: has {bvals.size} b-values, the image {volumes} volumes; convert it again"
        )
    if not (bvals <= B0_THRESHOLD).any():
        raise InputError(
            f"{file}: no b = 0 volume (the smallest b-value is {bvals.min():g}), which an image of "
            "reverse phase encoding is; exclude it"
        )
    return bvals <= B0_THRESHOLD


def _numbers(path: Path) -> np.ndarray:
    if not is_there(path):
        near = re.compile(rf"{re.escape(path.stem)}\.b-?{path.suffix[2:]}s?(\.txt)?", re.I)
        like = sorted(file.name for file in path.parent.glob("*") if near.fullmatch(file.name))
        hint = f"rename {', '.join(like)}" if like else "a diffusion image needs it"
        raise InputError(f"{path}: no such file; {hint}")
    try:
        rows = [line.split() for line in read_text(path).splitlines() if line.strip()]
        return np.array(rows, dtype=float, ndmin=2)
    except ValueError as error:
        raise InputError(
            f"{path}: is not a table of numbers with rows of equal length ({error}); "
            "convert the series again"
        ) from error


def _units_problem(table: Gradients):
    highest = table.bvals.max()
    if 0 < highest < B0_THRESHOLD and table.bvecs.any():
        return (
            f"{{bval}}: the largest b-value is {highest:g}",
            "b-values are in s/mm2; multiply them by 1000 if they are in ms/um2",
        )
    if highest > HIGHEST_B:
        return f"{{bval}}: the largest b-value is {highest:g}", "b-values are in s/mm2"
    return None


def _direction_problem(table: Gradients):
    weighted = ~table.is_b0
    if not table.is_b0.any():
        return (
            f"{{bval}}: no b = 0 volume (the smallest b-value is {table.bvals.min():g})",
            f"one of at most {B0_THRESHOLD} s/mm2 is needed",
        )
    if not weighted.any():
        return None
    lengths = np.linalg.norm(table.bvecs, axis=0)
    bad = np.flatnonzero(weighted & (np.abs(lengths - 1) > UNIT_TOLERANCE))
    if len(bad):
        zero = lengths[bad].max() < UNIT_TOLERANCE
        listed = ", ".join(str(volume) for volume in bad[:10]) + " ..." * (len(bad) > 10)
        low, high = lengths[bad].min(), lengths[bad].max()
        what, advice = f"directions of length {low:.3g} to {high:.3g}, not 1", ADVICE_ON_LENGTHS
        if zero:
            what, advice = "no direction", "remove the volumes (trace or mean images?) or convert"
        return (
            f"{{bvec}}: volumes {listed} (from 0) have b > {B0_THRESHOLD} and {what}",
            f"{advice} the series again",
        )
    if (count := distinct_directions(table.bvecs[:, weighted])) < FEWEST_DIRECTIONS:
        return (
            f"{{bvec}}: {count} distinct directions, a tensor needs {FEWEST_DIRECTIONS}",
            "list the scan in the exclusions TSV",
        )
    in_shell = shells(table.bvals)
    for shell in np.unique(in_shell[weighted]):
        vectors = table.bvecs[:, in_shell == shell]
        if distinct_directions(vectors) >= FEWEST_DIRECTIONS and not determines_tensor(vectors):
            return (
                f"{{bvec}}: the directions of b = {shell:g} lie in a plane, on a cone or nearly "
                "so, which leaves a part of the tensor unknown",
                "are they those of the series? Convert it again, or list it in the exclusions TSV",
            )
    return None


def determines_tensor(bvecs: np.ndarray) -> bool:
    """Whether unit vectors (3, n) tell the six elements of a tensor apart."""
    x, y, z = bvecs / np.linalg.norm(bvecs, axis=0)
    design = np.column_stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z])
    return bool(np.linalg.cond(design) < WORST_CONDITION)


def distinct_directions(bvecs: np.ndarray, degrees: float = 2.0) -> int:
    """Number of axes (3, n) that differ from one another by more than ``degrees``."""
    kept: list[np.ndarray] = []
    for vector in bvecs.T / np.linalg.norm(bvecs, axis=0)[:, None]:
        if all(abs(vector @ other) < np.cos(np.radians(degrees)) for other in kept):
            kept.append(vector)
    return len(kept)


def shells(bvals: np.ndarray) -> np.ndarray:
    """Shell of each volume: the median b-value of its cluster; 0 for b = 0 volumes.

    Sorted b-values begin a new shell where they rise by more than 100 s/mm2.
    """
    order = np.argsort(bvals, kind="stable")
    breaks = np.flatnonzero(np.diff(bvals[order]) > SHELL_WIDTH) + 1
    shell = np.empty(len(bvals))
    for group in np.split(order, breaks):
        shell[group] = np.median(bvals[group])
    shell[bvals <= B0_THRESHOLD] = 0
    return shell


def nearest_shell(bvals: np.ndarray, wanted: float) -> float:
    """B-value of the shell nearest to ``wanted`` that has six volumes or more.

    Raises
    ------
    InputError
        If no shell has six.
    """
    values, counts = np.unique(shells(bvals), return_counts=True)
    usable = values[(values > 0) & (counts >= FEWEST_DIRECTIONS)]
    if not len(usable):
        raise InputError(
            f"no shell has {FEWEST_DIRECTIONS} directions "
            f"({', '.join(f'b = {v:g}: {n}' for v, n in zip(values, counts, strict=True))}); "
            "list the scan in the exclusions TSV"
        )
    return float(usable[np.abs(usable - wanted).argmin()])


def shell_of_alps(gradients: Gradients) -> dict:
    """B-value of the ``shell`` nearest to that of ALPS, and its number of ``directions``.

    0 directions, and no shell, where none is weighted with the six that a tensor needs.
    """
    try:
        shell = nearest_shell(gradients.bvals, ALPS_B)
    except InputError:
        return {"shell": None, "directions": None if gradients.is_b0.all() else 0}
    inside = shells(gradients.bvals) == shell
    return {"shell": shell, "directions": distinct_directions(gradients.bvecs[:, inside])}
