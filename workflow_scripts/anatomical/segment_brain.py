"""Tissue maps and regions of a brain, in native space and in MNI152, with volumes."""

import ants
import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.anatomical.fsl import fast_probabilities
from workflow_scripts.anatomical.partial_volume import tissue_shares
from workflow_scripts.anatomical.regions import network_regions, subject_regions
from workflow_scripts.common.images import (
    save_labels,
    save_probability,
    voxel_volume_ml,
    write_sidecar,
)
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource

TISSUES = ["CSF", "GM", "WM"]
MARGIN = 3
SOFTWARE = {
    "atropos": ["antspyx"],
    "hmrf": ["antspyx", "dipy"],
    "fast": ["antspyx", "nipype"],
}


# Of both sides; adults have 9 to 18 mL, patients with multiple sclerosis down to 8.
THALAMUS_ML = (6, 24)
WITHOUT_SHARES = (
    "tissues without partial volumes, since the intensities do not part CSF, GM and WM: "
    "fractions are not comparable with those of other sessions"
)


def tissue_priors(gm: np.ndarray, wm: np.ndarray) -> list[np.ndarray]:
    """Priors of CSF, GM and WM: CSF is what GM and WM leave, outside the template's brain too.

    Subarachnoid CSF lies around the template's brain, which ends at the pia.
    """
    return [np.clip(1 - gm - wm, 0, 1), gm, wm]


def atropos_probabilities(
    t1w: np.ndarray,
    mask: np.ndarray,
    priors: list[np.ndarray],
    spacing: tuple[float, ...],
    prior_weight: float,
) -> np.ndarray:
    """Tissue probabilities by Atropos with spatial priors.

    Avants et al. 2011, doi:10.1007/s12021-011-9109-y: a Gaussian mixture with a
    Markov random field (weight 0.1, radius 1) and priors, five iterations.

    Parameters
    ----------
    t1w, mask, priors : (x, y, z) on one grid; priors in the order of the result
    spacing : voxel size in mm
    prior_weight : 0 (start only) to 1

    Returns
    -------
    (x, y, z, tissue), summing to 1 inside the mask
    """
    box = tuple(
        slice(max(0, axis.min() - MARGIN), axis.max() + MARGIN + 1) for axis in np.where(mask > 0)
    )

    def cropped(data: np.ndarray) -> ants.ANTsImage:
        # Atropos passes images through files; a frame that 32 bits hold exactly
        # keeps ITK from taking them for images of different spaces.
        rounded = [float(np.float32(size)) for size in spacing]
        return ants.from_numpy(data[box].astype(np.float32), spacing=rounded)

    found = ants.atropos(
        a=cropped(t1w),
        x=cropped(mask),
        i=[cropped(prior) for prior in priors],
        m="[0.1,1x1x1]",
        c="[5,0]",
        priorweight=prior_weight,
        r=0,  # a constant seed in place of a random one
        verbose=1,
    )
    result = np.zeros((*mask.shape, len(priors)), np.float32)
    result[box] = np.stack([image.numpy() for image in found["probabilityimages"]], axis=-1)
    return result


