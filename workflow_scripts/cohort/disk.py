"""How much disk a cohort will take."""

TEMPLATE_VOXELS = {1: 8_700_000, 2: 1_100_000}
# Measured on the demo and on real scans at 1 and 2 mm: compressed bytes per voxel of
# the template grid, and of derivatives per byte of compressed raw scan.
BYTES_PER_TEMPLATE_VOXEL = {"affine": 2.5, "nonlinear": 5}
BYTES_PER_RAW_BYTE = 4


def estimate_bytes(raw_bytes: int, sessions: int, resolution: int, nonlinear: bool) -> int:
    """Rough size of all that the workflow keeps of a cohort.

    Parameters
    ----------
    raw_bytes : size of all raw scans together
    sessions : number of sessions with a usable T1w
    resolution : of the template grid in mm
    nonlinear : whether warp fields are kept
    """
    kind = "nonlinear" if nonlinear else "affine"
    normalized = TEMPLATE_VOXELS[resolution] * BYTES_PER_TEMPLATE_VOXEL[kind]
    return round(raw_bytes * BYTES_PER_RAW_BYTE + sessions * normalized)
