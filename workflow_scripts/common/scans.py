"""Is a scan fit for use?

What is asked of a file depends on its BIDS suffix: `_dwi` is a series with a
gradient table, `_epi` may be one, `_mask` and `_probseg` show a piece of a vessel or the lesions
of a head, `.tsv` holds contours or a centre line; all others are one 3D image of a head.
"""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.bids import (
    drawn_on,
    drawn_region,
    entities_of,
    gradient_files,
    is_lesion_mask,
)
from workflow_scripts.common.copies import sketch, values_hash
from workflow_scripts.common.files import FETCH, LONGEST_POINTER, not_fetched, why_unreadable
from workflow_scripts.common.gradients import b0_volumes, read_gradients, shell_of_alps
from workflow_scripts.common.images import without_single_axes
from workflow_scripts.common.job import InputError
from workflow_scripts.common.volumes import derived_volume, unlike_volume, volume_problem

VOXEL_SIZE_MM = (0.2, 8.0)
FIELD_OF_VIEW_MM = {"brain": (80.0, 500.0), "pelvis": (40.0, 600.0)}
VOXEL_SIZE_OF_VESSELS_MM = (0.05, 8.0)
FIELD_OF_VIEW_OF_VESSELS_MM = (2.0, 500.0)
DIMENSIONS = {"dwi": (4,), "epi": (3, 4)}
FRAME_TOLERANCE_MM = 0.1
FIRST_VOXEL = 352  # byte
UNITS, UNITS_READ_AS_MM = {1: "meters", 3: "microns"}, (0, 2)
UNREAD_TYPES = ("int64", "uint64", "longdouble", "float128", "float16")
LARGEST_SHEAR = 1e-4
# Images whose intensities are a magnitude; maps such as R1map may be negative.
WEIGHTED = ("T1w", "T2w", "PDw", "FLAIR", "T2starw", "inplaneT1", "inplaneT2")
FEW_NEGATIVE, DARK_SHARE, OFFSET_SHARE, ONE_VALUE = 0.001, 0.02, 0.3, 0.1
# Times the 99th percentile; of 12 real scans the brightest voxel has 2 to 3.3.
SPIKE = 30
SMALLEST, LARGEST = 1e-10, 1e10  # ITK takes a slope below 2e-16 for none
SAMPLE = 200_000  # voxels that are looked at for one value that many have
SCAN_FIELDS = ["path", "size_bytes", "mtime_ns", "shape", "voxel_size_mm", "values"]
SCAN_FIELDS += ["sketch", "shell", "directions", "problem"]
# Images of few different values, which agree by chance.
NOT_COMPARED = ("mask", "probseg")
ROUNDING = 1e-3
MOST_DRAWN = 0.5  # share of the voxels that lesions or a region can be


