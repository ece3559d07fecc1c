"""Volumes of a diffusion series that are not what its gradient table says.

Such as maps that a scanner appends with b = 0: its trace, ADC or FA.
"""

import numpy as np
from skimage.measure import block_reduce

from workflow_scripts.common.gradients import B0_THRESHOLD

BLOCK_MM = 8.0
HEAD_SHARE = 0.15
# Of three real series 0.93 to 1 after a movement of 6 mm; ADC maps 2 to 4, means over the
# directions 0.2 to 0.4, FA 0.
SAME_B0 = (0.7, 1.4)
# Correlations with the first b = 0 and with the maps made of the series. In three real series and
# a simulated one a map of the ADC had 0.2 to 0.5 more with the latter, a mean over the directions
# 0.26 to 0.5, b = 0 volumes moved by 10 mm or turned by 20 degrees at least 0.45 and 0 less; these
# had 0.53 or more with the first b = 0, FA maps 0.07 at most.
LIKER, SAME_MEAN, UNLIKE = 0.1, 0.9, 0.3
# s/mm2, and share of the signal of b = 0 that nothing in a head keeps there.
STRONG_B, NOT_WEIGHTED = 500, 0.95
COMPARED = 3  # weighted volumes
FEWEST_BLOCKS = 50
DARK, DARK_SHARE = 0.1, 0.2  # of a volume whose recording broke off
REMOVE = "remove it from image, .bval and .bvec"


def volume_problem(data: np.ndarray, bvals: np.ndarray) -> str | None:
    """Which volume (x, y, z) of a series is empty, or brighter than diffusion weighting lets it be.

    Parameters
    ----------
    data : (x, y, z, volumes)
    bvals : (volumes,) in s/mm2
    """
    for volume in range(len(bvals)):
        if data[..., volume].min() == data[..., volume].max():
            return f"volume {volume} (from 0) is empty; {REMOVE}"
    first = np.flatnonzero(bvals <= B0_THRESHOLD)[0]
    b0 = data[..., first]
    head = b0 > HEAD_SHARE * np.percentile(b0, 99)
    level = np.median(b0[head]) if head.any() else 0
    for volume in np.flatnonzero(bvals > B0_THRESHOLD):
        signal = np.median(data[..., volume][head]) if level > 0 else 0
        if signal > SAME_B0[1] * level:
            return (
                f"volume {volume} (from 0) has b = {bvals[volume]:g} and {signal / level:.2g} "
                f"times the signal of volume {first}, b = 0; are image and .bval of one series?"
            )
    return None


def unlike_volume(data: np.ndarray, bvals: np.ndarray, zooms: np.ndarray) -> str | None:
    """Which weighted volume of a series is none, or whether none is.

    In blocks of `BLOCK_MM` in the head the weighted volumes have less signal than b = 0, and look
    like their median, not like the ADC. Of three real series each volume had a correlation of
    0.91 or more with the former and of -0.51 at most with the latter, and all together 0.16 to
    0.35 of the signal of b = 0.

    Parameters
    ----------
    data : (x, y, z, volumes)
    bvals : (volumes,) in s/mm2
    zooms : voxel sizes in mm
    """
    first, weighted = np.flatnonzero(bvals <= B0_THRESHOLD)[0], np.flatnonzero(bvals > B0_THRESHOLD)
    if not len(weighted):
        return None
    block = tuple(max(1, round(BLOCK_MM / size)) for size in zooms)
    b0 = block_reduce(data[..., first], block, np.mean)
    head = (b0 > HEAD_SHARE * np.percentile(b0, 99)) & (b0 > 0)
    if head.sum() < FEWEST_BLOCKS:
        return None
    blocks = np.array([block_reduce(data[..., v], block, np.mean)[head] for v in weighted])
    median = np.median(blocks, axis=0)
    if not np.corrcoef(median, b0[head])[0, 1] > UNLIKE:
        return None  # one picture in neither
    strong = bvals[weighted] >= STRONG_B
    share = np.median(blocks[strong] / b0[head]) if strong.any() else 0
    if share > NOT_WEIGHTED:
        return (
            f"volumes of b = {bvals[weighted].max():g} have {share:.2g} times the signal of volume "
            f"{first}, b = 0; are image and .bval of one series?"
        )
    adc = np.log(b0[head] / np.maximum(median, 1e-6))
    for volume, values in zip(weighted, blocks, strict=True):
        with np.errstate(invalid="ignore"):
            like, like_adc = (np.corrcoef(values, other)[0, 1] for other in (median, adc))
        found = f"volume {volume} (from 0) has b = {bvals[volume]:g} and "
        if like_adc > like + LIKER:
            return f"{found}looks more like the ADC than like the other weighted volumes; {REMOVE}"
        if (dark := (values < DARK * median).mean()) > DARK_SHARE:
            return f"{found}no signal in {100 * dark:.0f} % of the head; {REMOVE}"
        if like < UNLIKE:
            return f"{found}does not look like the other weighted volumes; {REMOVE}"
    return None


