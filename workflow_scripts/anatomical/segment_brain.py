"""Tissue maps and regions of a brain, in native space and in MNI152, with volumes."""

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from skimage.transform import resize

from workflow_scripts.anatomical.fsl import fast_probabilities
from workflow_scripts.anatomical.lesions import LESION, lesions_filled, read_lesions
from workflow_scripts.anatomical.partial_volume import tissue_shares
from workflow_scripts.anatomical.preprocessed import preprocessed_tissues, taken_from
from workflow_scripts.anatomical.regions import (
    GM,
    WM,
    network_regions,
    reach_of_middle_ventricles,
    subject_regions,
)
from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.images import (
    dice,
    save_labels,
    save_probability,
    voxel_volume_ml,
    write_sidecar,
)
from workflow_scripts.common.job import job
from workflow_scripts.common.registration import coarsened, from_template, part_of
from workflow_scripts.common.resources import resource

TISSUES = ["CSF", "GM", "WM"]
MARGIN = 3
# Atropos only begins what `tissue_shares` ends: finer, it takes 40 s instead of 2 at 1 mm, and
# the fractions differ by less than .001.
ATROPOS_MM = 3.0
LEAST_PART = 0.05
SMOOTHING_VOXELS = 0.5
SOFTWARE = {
    "atropos": ["antspyx"],
    "hmrf": ["antspyx", "dipy"],
    "fast": ["antspyx", "nipype"],
}


# Of both sides; adults have 9 to 18 mL, patients with multiple sclerosis down to 8.
THALAMUS_ML = (6, 24)
# Of simulated heads without lesions 0 to 2 mL are dark, of those with 12 to 44 mL 11 to 31.
SURELY_WHITE, DARK_ML = 0.9, 8
WITHOUT_SHARES = (
    "tissues without partial volumes, since the intensities do not part CSF, GM and WM: "
    "fractions are not comparable with those of other sessions"
)


def tissue_priors(gm: np.ndarray, wm: np.ndarray) -> list[np.ndarray]:
    """Priors of CSF, GM and WM: CSF is what GM and WM leave, outside the template's brain too.

    Subarachnoid CSF lies around the template's brain, which ends at the pia.
    """
    return [np.clip(1 - gm - wm, 0, 1), gm, wm]


def box_around(mask: np.ndarray) -> tuple[slice, ...]:
    """Slices of a mask (x, y, z) with `MARGIN` voxels around it."""
    return tuple(slice(max(0, at.min() - MARGIN), at.max() + MARGIN + 1) for at in np.nonzero(mask))


def atropos_probabilities(
    brain: ants.ANTsImage, mask: ants.ANTsImage, priors: list[np.ndarray], prior_weight: float
) -> np.ndarray:
    """Tissue probabilities by Atropos with spatial priors.

    Avants et al. 2011, doi:10.1007/s12021-011-9109-y: a Gaussian mixture with a
    Markov random field (weight 0.1, radius 1) and priors, five iterations.

    Parameters
    ----------
    brain, mask : on one grid
    priors : (x, y, z) on that grid, in the order of the result
    prior_weight : 0 (start only) to 1

    Returns
    -------
    (x, y, z, tissue), summing to 1 inside the mask
    """
    # Atropos passes images through files; a frame that 32 bits hold exactly
    # keeps ITK from taking them for images of different spaces.
    spacing = [float(np.float32(size)) for size in brain.spacing]

    def framed(data: np.ndarray) -> ants.ANTsImage:
        return ants.from_numpy(data.astype(np.float32), spacing=spacing)

    found = ants.atropos(
        a=framed(brain.numpy()),
        x=framed(mask.numpy() > 0),
        i=[framed(prior) for prior in priors],
        m="[0.1,1x1x1]",
        c="[5,0]",
        priorweight=prior_weight,
        r=0,  # a constant seed in place of a random one
        verbose=1,
    )
    return np.stack([image.numpy() for image in found["probabilityimages"]], axis=-1)


def coarse_probabilities(
    t1w: ants.ANTsImage, mask: ants.ANTsImage, priors, prior_weight: float
) -> np.ndarray:
    """`atropos_probabilities` of a brain averaged to `ATROPOS_MM`, on the brain's own grid.

    Parameters
    ----------
    priors : function that gives the priors (x, y, z) on the grid of an image
    """
    part = coarsened(mask, ATROPOS_MM)
    inside = part.numpy() > LEAST_PART
    brain = coarsened(t1w * mask, ATROPOS_MM).numpy() / np.maximum(part.numpy(), LEAST_PART)
    found = atropos_probabilities(
        part.new_image_like(brain * inside),
        part.new_image_like(inside.astype(np.float32)),
        priors(part),
        prior_weight,
    )
    fine = resize(found, (*t1w.shape, found.shape[-1]), order=1, mode="edge")
    fine /= np.maximum(fine.sum(axis=-1, keepdims=True), 1e-6)
    return fine * (mask.numpy() > 0)[..., None]


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