def check_scan(
    path: Path,
    slab: bool = False,
    reverse: bool = False,
    labels: bool = False,
    body_part: str = "brain",
) -> dict:
    """Check one scan.

    It must open to its last byte, have the dimensions of its suffix, an invertible
    affine with voxel sizes and a field of view of a head (or a vessel), hold finite
    values only, and not be constant; a mask of lesions values of 0 to 1, and it may be
    empty. A diffusion series needs a sound gradient
    table, a TSV a header and rows of its length.

    Parameters
    ----------
    slab : whether the image may show a piece of the head alone
    reverse : whether a ``_dwi`` without gradient table is one image of reverse phase encoding
    labels : whether it is another program's label image, of which only these are asked: three
        axes, a place in space, and whole numbers
    body_part : that images are of, a key of `FIELD_OF_VIEW_MM`

    Returns
    -------
    Row with the fields of ``SCAN_FIELDS``; ``problem`` is None for a good scan.
    """
    path = Path(path)
    row = dict.fromkeys(SCAN_FIELDS)
    row["path"] = str(path)
    try:
        row |= stamp(path)
        if not path.is_file():
            row["problem"] = "is a folder or a device, no file; put the scan in its place"
            return row
        if path.suffix == ".tsv":
            row["problem"] = _table_problem(path)
            return row
        image = _open(path)
        suffix = entities_of(path.name)["suffix"]
        zooms = np.linalg.norm(image.affine[:3, :3], axis=0)
        row["shape"] = "x".join(str(n) for n in image.shape)
        row["voxel_size_mm"] = "x".join(f"{z:.3g}" for z in zooms)
        if labels:
            row["problem"] = _labels_problem(image)
            return row
        if reverse and suffix == "dwi":
            row["problem"] = _volumes_problem(image)
            suffix = "epi"
        row["problem"] = row["problem"] or _geometry_problem(image, zooms, suffix, slab, body_part)
        row["problem"] = row["problem"] or _scale_problem(path, image)
        data = None if row["problem"] else np.asanyarray(image.dataobj)
        lesions = is_lesion_mask(path.name)
        row["problem"] = row["problem"] or _value_problem(data, may_be_empty=lesions)
        row["problem"] = row["problem"] or _itk_problem(path, image)
        if (lesions or drawn_region(path.name)) and not row["problem"]:
            row["problem"] = _fraction_problem(data)
        if suffix in WEIGHTED and not row["problem"]:
            row["problem"] = _intensity_problem(data)
        if suffix not in NOT_COMPARED and not row["problem"]:
            row["values"], row["sketch"] = f"v{values_hash(data):016x}", sketch(data)
        if suffix == "epi" and not row["problem"]:
            row["problem"] = _intensity_problem(data if data.ndim == 3 else data[..., 0])
        if suffix == "epi" and data is not None and data.ndim == 4 and not row["problem"]:
            row["problem"] = derived_volume(data, b0_volumes(path, data.shape[3]), zooms)
        if suffix == "dwi" and not row["problem"]:
            gradients = read_gradients(path, image.shape[3])
            row["problem"] = volume_problem(data, gradients.bvals)
            first = data[..., np.flatnonzero(gradients.is_b0)[0]]
            row["problem"] = row["problem"] or _intensity_problem(first)
            row |= shell_of_alps(gradients)
            row["problem"] = row["problem"] or derived_volume(data, gradients.is_b0, zooms)
            row["problem"] = row["problem"] or unlike_volume(data, gradients.bvals, zooms)
    except InputError as error:
        row["problem"] = str(error)
    except FileNotFoundError:
        row["problem"] = f"the file or its link target does not exist; {FETCH} or restore it"
    except PermissionError as error:
        row["problem"] = why_unreadable(path, error).removeprefix(f"{path}: ")
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        row["problem"] = f"not a NIfTI image ({_short(error)}); convert the scan again"
    except (EOFError, OSError, zlib.error, ValueError) as error:
        row["problem"] = f"damaged or cut off ({_short(error)}); copy or convert the scan again"
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
    if path.suffix == ".gz":
        image = type(image).from_bytes(gzip.decompress(path.read_bytes()))
    return without_single_axes(image, path)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _table_problem(path: Path) -> str | None:
    table = pd.read_csv(path, sep="\t")
    return None if len(table) else "has no rows; export it again"


def _geometry_problem(
    image, zooms: np.ndarray, suffix: str, slab: bool, body_part: str
) -> str | None:
    dimensions = DIMENSIONS.get(suffix, (3,))
    if image.ndim not in dimensions:
        wanted = " or ".join(map(str, dimensions))
        what = "split it or choose the right volume"
        if suffix == "dwi" and image.ndim == 3:
            what = "a single b = 0 belongs in fmap/ as _epi, or beside its series without a .bval"
        return f"has {image.ndim} dimensions, not {wanted}; {what}"
    if not np.all(np.isfinite(image.affine)) or abs(np.linalg.det(image.affine[:3, :3])) < 1e-6:
        return "the affine cannot be inverted; convert the scan again"
    if problem := _frame_problem(image, zooms):
        return problem
    vessel = suffix in ("mask", "probseg") and body_part == "brain"
    low, high = VOXEL_SIZE_OF_VESSELS_MM if vessel else VOXEL_SIZE_MM
    if zooms.min() < low or zooms.max() > high:
        return f"voxel size {np.round(zooms, 3).tolist()} mm is outside {low} to {high} mm"
    extent = zooms * image.shape[:3]
    low, high = FIELD_OF_VIEW_OF_VESSELS_MM if vessel or slab else FIELD_OF_VIEW_MM[body_part]
    if extent.min() < low or extent.max() > high:
        return f"field of view {np.round(extent).tolist()} mm is outside {low} to {high} mm"
    return None


