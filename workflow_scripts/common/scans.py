"""Is a scan fit for use?

What is asked of a file depends on its BIDS suffix: `_dwi` is a series with a
gradient table, `_epi` may be one, `_mask` and `_probseg` show a piece of a vessel,
`.tsv` holds contours or a centre line; all others are one 3D image of a head.
"""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.bids import entities_of
from workflow_scripts.common.files import FETCH, LONGEST_POINTER, not_fetched, why_unreadable
from workflow_scripts.common.gradients import gradient_files, read_gradients
from workflow_scripts.common.job import InputError

VOXEL_SIZE_MM = (0.2, 8.0)
FIELD_OF_VIEW_MM = (80.0, 500.0)
VOXEL_SIZE_OF_VESSELS_MM = (0.05, 8.0)
FIELD_OF_VIEW_OF_VESSELS_MM = (2.0, 500.0)
DIMENSIONS = {"dwi": (4,), "epi": (3, 4)}
FRAME_TOLERANCE_MM = 0.1
SCAN_FIELDS = ["path", "size_bytes", "mtime_ns", "shape", "voxel_size_mm", "problem"]


def check_scan(path: Path, slab: bool = False) -> dict:
    """Check one scan.

    It must open to its last byte, have the dimensions of its suffix, an invertible
    affine with voxel sizes and a field of view of a head (or a vessel), hold finite
    values only, and not be constant. A diffusion series needs a sound gradient
    table, a TSV a header and rows of its length.

    Parameters
    ----------
    slab : whether the image may show a piece of the head alone

    Returns
    -------
    Row with the fields of ``SCAN_FIELDS``; ``problem`` is None for a good scan.
    """
    path = Path(path)
    row = dict.fromkeys(SCAN_FIELDS)
    row["path"] = str(path)
    try:
        row |= stamp(path)
        if path.suffix == ".tsv":
            row["problem"] = _table_problem(path)
            return row
        image = _open(path)
        suffix = entities_of(path.name)["suffix"]
        zooms = np.linalg.norm(image.affine[:3, :3], axis=0)
        row["shape"] = "x".join(str(n) for n in image.shape)
        row["voxel_size_mm"] = "x".join(f"{z:.3g}" for z in zooms)
        row["problem"] = _geometry_problem(image, zooms, suffix, slab) or _value_problem(image)
        if suffix == "dwi" and not row["problem"]:
            read_gradients(path, image.shape[3])
    except InputError as error:
        row["problem"] = str(error)
    except FileNotFoundError:
        row["problem"] = f"the file or its link target does not exist; {FETCH} or restore it"
    except PermissionError as error:
        row["problem"] = why_unreadable(path, error).removeprefix(f"{path}: ")
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        row["problem"] = f"not a NIfTI image ({_short(error)}); convert the scan again"
    except (EOFError, OSError, zlib.error, ValueError) as error:
        row["problem"] = f"damaged or cut off ({_short(error)}); copy the scan again"
    if row["problem"] and (row["size_bytes"] or LONGEST_POINTER) < LONGEST_POINTER:
        row["problem"] = _pointer(path) or row["problem"]
    return row


def _pointer(path: Path) -> str | None:
    """What to do where the pointer of a dataset that was not fetched lies in a scan's place."""
    try:
        return not_fetched(path.read_bytes())
    except OSError:
        return None


def stamp(path: Path) -> dict:
    """``size_bytes`` of a scan, and ``mtime_ns``, the latest of it and its gradient table."""
    stat = path.stat()
    tables = [file.stat().st_mtime_ns for file in gradient_files(path) if file.is_file()]
    return {"size_bytes": stat.st_size, "mtime_ns": max(stat.st_mtime_ns, *tables, 0)}


def _open(path: Path):
    """Image of a file; of a compressed one all bytes, so that gzip's checksum is verified."""
    image = nib.load(path)
    if path.suffix != ".gz":
        return image
    return type(image).from_bytes(gzip.decompress(path.read_bytes()))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _table_problem(path: Path) -> str | None:
    table = pd.read_csv(path, sep="\t")
    return None if len(table) else "has no rows; export it again"


def _geometry_problem(image, zooms: np.ndarray, suffix: str, slab: bool) -> str | None:
    dimensions = DIMENSIONS.get(suffix, (3,))
    if image.ndim not in dimensions:
        wanted = " or ".join(map(str, dimensions))
        return f"has {image.ndim} dimensions, not {wanted}; split it or choose the right volume"
    if not np.all(np.isfinite(image.affine)) or abs(np.linalg.det(image.affine[:3, :3])) < 1e-6:
        return "the affine cannot be inverted; convert the scan again"
    if _frames_differ(image):
        return "sform and qform place the image differently; make them the same (fslorient)"
    vessel = suffix in ("mask", "probseg")
    low, high = VOXEL_SIZE_OF_VESSELS_MM if vessel else VOXEL_SIZE_MM
    if zooms.min() < low or zooms.max() > high:
        return f"voxel size {np.round(zooms, 3).tolist()} mm is outside {low} to {high} mm"
    extent = zooms * image.shape[:3]
    low, high = FIELD_OF_VIEW_OF_VESSELS_MM if vessel or slab else FIELD_OF_VIEW_MM
    if extent.min() < low or extent.max() > high:
        return f"field of view {np.round(extent).tolist()} mm is outside {low} to {high} mm"
    return None


def _frames_differ(image) -> bool:
    header = image.header
    if not (header["sform_code"] and header["qform_code"]):
        return False
    far_corner = [*image.shape[:3], 1]
    distance = (header.get_sform() - header.get_qform()) @ far_corner
    return bool(np.abs(distance).max() > FRAME_TOLERANCE_MM)


def _value_problem(image) -> str | None:
    data = np.asanyarray(image.dataobj)
    if not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        return f"holds values of type {data.dtype}, not real numbers; convert the scan again"
    if not np.isfinite(data).all():
        return f"{int((~np.isfinite(data)).sum())} voxels are NaN or infinite; convert it again"
    if data.min() == data.max():
        return f"all voxels are {data.flat[0]:g}; the image is empty"
    return None


def require_usable(path: str) -> None:
    """Raise InputError if a scan is not fit for use."""
    problem = check_scan(path)["problem"]
    if problem:
        raise InputError(f"{path}: {problem}")
