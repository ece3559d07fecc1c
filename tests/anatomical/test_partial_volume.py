"""Shares of tissues in voxels that hold two of them, against phantoms of known shares."""

import numpy as np
import pytest

from workflow_scripts.anatomical.partial_volume import Histogram, fit_weights, tissue_shares

MEANS = np.array([40.0, 100.0, 145.0])
NOISE = 6.0
SPACING = (2.0, 2.0, 2.0)


def phantom(csf_mm=4.0, cortex_mm=5.0, seed=0):
    """A ball of white matter with ventricles, cortex and outer CSF at 2 mm, averaged from 0.5 mm.

    Returns
    -------
    t1w (x, y, z), mask, shares (x, y, z, 3), first segmentation (x, y, z, 3), ventricles
    """
    radius = np.sqrt((((np.indices((176, 176, 176)) - 87.5) * 0.5) ** 2).sum(axis=0))
    pial = 42 - csf_mm
    edges = (12, pial - cortex_mm, pial, 42)
    tissue = np.digitize(radius, edges)  # ventricles, WM, GM, CSF, outside
    place = np.array([0, 2, 1, 0, 3])[tissue]
    blocks = (44, 4, 44, 4, 44, 4)
    shares = np.stack(
        [(place == t).reshape(blocks).mean(axis=(1, 3, 5)) for t in range(3)], axis=-1
    )
    mask = shares.sum(axis=-1) > 0.5
    noise = np.random.default_rng(seed).normal(0, NOISE, mask.shape)
    t1w = shares @ MEANS + noise
    first = np.eye(3)[shares.argmax(axis=-1)] * mask[..., None]
    ventricles = (tissue == 0).reshape(blocks).mean(axis=(1, 3, 5)) > 0.5
    return t1w, mask.astype(np.uint8), shares, first, ventricles


def fractions(shares, mask):
    inside = shares[mask > 0].sum(axis=0)
    return inside / inside.sum()


@pytest.mark.parametrize("csf_mm", [2.0, 4.0, 8.0])
def test_fractions_follow_thin_and_thick_csf(csf_mm):
    t1w, mask, truth, first, ventricles = phantom(csf_mm)
    found = tissue_shares(t1w, mask, first, ventricles, SPACING)
    np.testing.assert_allclose(found[mask > 0].sum(axis=-1), 1, atol=1e-5)
    assert not found[mask == 0].any()
    np.testing.assert_allclose(fractions(found, mask), fractions(truth, mask), atol=0.02)


def test_a_first_segmentation_that_lacks_csf_is_mended():
    t1w, mask, truth, first, ventricles = phantom()
    thin = (first[..., 0] > 0) & ~ventricles & (np.indices(mask.shape).sum(axis=0) % 2 == 0)
    first[thin] = [0, 1, 0]  # half of the outer CSF was taken for grey matter
    found = tissue_shares(t1w, mask, first, ventricles, SPACING)
    assert fractions(found, mask)[0] == pytest.approx(fractions(truth, mask)[0], abs=0.02)
    assert abs(fractions(first, mask)[0] - fractions(truth, mask)[0]) > 0.05


def test_scale_and_offset_of_the_intensities_do_not_matter():
    t1w, mask, _, first, ventricles = phantom()
    one = tissue_shares(t1w, mask, first, ventricles, SPACING)
    other = tissue_shares(7 * t1w + 300, mask, first, ventricles, SPACING)
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_tissues_that_differ_from_place_to_place_are_evened():
    """White matter 10 % brighter in front than behind, grey matter the other way round."""
    t1w, mask, truth, first, ventricles = phantom()
    ramp = np.linspace(-0.05, 0.05, mask.shape[1])[:, None]
    white, grey = (truth[..., tissue] * MEANS[tissue] * ramp for tissue in (2, 1))
    uneven = t1w + white - grey
    found = fractions(tissue_shares(uneven, mask, first, ventricles, SPACING), mask)
    np.testing.assert_allclose(found, fractions(truth, mask), atol=0.02)


def test_components_of_a_simulated_histogram():
    """With 30 % CSF, 20 % GM, 20 % WM and 15 % of each mixture."""
    rng = np.random.default_rng(1)
    n = 200_000
    pure = [
        np.full(int(n * share), mean) for share, mean in zip((0.3, 0.2, 0.2), MEANS, strict=True)
    ]
    mixed = [rng.uniform(*MEANS[pair], int(n * 0.15)) for pair in ([0, 1], [1, 2])]
    values = np.concatenate([*pure, *mixed])
    found = fit_weights(values + rng.normal(0, NOISE, len(values)), MEANS, np.full(3, NOISE))
    np.testing.assert_allclose(found.weights, [0.3, 0.2, 0.2, 0.15, 0.15], atol=0.03)


def test_densities_have_mass_one():
    histogram = Histogram(MEANS, np.full(3, NOISE), np.full(5, 0.2))
    values = np.linspace(-60, 260, 20_000)
    mass = np.trapezoid(histogram.densities(values), values, axis=1)
    np.testing.assert_allclose(mass, 1, atol=1e-3)


def test_image_without_contrast_gives_none():
    t1w, mask, _, first, ventricles = phantom()
    flat = np.random.default_rng(0).normal(100, NOISE, t1w.shape)
    assert tissue_shares(flat, mask, first, ventricles, SPACING) is None
    no_csf = np.where(first.argmax(axis=-1)[..., None] == 0, [0, 1, 0], first)
    assert tissue_shares(t1w, mask, no_csf, ventricles, SPACING) is None
