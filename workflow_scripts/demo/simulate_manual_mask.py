"""Draw the thalamus of a simulated session as a rater does, with a bias and a hand of their own."""

import nibabel as nib
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.images import Phantom, grid_points, save_image
from workflow_scripts.demo.thalamus import RATERS

WAVER_VOXELS = 1.5


def draw(thalamus, spacing, bias_mm, waver_mm, rng):
    """Mask (x, y, z) uint8 of a structure whose border a rater draws.

    Parameters
    ----------
    thalamus : (x, y, z), true fraction of each voxel
    spacing : voxel size in mm
    bias_mm : how far outside of the true border they draw
    waver_mm : SD of a smooth field by which that varies
    """
    inside = thalamus >= 0.5
    depth = distance_transform_edt(inside, spacing) - distance_transform_edt(~inside, spacing)
    # Of the voxels at the border the depth is what their fractions say.
    edge = (thalamus > 0) & (thalamus < 1)
    depth[edge] = (thalamus[edge] - 0.5) * min(spacing)
    field = gaussian_filter(rng.standard_normal(thalamus.shape), WAVER_VOXELS)
    return (depth + bias_mm + waver_mm * field / field.std() > 0).astype("u1")


def main(source, out, params, wildcards):
    """Write the mask of a rater, both sides in one."""
    head, rater = nib.load(source.t1w), wildcards.rater
    points = Displacement(source.field)(grid_points(head.shape, head.affine))
    thalamus = Phantom.read(source.phantom).sample("thalamus", points)
    rng = np.random.default_rng([*params.subject["scan_seed"], 6, [*RATERS].index(rater)])
    mask = draw(thalamus, head.header.get_zooms()[:3], *RATERS[rater], rng)
    save_image(mask, head.affine, out.mask)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
