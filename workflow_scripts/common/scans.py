"""Is a scan fit for use?"""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.job import InputError

VOXEL_SIZE_MM = (0.2, 8.0)
FIELD_OF_VIEW_MM = (80.0, 500.0)
FRAME_TOLERANCE_MM = 0.1
SCAN_FIELDS = ["path", "size_bytes", "mtime_ns", "shape", "voxel_size_mm", "problem"]


def check_scan(path: Path) -> dict:
    """Check one 3D scan.

    It must open to its last byte, be 3D, have an invertible affine with voxel
    sizes and a field of view of a head, hold finite values only, and not be
    constant.

    Returns
    -------
    Row with the fields of ``SCAN_FIELDS``; ``problem`` is None for a good scan.
    """
    path = Path(path)
    row = dict.fromkeys(SCAN_FIELDS)
    row["path"] = str(path)
    try:
        stat = path.stat()
        row |= {"size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}
        image = _open(path)
        zooms = np.linalg.norm(image.affine[:3, :3], axis=0)
        row["shape"] = "x".join(str(n) for n in image.shape)
        row["voxel_size_mm"] = "x".join(f"{z:.3g}" for z in zooms)
        row["problem"] = _geometry_problem(image, zooms) or _value_problem(image)
    except FileNotFoundError:
        row["problem"] = "the file or its link target does not exist; restore it"
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        row["problem"] = f"not a NIfTI image ({_short(error)}); convert the scan again"
    except (EOFError, OSError, zlib.error, ValueError) as error:
        row["problem"] = f"damaged or cut off ({_short(error)}); copy the scan again"
    return row


def _open(path: Path):
    """Image of a file; of a compressed one all bytes, so that gzip's checksum is verified."""
    image = nib.load(path)
    if path.suffix != ".gz":
        return image
    return type(image).from_bytes(gzip.decompress(path.read_bytes()))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _geometry_problem(image, zooms: np.ndarray) -> str | None:
    if image.ndim != 3:
        return f"has {image.ndim} dimensions, not 3; split it or choose the right volume"
    if not np.all(np.isfinite(image.affine)) or abs(np.linalg.det(image.affine[:3, :3])) < 1e-6:
        return "the affine cannot be inverted; convert the scan again"
    if _frames_differ(image):
        return "sform and qform place the image differently; make them the same (fslorient)"
    low, high = VOXEL_SIZE_MM
    if zooms.min() < low or zooms.max() > high:
        return f"voxel size {np.round(zooms, 3).tolist()} mm is outside {low} to {high} mm"
    extent = zooms * image.shape
    low, high = FIELD_OF_VIEW_MM
    if extent.min() < low or extent.max() > high:
        return f"field of view {np.round(extent).tolist()} mm is outside {low} to {high} mm"
    return None


def _frames_differ(image) -> bool:
    header = image.header
    if not (header["sform_code"] and header["qform_code"]):
        return False
    far_corner = [*image.shape, 1]
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