def _frame_problem(image, zooms: np.ndarray) -> str | None:
    """Why nibabel and ITK, by which the steps read it, would place an image differently."""
    header = image.header
    codes = int(header["sform_code"]), int(header["qform_code"])
    if isinstance(image, nib.Nifti2Image):
        return "is NIfTI-2, which ITK does not read; save it as NIfTI-1"
    if header.get_data_dtype().name in UNREAD_TYPES:
        return (
            f"is stored as {header.get_data_dtype()}, which ITK does not read; save it as float32"
        )
    if not any(codes):
        return "sform and qform codes are 0, so left and right are not known; convert it again"
    if (unit := int(header["xyzt_units"]) % 8) not in UNITS_READ_AS_MM:
        return f"sizes are in {UNITS.get(unit, f'units of the unknown code {unit}')}; save it in mm"
    far_corner = [*image.shape[:3], 1]
    if all(codes):
        distance = (header.get_sform() - header.get_qform()) @ far_corner
        if np.abs(distance).max() > FRAME_TOLERANCE_MM:
            return "sform and qform place the image differently; make them the same (fslorient)"
    sizes = np.array(header.get_zooms()[:3])
    if not np.abs((sizes - zooms) * image.shape[:3]).max() <= FRAME_TOLERANCE_MM:
        return (
            f"voxel sizes of pixdim {sizes.round(3).tolist()} and of the sform "
            f"{zooms.round(3).tolist()} differ; save it with the right ones"
        )
    axes = image.affine[:3, :3] / zooms
    if np.abs(axes.T @ axes - np.eye(3)).max() > LARGEST_SHEAR:
        return "the axes of its sform are not perpendicular; resample it to a grid without shear"
    return None


def _scale_problem(path: Path, image) -> str | None:
    """Why nibabel and ITK would read other intensities."""
    with nib.openers.ImageOpener(path) as file:
        header = image.header_class.from_fileobj(file, check=False)
    if header["vox_offset"] < FIRST_VOXEL:
        return (
            f"its voxels begin at byte {int(header['vox_offset'])}, within the header, which "
            "programs read differently; convert it again"
        )
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if (slope == 0 or not np.isfinite(slope)) and np.isfinite(intercept) and intercept != 0:
        return (
            f"has a scl_inter of {intercept:g} with a scl_slope of {slope:g}, which programs read "
            "differently; save it with a slope of 1"
        )
    return None


def _itk_problem(path: Path, image) -> str | None:
    """Why ITK would read another image than nibabel, for whatever reason."""
    from workflow_scripts.common.antspyx import ants

    try:
        read = ants.image_header_info(str(path))
    except (RuntimeError, ValueError, KeyError) as error:
        return f"ITK, by which the steps read it, does not ({_short(error)}); convert it again"
    frame = np.eye(4)
    frame[:3, :3] = read["direction"].T[:3, :3] * np.array(read["spacing"][:3])
    frame[:3, 3] = read["origin"][:3]
    frame = np.diag([-1, -1, 1, 1]) @ frame
    corners = np.array([[0, 0, 0, 1], [*image.shape[:3], 1]]).T
    apart = np.abs((frame - image.affine) @ corners).max()
    if read["pixelclass"] != "scalar" or tuple(read["dimensions"][:3]) != image.shape[:3]:
        return "ITK reads it as an image of vectors (intent_code of its header); convert it again"
    if not apart <= FRAME_TOLERANCE_MM:
        return (
            f"ITK, by which the steps read it, places it up to {apart:.3g} mm away from where "
            "nibabel does (pixdim, qform, sform of its header); convert it again"
        )
    return None


def _value_problem(data: np.ndarray, may_be_empty: bool = False) -> str | None:
    if not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        return f"holds values of type {data.dtype}, not real numbers; convert the scan again"
    if not np.isfinite(data).all():
        return (
            f"{int((~np.isfinite(data)).sum())} voxels are NaN or infinite; make them 0 where they "
            "are background (fslmaths -nan), or convert it again"
        )
    if data.min() == data.max() and not (may_be_empty and data.flat[0] == 0):
        return f"all voxels are {data.flat[0]:g}; the image is empty"
    largest = max(abs(float(data.min())), abs(float(data.max())))
    if not SMALLEST <= largest <= LARGEST and not may_be_empty:
        return f"values up to {largest:g} cannot be computed with; save it on another scale"
    return None


