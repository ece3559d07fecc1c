"""Which scans hold the same voxel values, whatever their headers say."""

import hashlib
from collections import Counter, defaultdict

import numpy as np

HASHED_AT_ONCE = 1 << 16  # voxels, which the processor keeps at hand
MOST_LEVELS, MOST_BINS = 0.5, 1 << 17  # share of voxels; different values
# Of sketches: patches, how many two scans must have in common, one in how many (as bits) is
# looked at, how bright (of the 99th percentile) and how varied they are.
PATCHES, COMMON, ONE_IN_BITS, BRIGHT, VARIED = 24, 8, 4, 0.2, 4
MOST_PLACES = 150_000


def values_hash(data: np.ndarray) -> int:
    """Number of 64 bits that two images share if they hold the same values, each as often.

    Whatever their data types, the order of their axes, what their headers say, and the scale: it
    is that of how many voxels have each value, in the order of the values, and of where 0 lies
    between these. Where most voxels have a value of their own (floats), that says nothing: there
    of each voxel the value in single precision is mixed, and the results are summed.
    """
    counts, zero = _levels(data)
    if len(counts) < MOST_LEVELS * data.size:
        digest = hashlib.blake2b(np.append(counts, zero).astype("<i8").tobytes(), digest_size=8)
        return int.from_bytes(digest.digest(), "big")
    flat, total = data.ravel(order="K"), 0
    for start in range(0, flat.size, HASHED_AT_ONCE):
        total += int(_mixed(flat[start : start + HASHED_AT_ONCE]).sum())
    return total % 2**64


def _levels(data: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """How many voxels have each value, from the lowest on; places of the first not below and of
    the first above 0."""
    flat = data.ravel(order="K")
    low = flat.min()
    if np.issubdtype(flat.dtype, np.integer) and int(flat.max()) - int(low) < MOST_BINS:
        bins = np.zeros(int(flat.max()) - int(low) + 1, int)
        for start in range(0, flat.size, HASHED_AT_ONCE):
            part = flat[start : start + HASHED_AT_ONCE].astype(np.int64) - int(low)
            bins += np.bincount(part, minlength=len(bins))
        values, counts = np.flatnonzero(bins) + int(low), bins[bins > 0]
    else:
        ordered = np.sort(flat.astype(np.float32))
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        values, counts = ordered[starts], np.diff(np.append(starts, flat.size))
    return counts, (np.searchsorted(values, 0), np.searchsorted(values, 0, "right"))


def _mixed(values: np.ndarray) -> np.ndarray:
    """Bits of values in single precision, well mixed (after Steele et al. 2014, SplitMix64)."""
    mixed = (values.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.uint64)
    return _scattered(mixed)


def _scattered(mixed: np.ndarray) -> np.ndarray:
    mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def same_volumes(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two series (x, y, z, volumes) have a volume in common."""
    hashes = [{values_hash(v) for v in np.moveaxis(data, -1, 0)} for data in (one, other)]
    return not hashes[0].isdisjoint(hashes[1])


def sketch(data: np.ndarray) -> str | None:
    """Text of `PATCHES` numbers that most parts of a picture share with it, cut, padded or turned.

    A number stands for a voxel and its six neighbours in single precision. Those of bright,
    varied places of the (first) volume are made, and the lowest kept (bottom-k sketch, Broder
    1997): of two pictures as large a share of the numbers agrees as of their voxels. None where
    there are fewer than `COMMON`.
    """
    volume = data[..., 0] if data.ndim == 4 else data
    if min(volume.shape) < 3:
        return None
    inner = volume[1:-1, 1:-1, 1:-1]
    shown = volume[::2, ::2, ::2]
    shown = shown[shown > 0]
    places = np.flatnonzero(inner > BRIGHT * np.percentile(shown, 99)) if shown.size else []
    if not len(places):
        return None
    centre = inner.ravel()[places].astype(np.float32)
    looked_at = (centre.view(np.uint32) * np.uint32(2654435761)) >> np.uint32(32 - ONE_IN_BITS) == 0
    hashes, places = _mixed(centre[looked_at]), places[looked_at]
    if len(places) > MOST_PLACES:
        lowest = np.argpartition(hashes, MOST_PLACES)[:MOST_PLACES]
        hashes, places = hashes[lowest], places[lowest]
    x, y, z = np.unravel_index(places, inner.shape)
    steps = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]
    around = np.array([volume[x + i, y + j, z + k] for i, j, k in steps])
    different = (np.diff(np.sort(around, axis=0), axis=0) > 0).sum(axis=0) + 1
    total = hashes * np.uint64(3) + sum(map(_mixed, around))
    kept = np.unique(_scattered(total[different >= VARIED]))[:PATCHES]
    numbers = "-".join(f"{number >> np.uint64(32):08x}" for number in kept)
    return f"s{numbers}" if len(kept) >= COMMON else None


def alike(sketches: dict[str, str]) -> dict[str, list[str]]:
    """By name the others whose sketches say that they show the same picture, cut or padded."""
    having, common = defaultdict(list), defaultdict(Counter)
    for name, text in sketches.items():
        for number in text[1:].split("-"):
            having[number].append(name)
    for names in having.values():
        for name in names if len(names) > 1 else ():
            common[name].update(other for other in names if other != name)
    return {
        name: [other for other, count in sorted(found.items()) if count >= COMMON]
        for name, found in common.items()
    }
