"""Volumes of the lesions of a session, in all and by region."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from workflow_scripts.anatomical.lesions import read_lesions
from workflow_scripts.anatomical.regions import FLUID
from workflow_scripts.common.images import write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource

PERIVENTRICULAR_MM = 10.0


def lesion_volumes(
    lesions: np.ndarray, regions: np.ndarray, index: dict[str, int], spacing, tiv_ml: float
) -> dict[str, float]:
    """Volumes of lesions in mL, and their share of the total intracranial volume.

    What lies in CSF or outside of the brain counts in the total alone. Periventricular lesions
    are those voxels within `PERIVENTRICULAR_MM` of the lateral ventricles, whatever region they
    are in; without ventricles there is no such measure.

    Parameters
    ----------
    lesions : (x, y, z) share of lesion, 0 to 1
    regions : (x, y, z) region index, 0 outside
    index : region name -> label
    spacing : voxel size in mm
    tiv_ml : total intracranial volume in mL
    """
    voxel_ml = float(np.prod(spacing)) / 1000

    def volume(where) -> float:
        return float(lesions[where].sum(dtype=float) * voxel_ml)

    found = {"lesions_volume_ml": volume(...)}
    found["lesions_fraction"] = found["lesions_volume_ml"] / tiv_ml
    for region, label in index.items():
        if region not in FLUID:
            found[f"lesions_{region}_volume_ml"] = volume(regions == label)
    ventricles = regions == index[FLUID[0]]
    if ventricles.any():
        near = distance_transform_edt(~ventricles, sampling=spacing) <= PERIVENTRICULAR_MM
        found["lesions_periventricular_volume_ml"] = volume(near)
    return found


def main(source, out, params):
    """Write the volumes of the lesions of a session."""
    lesions = read_lesions(source.lesions, source.regions)
    regions = nib.load(source.regions)
    table = pd.read_csv(resource("regions.tsv"), sep="\t")
    measures = lesion_volumes(
        lesions,
        np.asanyarray(regions.dataobj),
        dict(zip(table["region"], table["index"], strict=True)),
        regions.header.get_zooms()[:3],
        json.loads(Path(source.tissues).read_text())["Measures"]["tiv_ml"],
    )
    write_sidecar(
        out.sidecar,
        sources=[source.lesions, source.regions],
        software=["scipy"],
        measures=measures,
        Description="Volumes of the lesions of a mask, by the subject's own regions",
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
