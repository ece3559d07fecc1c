"""Anatomy of a simulated head, and how its images are taken.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import numpy as np

T1W = {"shape": [96, 112, 96], "voxel_mm": [2.0, 2.0, 2.0]}
FLAIR = {
    "shape": [96, 112, 48],
    "voxel_mm": [2.0, 2.0, 4.0],
    "signals": {"csf": 0.12, "gm": 0.73, "wm": 0.62},
    "lesion_contrast": 0.45,
    "snr": 25.0,
}


def plan_head(seed: list[int], age: float, sex: str, severity: float) -> dict:
    """Anatomy and contrast of a head.

    Every subject draws the same numbers whatever ``severity`` is, so that without an effect
    the classes cannot differ.

    Parameters
    ----------
    seed : of the subject
    age : years
    sex : "F" or "M"
    severity : planted effect, 0 for none

    Returns
    -------
    dict with scale (relative to the template), ventricles_mm and thalamus_mm (by how much they
    are wider than the template's), borders (see `images.tissue_fractions`), lesions (number),
    gm_signal and csf_signal (in T1w, relative to white matter) and snr (of white matter)
    """
    rng = np.random.default_rng([*seed, 0, 1])
    size, widening, response, load, burden, thinning, balance, thalamus, gm, csf, noise = (
        rng.standard_normal(11)
    )
    head = {
        "scale": np.clip((0.90 if sex == "F" else 0.94) + 0.02 * size, 0.85, 0.98),
        "ventricles_mm": 0.3 * widening
        + 0.015 * (age - 40)
        + severity * np.clip(5.0 + 0.5 * response, 4.0, 6.0),
        "thalamus_mm": 0.2 * thalamus - 0.005 * (age - 40),
        "gm_signal": 0.70 + 0.01 * gm,
        "csf_signal": 0.35 + 0.01 * csf,
        "snr": np.clip(25 + 2 * noise, 15, 40),
    }
    borders = {"pial": 0.05 * thinning + 0.002 * (age - 40), "white": 0.03 * balance}
    head, borders = (
        {name: round(float(value), 4) for name, value in part.items()} for part in (head, borders)
    )
    lesions = max(round(1 + 0.03 * (age - 40) + load), 0)
    lesions += round(severity * max(18 + 5 * burden, 4))
    return head | {"borders": borders, "lesions": lesions}
