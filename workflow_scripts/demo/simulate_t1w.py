"""Simulate a subject's T1-weighted image and write the truth beside it.

The phantom is resampled once, through one displacement field. What is written as truth is
what the image is made from.
"""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo.deformation import (
    Displacement,
    jacobian_determinant,
    native_to_template,
    save_displacement,
)
from workflow_scripts.demo.heads import T1W
from workflow_scripts.demo.images import (
    PUSHES,
    Phantom,
    bias_field,
    contrast,
    grid_points,
    quantised,
    rician,
    save_fractions,
    save_image,
    tissue_fractions,
)
from workflow_scripts.demo.lesions import plant_lesions

INTENSITIES = {
    "wm": 1.0,
    "bone": 0.06,
    "marrow": 0.55,
    "fat": 1.1,
    "muscle": 0.40,
    "cord": 0.8,
}
LESION_SIGNAL = 0.5
TEXTURE = 0.5
WHITE_MATTER = 800.0
COIL_DROP_MM = (-60.0, 35.0)


def t1w_signal(rng, head, fractions, lesion, texture, height):
    """Noise-free T1w signal, white matter about 1.

    The tissues' contrast, the template's texture in the brain, the lesions, grain in muscle and
    marrow, and the coil's sensitivity that falls off towards the neck.

    Parameters
    ----------
    head : dict from `plan_head`: gm_signal and csf_signal are used
    fractions : dict from `tissue_fractions`
    lesion, texture : arrays, fraction of lesion and the phantom's channel ``texture``
    height : array, z in MNI mm
    """
    tissues = {"csf": head["csf_signal"], "gm": head["gm_signal"]}
    signal = contrast(fractions, INTENSITIES | tissues)
    signal += TEXTURE * (texture - 0.5) * (fractions["gm"] + fractions["wm"])
    signal += (LESION_SIGNAL - INTENSITIES["wm"]) * lesion
    grain = gaussian_filter(rng.standard_normal(signal.shape, dtype="f4"), 1.5)
    signal *= 1 + 0.35 * (fractions["muscle"] + fractions["marrow"]) * grain / grain.std()
    start, length = COIL_DROP_MM
    return signal * np.exp(np.minimum(height - start, 0) / length)


def simulate(phantom, seed, head, field_path, scan_seed=None, scan=T1W):
    """T1w image and truth of one head.

    Parameters
    ----------
    phantom : Phantom
    seed : sequence of int, of the head and its position
    head : dict from `plan_head`
    field_path : where the displacement field is written; what is read back is used
    scan_seed : sequence of int, of the scanner's noise; None for ``seed``
    scan : dict with shape and voxel_mm of the image

    Returns
    -------
    t1w : uint16 array
    truth : dict of uint8 arrays on the same grid, in 1/255 of a voxel: gm, wm, csf, lesion (part
        of wm; those of `plant_lesions`), ventricles (part of csf) and thalamus
    brain : bool array, where gm + wm + csf fill half of a voxel
    affine : (4, 4) array
    """
    anatomy, position = (np.random.default_rng([*seed, k]) for k in range(2))
    scanner = np.random.default_rng([*(scan_seed or seed), 2])
    shape, voxel_mm = scan["shape"], np.array(scan["voxel_mm"])
    affine = np.diag([*voxel_mm, 1.0])
    centre = np.array([0.0, -14.0, 4.0])
    top = (98.0 - centre[2]) * head["scale"] + position.uniform(5, 9)
    extent = voxel_mm * (np.array(shape) - 1)
    left, back = position.normal(0, (1.5, 2.0)) - extent[:2] / 2
    affine[:3, 3] = np.round([left, back, top - extent[2]], 2)
    widening = {channel: head[f"{structure}_mm"] for structure, channel in PUSHES.items()}
    displacement, coarse = native_to_template(
        anatomy, phantom, shape, affine, head["scale"], centre, widening
    )
    if jacobian_determinant(displacement).min() <= 0:
        raise ValueError(f"seed {seed}: the simulated deformation folds")
    save_displacement(displacement, coarse, field_path)
    points = Displacement(field_path)(grid_points(shape, affine))
    fractions = tissue_fractions(phantom, points, head["borders"])
    lesions = plant_lesions(anatomy, phantom, points, fractions, head, voxel_mm.prod() / 1000)
    texture = phantom.sample("texture", points)
    signal = t1w_signal(scanner, head, fractions, lesions["lesion"], texture, points[2])
    signal *= WHITE_MATTER * bias_field(scanner, shape)
    t1w = rician(scanner, signal, WHITE_MATTER / head["snr"])
    truth = {
        **{tissue: fractions[tissue] for tissue in ("gm", "wm", "csf")},
        **lesions,
        **phantom.sample_each([*PUSHES], points),
    }
    truth = {name: quantised(data) for name, data in truth.items()}
    brain = truth["gm"].astype("i4") + truth["wm"] + truth["csf"] >= 128
    return np.round(t1w).astype("u2"), truth, brain, affine


def volumes_ml(truth, voxel_ml):
    """True volumes in mL: the integrals of the stored fractions; TIV is GM + WM + CSF."""
    volumes = {
        f"{name}_volume_ml": data.sum(dtype="i8") / 255 * voxel_ml for name, data in truth.items()
    }
    volumes["tiv_ml"] = sum(volumes[f"{tissue}_volume_ml"] for tissue in ("gm", "wm", "csf"))
    return volumes


def main(source, out, params):
    """Write the T1w of a session, and the truth that it was made from."""
    subject = params.subject
    t1w, truth, brain, affine = simulate(
        Phantom.read(source.phantom),
        subject["seed"],
        subject["head"],
        out.field,
        subject["scan_seed"],
        subject["t1w"],
    )
    save_image(t1w, affine, out.t1w)
    save_image(brain.astype("u1"), affine, out.brain)
    for name in ("gm", "wm", "csf", "lesion"):
        save_fractions(truth[name] / 255, affine, getattr(out, name))
    volumes = volumes_ml(truth, np.prod(subject["t1w"]["voxel_mm"]) / 1000)
    row = pd.DataFrame([subject["session"] | volumes])
    write_table(row.round(4), out.volumes, resource("columns/demo.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