def hmrf_probabilities(t1w: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tissue probabilities by dipy's hidden Markov random field, without priors.

    Zhang et al. 2001, doi:10.1109/42.906424.

    Returns
    -------
    (x, y, z, tissue) for CSF, GM, WM by rising intensity
    """
    from dipy.segment.tissue import TissueClassifierHMRF

    # Where an image is 0, dipy adds such noise itself, another one each time.
    brain = t1w * (mask > 0)
    noise = np.random.default_rng(0).normal(1e-3, 1e-4, brain.shape) * brain.max()
    classifier = TissueClassifierHMRF(verbose=False)
    _, _, probabilities = classifier.classify(
        np.where(brain == 0, noise, brain), 3, 0.1, max_iter=25
    )
    return np.asarray(probabilities, np.float32) * (mask > 0)[..., None]


def tissue_labels(probabilities: np.ndarray, posteriors: np.ndarray) -> np.ndarray:
    """Label image (x, y, z): 0 outside, 1 CSF, 2 GM, 3 WM.

    CSF where that is the largest of the ``probabilities``; GM or WM after the ``posteriors`` of
    the first segmentation, which part these two better voxel by voxel (both (x, y, z, tissue)).
    """
    solid = posteriors[..., 1:].argmax(axis=-1) + 2
    labels = np.where(probabilities.argmax(axis=-1) == 0, 1, solid)
    return np.where(probabilities.sum(axis=-1) > 0.5, labels, 0)


def tissue_volumes(probabilities: np.ndarray, voxel_ml: float) -> dict[str, float]:
    """Volumes in mL and fractions of the total intracranial volume.

    TIV = GM + WM + CSF; fraction = tissue / TIV.

    Parameters
    ----------
    probabilities : (x, y, z, tissue) in the order CSF, GM, WM
    voxel_ml : volume of a voxel in mL
    """
    sums = probabilities.reshape(-1, len(TISSUES)).sum(axis=0, dtype=float) * voxel_ml
    volumes = dict(zip((t.lower() for t in TISSUES), sums, strict=True))
    tiv = sum(volumes.values())
    return {
        **{f"{tissue}_volume_ml": volumes[tissue] for tissue in ("gm", "wm", "csf")},
        "tiv_ml": tiv,
        **{f"{tissue}_fraction": volumes[tissue] / tiv for tissue in ("gm", "wm", "csf")},
    }


def main(source, out, params):
    """Segment a brain into tissues and regions, and write them with their volumes."""
    method = params.tissue_segmentation
    t1w, mask = ants.image_read(source.t1w), ants.image_read(source.mask)
    affine, *warps = source.transforms

    def from_template(path, **options):
        image, steps = ants.image_read(path), [affine, *warps[1:]]
        inverted = [True] + [False] * len(warps[1:])
        return ants.apply_transforms(t1w, image, steps, whichtoinvert=inverted, **options).numpy()

    table = pd.read_csv(resource("regions.tsv"), sep="\t")
    indices = dict(zip(table["region"], table["index"], strict=True))
    if source.network:
        atlas = network_regions(np.asanyarray(nib.load(source.network).dataobj), indices)
    else:
        atlas = from_template(source.regions, interpolator="genericLabel").astype(np.uint8)
    shares = None
    if method == "atropos":
        if source.network:
            priors = [nib.load(path).get_fdata(dtype=np.float32) for path in source.network_tissues]
        else:
            priors = tissue_priors(*map(from_template, (source.gm_prior, source.wm_prior)))
        posteriors = atropos_probabilities(
            t1w.numpy(), mask.numpy(), priors, t1w.spacing, params.prior_weight
        )
        ventricles = atlas == indices["ventricles"]
        shares = tissue_shares(t1w.numpy(), mask.numpy(), posteriors, ventricles)
    elif method == "hmrf":
        posteriors = hmrf_probabilities(t1w.numpy(), mask.numpy())
    else:
        posteriors = fast_probabilities(t1w * mask)
    probabilities = posteriors if shares is None else shares
    tissues = tissue_labels(probabilities, posteriors)
    regions = subject_regions(atlas, tissues, t1w.numpy(), indices, t1w.spacing)

    frame = nib.load(source.t1w)
    for index, path in enumerate(out.probabilities):
        save_probability(probabilities[..., index], frame, path)
    save_labels(tissues, frame, out.tissues)
    save_labels(regions, frame, out.regions)
    voxel_ml = voxel_volume_ml(frame)
    volumes = tissue_volumes(probabilities, voxel_ml)
    for region, index in indices.items():
        volumes[f"{region}_volume_ml"] = (regions == index).sum() * voxel_ml
    flags = []
    if method == "atropos" and shares is None:
        flags.append(WITHOUT_SHARES)
    low, high = THALAMUS_ML
    if source.network and not low <= volumes["thalamus_volume_ml"] <= high:
        flags.append(f"network: a thalamus of {volumes['thalamus_volume_ml']:.1f} mL, look at it")
    atlas_files = [source.gm_prior, source.wm_prior, source.regions]
    write_sidecar(
        out.sidecar,
        sources=[source.t1w, *([source.network] if source.network else atlas_files)],
        software=SOFTWARE[method],
        measures=volumes,
        Description="Tissues: 1 CSF, 2 GM, 3 WM",
        TissueSegmentation=method,
        PartialVolumes=shares is not None,
        Labels="network" if source.network else "atlas",
        **({"Flags": flags} if flags else {}),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
