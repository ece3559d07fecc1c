"""How much disk a cohort will take, and what a move on it costs."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

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


def announce(
    counts: Iterable[int], scans: list[str], resolution: int, nonlinear: bool, output_dir: Path
) -> str:
    """What a run is about to work on, and the disk that it will take, where scans are there yet.

    Parameters
    ----------
    counts : sessions in all, with a T1w, with diffusion series, with vessel walls
    scans : paths of the raw ones
    resolution, nonlinear : as in `estimate_bytes`
    output_dir : which exists
    """
    total, t1w, dwi, vessels = counts
    raw_bytes = sum(os.path.getsize(path) for path in scans if os.path.exists(path))
    size = estimate_bytes(raw_bytes, t1w, resolution, nonlinear)
    taken = f"results take about {size / 1e9:.2g} GB in all, " if raw_bytes else ""
    free = shutil.disk_usage(output_dir).free
    return (
        f"{total} sessions: {t1w} with a T1w, {dwi} with diffusion series, {vessels} with vessel "
        f"walls; {taken}{free / 1e9:.2g} GB are free in {output_dir}"
    )


def moved(before: str, bids_dir: Path) -> str:
    """What to say where the dataset of the last run lay in another folder."""
    return (
        f"bids_dir was {before} at the last run and is {bids_dir} now: every step that reads a "
        "scan runs again, and what depends on it. If the scans are the same, keep the old name as "
        f"a link (ln -s {bids_dir} {before}) and leave bids_dir as it was: then nothing does"
    )
