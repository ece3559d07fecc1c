"""Draw the lesion mask of a simulated session: the voxels of its T1w that are mostly lesion."""

import nibabel as nib

from workflow_scripts.common.job import job
from workflow_scripts.demo.images import save_image


def main(source, out, params):
    """Write the mask, of 0 and 1."""
    lesion = nib.load(source.lesion)
    save_image((lesion.get_fdata(dtype="f4") >= 0.5).astype("u1"), lesion.affine, out.mask)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
