"""What pictures of colour FA show: how bright, and the regions of DTI-ALPS in it."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.common.tables import read_table

BRIGHTNESS = 1.6


def read_regions(path) -> dict[str, np.ndarray | tuple]:
    """Regions of an ALPS table in MNI152 mm.

    Returns
    -------
    dict
        Name to centre and radius, or to the points (n, 3) of a mask's voxels.
    """
    regions = {}
    for row in read_table(path).itertuples():
        if pd.isna(row.mask):
            centre = np.array([row.x, row.y, row.z], float)
            regions[row.roi] = centre, row.diameter_mm / 2
        else:
            image = nib.load(Path(path).parent / row.mask)
            voxels = np.argwhere(np.asanyarray(image.dataobj) > 0)[:, :3]
            regions[row.roi] = nib.affines.apply_affine(image.affine, voxels)
    return regions