def derived_volume(data: np.ndarray, is_b0: np.ndarray, zooms: np.ndarray) -> str | None:
    """Which volume of b = 0 is none.

    The b = 0 volumes of a series have one scale, whatever the head does between them: their
    medians over what is bright in the first, in blocks of `BLOCK_MM`, differ by a few percent.
    There they are also more like the first than like the ADC, ln(b = 0 / mean of the weighted
    volumes), or that mean.

    Parameters
    ----------
    data : (x, y, z, volumes)
    is_b0 : (volumes,) bool
    zooms : voxel sizes in mm
    """
    first, *others = np.flatnonzero(is_b0)
    if not others:
        return None
    block = tuple(max(1, round(BLOCK_MM / size)) for size in zooms)
    means = block_reduce(data[..., first], block, np.mean)
    head = means > HEAD_SHARE * np.percentile(means, 99)
    made = _made_of_series(data, first, is_b0, block, head)
    low, high = SAME_B0
    for volume in others:
        blocks = block_reduce(data[..., volume], block, np.mean)[head]
        ratio = np.median(blocks / means[head])
        found = f"{ratio:.2g} times the signal of volume {first}"
        if low <= ratio <= high:
            found = made and _like_a_map(blocks, means[head], *made)
        if found:
            return (
                f"volume {volume} (from 0) has b = 0 and {found}; a trace, ADC or FA map? {REMOVE}"
            )
    return None


def _made_of_series(data, first, is_b0, block, head):
    """ADC (times b) and mean of the weighted volumes in the blocks of the head; None without."""
    if is_b0.all():
        return None
    mean = np.zeros(data.shape[:3], np.float32)
    for volume in np.flatnonzero(~is_b0):
        mean += data[..., volume]
    mean /= (~is_b0).sum()
    adc = np.log(np.maximum(data[..., first], 1e-6) / np.maximum(mean, 1e-6))
    adc = np.where(data[..., first] > 0, np.clip(adc, 0, 4), 0)
    return tuple(block_reduce(made, block, np.mean)[head] for made in (adc, mean))


def _like_a_map(blocks, b0, adc, mean) -> str | None:
    with np.errstate(invalid="ignore"):  # a constant image is like none
        like = [np.corrcoef(blocks, other)[0, 1] for other in (b0, adc, mean)]
    if like[1] > like[0] + LIKER:
        return "looks more like the ADC than like the first b = 0"
    if like[2] > max(like[0] + LIKER, SAME_MEAN):
        return "looks more like the weighted volumes than like the first b = 0"
    return "does not look like the first b = 0" if like[0] < UNLIKE else None


def weighted_image(image: np.ndarray, series, bvals: np.ndarray, zooms: np.ndarray) -> str | None:
    """Why an image (x, y, z) of reverse phase encoding is not b = 0, as its name says.

    In blocks of `BLOCK_MM` in the head it looks more like the weighted volumes of the series that
    it serves than like its b = 0. Of a pair of real series (b = 2500, distorted by up to 6 voxels
    in opposite ways) b = 0 had a correlation with the latter that was 0.12 to 0.15 greater than
    with the former, weighted volumes one that was 0.2 to 0.27 less.

    Parameters
    ----------
    series : (x, y, z, volumes), an array or nibabel's proxy of one
    bvals : of the series, (volumes,) in s/mm2
    zooms : voxel sizes in mm
    """
    weighted = np.flatnonzero(bvals >= STRONG_B)[:COMPARED]
    if not len(weighted):
        return None
    volumes = [np.flatnonzero(bvals <= B0_THRESHOLD)[0], *weighted]
    block = tuple(max(1, round(BLOCK_MM / size)) for size in zooms)
    read = [image, *(np.asarray(series[..., volume], np.float32) for volume in volumes)]
    blocks, b0, *others = (block_reduce(volume, block, np.mean) for volume in read)
    head = (b0 > HEAD_SHARE * np.percentile(b0, 99)) & (b0 > 0)
    if head.sum() < FEWEST_BLOCKS:
        return None
    with np.errstate(invalid="ignore"):
        like, like_weighted = (
            np.corrcoef(blocks[head], other[head])[0, 1] for other in (b0, np.mean(others, axis=0))
        )
    if like_weighted > like + LIKER:
        return "looks more like the weighted volumes of its series than like b = 0; exclude it"
    return None