def _fraction_problem(data: np.ndarray) -> str | None:
    low, high = float(data.min()), float(data.max())
    if low >= 0 and high <= 1 + ROUNDING:
        inside = float((data > 0.5).mean())
        if inside <= MOST_DRAWN:
            return None
        return f"{100 * inside:.0f} % of the voxels are inside; exchange inside and outside"
    return (
        f"values run from {low:g} to {high:g}; save it as a mask of 0 and 1, or as fractions "
        "between them"
    )


def _intensity_problem(data: np.ndarray) -> str | None:
    """Why a weighted image is not as scanners make them, with a dark background of about 0."""
    lowest, bright = float(data.min()), float(np.percentile(data, 99))
    below = float((data < -DARK_SHARE * abs(bright)).mean())
    if below > FEW_NEGATIVE:
        return (
            f"{100 * below:.1f} % of the voxels are negative, down to {lowest:g} (z-scores, an "
            "offset, padding?); give the image as the scanner made it, with a background of 0"
        )
    if lowest > OFFSET_SHARE * bright:
        return (
            f"the darkest voxel is {lowest:g}, bright ones {bright:g}; subtract the offset, "
            "so that the background is 0"
        )
    if lowest < -bright or data.max() > SPIKE * bright:
        return (
            f"values run from {lowest:g} to {data.max():g}, of 99 % only to {bright:g}; a spike? "
            "set such voxels to what is around them, or convert it again"
        )
    sample = data.ravel(order="K")[:: data.size // SAMPLE | 1]
    values, counts = np.unique(sample[sample > OFFSET_SHARE * bright], return_counts=True)
    share = counts.max(initial=0) / sample.size
    if share > ONE_VALUE:
        return (
            f"{100 * share:.0f} % of the voxels are {values[counts.argmax()]:g} "
            "(padding, clipped values, a mask?); give the image as the scanner made it"
        )
    return None


def _labels_problem(image) -> str | None:
    if image.ndim != 3:
        return f"has {image.ndim} dimensions, not 3; give the image of labels"
    if not np.all(np.isfinite(image.affine)) or abs(np.linalg.det(image.affine[:3, :3])) < 1e-6:
        return "the affine cannot be inverted; write the labels again"
    codes = ("sform_code", "qform_code")
    if isinstance(image, nib.Nifti1Image) and not any(int(image.header[code]) for code in codes):
        return "sform and qform codes are 0, so its place is not known; write the labels again"
    data = np.asanyarray(image.dataobj)
    if problem := _value_problem(data):
        return problem
    if not np.array_equal(data, np.round(data)):
        return "holds values between whole numbers; give the image of labels, not probabilities"
    return None


def _volumes_problem(image) -> str | None:
    volumes = image.shape[3] if image.ndim == 4 else 1
    if volumes == 1:
        return None
    return f"has {volumes} volumes and no .bval beside or above it; restore its gradient table"


def off_grid(mask, scan, contrast: str = "T1w") -> str | None:
    """Why a mask of lesions does not lie on the grid of a scan; both are paths.

    contrast : what the scan is called
    """
    mask, scan = Path(mask), Path(scan)
    space = drawn_on(mask.name)
    if space != contrast:
        return (
            f"space-{space}: no scan of the session that can be used; resample it to the "
            f"{contrast} ({scan.name}), and name it space-{contrast}"
        )
    one, other = nib.load(mask), nib.load(scan)
    shapes = ["x".join(map(str, image.shape[:3])) for image in (one, other)]
    shift = np.abs((one.affine - other.affine)[:3] * [*other.shape[:3], 1]).max()
    if shapes[0] == shapes[1] and shift <= FRAME_TOLERANCE_MM:
        return None
    return (
        f"its grid is not that of the {contrast} ({scan.name}): {shapes[0]} and {shapes[1]} "
        f"voxels, axes or origin up to {shift:.3g} mm apart; resample it to the {contrast}, or "
        "name it by the scan that it is drawn on (space-FLAIR)"
    )


def require_usable(
    path: str, reverse: bool = False, labels: bool = False, body_part: str = "brain"
) -> None:
    """Raise InputError if a scan is not fit for use; options as in `check_scan`."""
    checked = check_scan(path, reverse=reverse, labels=labels, body_part=body_part)
    problem = checked["problem"]
    if problem:
        raise InputError(f"{path}: {problem}")
