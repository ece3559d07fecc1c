"""Draw the sacroiliac joints of a simulated pelvis as a rater does, both in one mask."""

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.demo.images import grid_points, save_image
from workflow_scripts.demo.pelvic_tissues import Pelvis
from workflow_scripts.demo.spondyloarthritis import RATERS

WAVER_VOXELS = (3.0, 3.0, 0.8)


def draw(depth_mm, bias_mm, waver_mm, rng):
    """Mask (x, y, z) uint8 of a region whose border a rater draws slice by slice.

    Parameters
    ----------
    depth_mm : (x, y, z), depth of the voxels inside of the true border
    bias_mm : how far outside of the true border they draw
    waver_mm : SD of a smooth field by which that varies
    """
    field = gaussian_filter(rng.standard_normal(depth_mm.shape), WAVER_VOXELS)
    return (depth_mm + bias_mm + waver_mm * field / field.std() > 0).astype("u1")


def main(source, out, params, wildcards):
    """Write the mask of a rater, on the grid of the T1w."""
    image, subject, rater = nib.load(source.t1w), params.subject, wildcards.rater
    pelvis = Pelvis(subject["seed"], subject["pelvis"], subject["signs"])
    depth = pelvis.regions(grid_points(image.shape[:3], image.affine))
    rng = np.random.default_rng([*subject["seed"], 6, [*RATERS].index(rater)])
    save_image(draw(depth, *RATERS[rater], rng), image.affine, out.mask)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