def tissue_labels(probabilities: np.ndarray) -> np.ndarray:
    """Label image (x, y, z): 0 outside, 1 CSF, 2 GM, 3 WM.

    CSF where that is the most likely of ``probabilities`` (x, y, z, tissue); elsewhere GM or WM
    after smoothing by half a voxel, without which noise speckles the deep white matter
    (BrainWeb: Dice GM .899 instead of .877, WM .920 instead of .893).
    """
    grey, white = (gaussian_filter(probabilities[..., t], SMOOTHING_VOXELS) for t in (1, 2))
    labels = np.where(probabilities.argmax(axis=-1) == 0, 1, np.where(white > grey, 3, 2))
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
    """Segment a brain into tissues and regions, and write them with their volumes.

    Tissue maps of another program stand in for the segmentation into tissues.
    """
    given = source.preprocessed
    method = taken_from(given[0]) if given else params.tissue_segmentation
    mask, frame = ants.image_read(source.mask), nib.load(source.t1w)
    inside = mask.numpy()
    box = box_around(inside)
    t1w = ants.image_read(source.t1w)
    t1w = t1w.new_image_like(lesions_filled(t1w.numpy(), inside, t1w.spacing, source))
    t1w, mask = part_of(t1w, box), part_of(mask, box)

    def brought(path, onto, **options):
        return from_template(ants.image_read(path), onto, source.transforms, **options)

    def priors(onto):
        if source.network:
            maps = [ants.image_read(path) for path in source.network_tissues]
            return [ants.resample_image_to_target(one, onto, "linear").numpy() for one in maps]
        return tissue_priors(*(brought(path, onto) for path in (source.gm_prior, source.wm_prior)))

    table = pd.read_csv(resource("regions.tsv"), sep="\t")
    indices = dict(zip(table["region"], table["index"], strict=True))
    template = brought(source.regions, t1w, interpolator="genericLabel").astype(np.uint8)
    if source.network:
        labels = np.asanyarray(nib.load(source.network).dataobj)[box]
        atlas = middle = network_regions(labels, indices)
    else:
        atlas, image = template, ants.image_read(source.regions)
        reach = reach_of_middle_ventricles(
            image.numpy(), indices, nib.load(source.regions).affine
        ).astype(np.float32)
        middle = from_template(
            image.new_image_like(reach), t1w, source.transforms, interpolator="genericLabel"
        )
    shares = None
    if given:
        posteriors = preprocessed_tissues(given, frame, inside)[box]
    elif method == "atropos":
        posteriors = coarse_probabilities(t1w, mask, priors, params.prior_weight)
        inner = atlas == indices["ventricles"]
        shares = tissue_shares(t1w.numpy(), mask.numpy(), posteriors, inner, t1w.spacing)
        if shares is None:
            posteriors = atropos_probabilities(t1w, mask, priors(t1w), params.prior_weight)
    elif method == "hmrf":
        posteriors = hmrf_probabilities(t1w.numpy(), mask.numpy())
    else:
        posteriors = fast_probabilities(t1w * mask)
    probabilities = posteriors if shares is None else shares
    tissues = tissue_labels(probabilities)
    regions = subject_regions(atlas, middle, tissues, t1w.numpy(), indices, t1w.spacing)

    def framed(data):
        image = np.zeros(frame.shape, data.dtype)
        image[box] = data
        return image

    for index, path in enumerate(out.probabilities):
        save_probability(framed(probabilities[..., index]), frame, path)
    save_labels(framed(tissues), frame, out.tissues)
    save_labels(framed(regions), frame, out.regions)
    voxel_ml = voxel_volume_ml(frame)
    volumes = tissue_volumes(probabilities, voxel_ml)
    for region, index in indices.items():
        volumes[f"{region}_volume_ml"] = (regions == index).sum() * voxel_ml
    cortex, ventricles = brought(source.gm_prior, t1w) > 0.5, indices["ventricles"]
    dark = (brought(source.wm_prior, t1w) > SURELY_WHITE) & (tissues > 0) & (tissues != WM)
    if source.lesions:
        dark &= read_lesions(source.lesions, source.t1w)[box] < LESION
    volumes["dark_white_matter_volume_ml"] = dark.sum() * voxel_ml
    overlaps = {
        "grey_matter_overlap": dice(cortex, tissues == GM),
        "ventricles_overlap": dice(template == ventricles, regions == ventricles),
    }
    flags = []
    if method == "atropos" and shares is None:
        flags.append(WITHOUT_SHARES)
    if volumes["dark_white_matter_volume_ml"] > DARK_ML:
        flags.append(
            f"{volumes['dark_white_matter_volume_ml']:.0f} mL where the template has white matter "
            "are as dark as grey matter or CSF: lesions, which then count as these and next to the "
            "ventricles as ventricles, or a failed registration?"
        )
    low, high = THALAMUS_ML
    if source.network and not low <= volumes["thalamus_volume_ml"] <= high:
        flags.append(f"network: a thalamus of {volumes['thalamus_volume_ml']:.1f} mL, look at it")
    if given and source.lesions:
        flags.append(f"tissues {method}, which knew nothing of the lesions of the mask")
    atlas_files = [source.gm_prior, source.wm_prior, source.regions]
    made_from = [source.t1w, *([source.network] if source.network else atlas_files)]
    made_from += [*([source.lesions] if source.lesions else []), *given]
    write_sidecar(
        out.sidecar,
        sources=made_from,
        software=SOFTWARE.get(method, ["antspyx"]),
        measures=volumes | overlaps,
        Description="Tissues: 1 CSF, 2 GM, 3 WM",
        TissueSegmentation=method,
        PartialVolumes=shares is not None,
        LesionsFilled=bool(source.lesions) and not given,
        Labels="network" if source.network else "atlas",
        **({"Flags": flags} if flags else {}),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
