"""Simulate segmentations of the middle cerebral arteries: lumen and all inside the outer wall."""

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.images import save_fractions, save_image
from workflow_scripts.demo.vessels import SIDES, arteries, grid_around, partial_volumes, truth


def segmentations(tube):
    """Partial volumes (0..1) of lumen and outer wall on one grid, and its affine."""
    shape, affine = grid_around(tube)
    maps = {
        "lumen": partial_volumes(tube, tube.lumen_mm, shape, affine),
        "outerwall": partial_volumes(tube, tube.outer_mm, shape, affine),
    }
    return maps, affine


def save_segmentation(fractions, affine, kind, path):
    """Write partial volumes as they are (probseg) or voxels that are half inside (mask)."""
    if kind == "probseg":
        save_fractions(fractions, affine, path)
    else:
        save_image((fractions >= 0.5).astype("u1"), affine, path)


def main(source, out, params, wildcards):
    """Write the segmentations of a participant's arteries, and the truth."""
    tubes = arteries(params.subject)
    for side in SIDES:
        maps, affine = segmentations(tubes[side])
        for name, fractions in maps.items():
            path = getattr(out, f"{name}_{side}")
            save_segmentation(fractions, affine, wildcards.kind, path)
    table = truth(params.subject["participant_id"], tubes)
    write_table(table, out.truth, resource("columns/demo.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards)
