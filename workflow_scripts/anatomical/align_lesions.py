"""Bring a mask of lesions that was drawn on another contrast (FLAIR) to the T1w of its session."""

import tempfile
from pathlib import Path

import nibabel as nib

from workflow_scripts.anatomical.align_contrast import align, read_contrast
from workflow_scripts.anatomical.lesions import read_lesions
from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.bids import drawn_on, entities_of
from workflow_scripts.common.images import save_probability, voxel_volume_ml, write_sidecar
from workflow_scripts.common.job import job

LOST, LOST_ML = 0.1, 0.1


def main(source, out, params):
    """Write the share of lesion of each voxel of the T1w, and how much was drawn.

    The scan is aligned as `align_contrast` aligns it, rigidly, but before the registration to
    MNI152, which needs the lesions. Shares are interpolated linearly, so that the volume stays
    that of the drawing, also from thick slices.
    """
    drawn = read_lesions(source.lesions, source.scan, drawn_on(Path(source.lesions).name))
    t1w = ants.image_read(source.t1w)
    scan = read_contrast(source.scan, entities_of(Path(source.scan).name)["suffix"])
    with tempfile.TemporaryDirectory() as folder:
        rigid = align(t1w, scan, f"{folder}/")
        shares = ants.apply_transforms(t1w, scan.new_image_like(drawn), [rigid]).numpy()
    frame = nib.load(source.t1w)
    save_probability(shares, frame, out.lesions)
    before = float(drawn.sum(dtype=float)) * voxel_volume_ml(nib.load(source.lesions))
    lost = before - float(shares.sum(dtype=float)) * voxel_volume_ml(frame)
    flags = []
    if abs(lost) > max(LOST * before, LOST_ML):
        flags.append(
            f"lesions of {before:.2f} mL were drawn, {before - lost:.2f} mL lie in the T1w: does "
            "it show all of the head?"
        )
    write_sidecar(
        out.sidecar,
        sources=[source.lesions, source.scan, source.t1w],
        software=["antspyx"],
        measures={"lesions_drawn_volume_ml": before},
        Description="Share of lesion, of a mask drawn on another contrast",
        SpatialReference="The T1w of the session, desc-preproc_T1w",
        **({"Flags": flags} if flags else {}),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
