"""Who is in the simulated cohort, what is recorded of them, and which scans they have.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import numpy as np

HEALTHY, AFFECTED = "control", "NPSLE"
NO_SCANS, NO_FLAIR, EXCLUDED = {(0, 2)}, {(0, 5), (0, 7), (0, 9), (1, 3), (1, 5)}, {(0, 4)}
NO_DWI, NO_REVERSE, NO_VESSELS = {(0, 3)}, {(0, 6), (1, 4), (2, 3)}, {(1, 2)}
CENTRE_LINES = {(2, 2)}
VESSEL_KINDS = ("probseg", "mask", "contours")
VESSEL_FILES = {
    "probseg": ("desc-lumen_probseg.nii.gz", "desc-outerwall_probseg.nii.gz"),
    "mask": ("desc-lumen_mask.nii.gz", "desc-outerwall_mask.nii.gz"),
    "contours": ("desc-vesselwall_contours.tsv",),
    "points": ("desc-centerline_points.tsv",),
}
# Mean and standard deviation of each class. ALPS of controls and SLE from
# doi:10.1093/rheumatology/keae251; all others are the project's own choice.
ALPS = {HEALTHY: (1.635, 0.139), "non-NPSLE": (1.486, 0.121), AFFECTED: (1.36, 0.12)}
NWI = {HEALTHY: (0.45, 0.03), "non-NPSLE": (0.51, 0.03), AFFECTED: (0.57, 0.03)}
LUMEN_RADIUS_MM = {HEALTHY: (1.40, 0.05), "non-NPSLE": (1.36, 0.05), AFFECTED: (1.31, 0.05)}
LARGEST_TILT_DEGREES = 20.0
LUPUS_ONLY = ("sledai_2k", "disease_duration", "sdi", "anti_dsdna")


def class_of(seed: int, number: int, classes: list[str]) -> tuple[int, int]:
    """Class of a participant number and the rank within that class.

    Numbers are dealt in rounds: each round of ``len(classes)`` numbers holds every class once,
    in an order drawn from the seed and the round alone.

    Returns
    -------
    index into ``classes``, and rank (1, 2, ...)
    """
    turn, place = divmod(number - 1, len(classes))
    order = np.random.default_rng([seed, 0, turn]).permutation(len(classes))
    return int(order[place]), turn + 1


def diagnosis_of(demo: dict, number: int) -> str:
    """Class of participant ``number``."""
    classes = list(demo["subjects"])
    return classes[class_of(demo["seed"], number, classes)[0]]


def between(table: dict, diagnosis: str, effect: float, score: float) -> float:
    """Value at a standard score, the class's mean and standard deviation moved from the controls'.

    With ``effect`` 0 every class has the distribution of the controls, with 1 its own.
    """
    (mean, sd), (own_mean, own_sd) = table[HEALTHY], table.get(diagnosis, table[HEALTHY])
    share = min(effect, 1.0)
    return mean + effect * (own_mean - mean) + (sd + share * (own_sd - sd)) * score


def plant(demo: dict, number: int) -> dict:
    """True ALPS, vessel wall and head tilt of participant ``number``, and two standard scores.

    Left ALPS lies above right by 0.05 in the mean. The scores are for `plan_participant`. Every
    participant draws the same numbers whatever the class and the effect.

    Returns
    -------
    dict with alps_left, alps_right, nwi_left, nwi_right, lumen_radius_left_mm,
    lumen_radius_right_mm, tilt_degrees, tilt_axis (three numbers, unit length) and scores
    """
    diagnosis, effect = diagnosis_of(demo, number), float(demo["effect"])
    rng = np.random.default_rng([demo["seed"], 6, number])
    alps, gap, nwi, lumen, *scores = rng.standard_normal(6)
    sides, axis = rng.standard_normal((2, 2)), rng.standard_normal(3)
    alps = between(ALPS, diagnosis, effect, alps)
    half = 0.025 + 0.01 * gap
    planted = {
        "alps_left": np.clip(alps + half, 1.05, 2.2),
        "alps_right": np.clip(alps - half, 1.05, 2.2),
    }
    for side, (wall, width) in zip(("left", "right"), sides, strict=True):
        planted[f"nwi_{side}"] = np.clip(
            between(NWI, diagnosis, effect, nwi) + 0.01 * wall, 0.35, 0.70
        )
        radius = between(LUMEN_RADIUS_MM, diagnosis, effect, lumen) + 0.02 * width
        planted[f"lumen_radius_{side}_mm"] = np.clip(radius, 1.2, 1.5)
    planted = {name: round(float(value), 4) for name, value in planted.items()}
    return planted | {
        "tilt_degrees": round(float(rng.uniform(0, LARGEST_TILT_DEGREES)), 2),
        "tilt_axis": [round(float(part), 4) for part in axis / np.linalg.norm(axis)],
        "scores": [float(score) for score in scores],
    }


def plan_participant(demo: dict, number: int) -> dict:
    """Row of participants.tsv of participant ``number``; depends on no other participant.

    Distributions after Inglese et al. 2022, Table 1A (doi:10.3389/fnins.2022.695888). What
    differs between the classes there is shifted by the planted effect, so that without it the
    classes are alike. Cognition falls and anti-dsDNA rises with falling ALPS, as much as the
    effect is large. Controls have nothing that only lupus has.
    """
    diagnosis = diagnosis_of(demo, number)
    effect = demo["effect"] if diagnosis == AFFECTED else 0.0
    rng = np.random.default_rng([demo["seed"], 1, number])
    age = int(np.clip(np.round(rng.normal(41, 13)), 18, 78))
    sex = "F" if rng.random() < 0.9 else "M"
    planted = plant(demo, number)
    mean_alps = (planted["alps_left"] + planted["alps_right"]) / 2
    link = demo["effect"] * (mean_alps - ALPS["non-NPSLE"][0]) / ALPS["non-NPSLE"][1]
    cognition, antibodies = planted["scores"]
    row = {
        "participant_id": f"sub-{number:03d}",
        "age": age,
        "sex": sex,
        "diagnosis": diagnosis,
        "sledai_2k": int(np.clip(np.round(rng.exponential(4) + 4 * effect), 0, 40)),
        "disease_duration": round(float(np.clip(rng.exponential(8), 0, age - 14)), 1),
        "sdi": int(rng.poisson(0.9) + np.round(effect * rng.poisson(0.6))),
        "bmi": round(float(np.clip(rng.normal(25, 5), 16, 45)), 1),
        "hypertension": "yes" if rng.random() < 0.30 + 0.07 * min(effect, 1) else "no",
        "moca": int(np.clip(np.round(25.0 + 1.6 * link + 1.1 * cognition), 10, 30)),
        "anti_dsdna": round(float(10 ** (1.6 - 0.25 * link + 0.2 * antibodies)), 1),
    }
    if diagnosis == HEALTHY:
        row |= dict.fromkeys(LUPUS_ONLY)
    return row


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


def plan_scans(name: str, diagnosis: str, place: tuple[int, int]) -> list[tuple[str, str]]:
    """Suffix and path, relative to the BIDS folder, of the files of a participant.

    Parameters
    ----------
    name : participant_id
    place : index of the class and rank in it, which decide on the gaps
    """
    if place in NO_SCANS:
        return []
    files = [("T1w", f"{name}/anat/{name}_T1w.nii.gz")]
    if diagnosis != HEALTHY and place not in NO_FLAIR:
        files.append(("FLAIR", f"{name}/anat/{name}_FLAIR.nii.gz"))
    if place not in NO_DWI:
        files.append(("dwi", f"{name}/dwi/{name}_dir-AP_dwi.nii.gz"))
        if place not in NO_REVERSE:
            files.append(("epi", f"{name}/fmap/{name}_dir-PA_epi.nii.gz"))
    kind = vessel_kind(place)
    if kind == "points":
        files.append(("VWI", f"{name}/anat/{name}_acq-vwi_T1w.nii.gz"))
    for ending in VESSEL_FILES.get(kind, ()):
        for side in "LR":
            path = f"derivatives/vessels/{name}/anat/{name}_hemi-{side}_label-MCA_{ending}"
            files.append(("vesselwall", path))
    return files


def vessel_kind(place: tuple[int, int]) -> str | None:
    """As what the vessels of a class index and rank are given: a key of `VESSEL_FILES`, or None."""
    if place in NO_SCANS or place in NO_VESSELS:
        return None
    return "points" if place in CENTRE_LINES else VESSEL_KINDS[place[1] % len(VESSEL_KINDS)]


def plan_cohort(demo: dict) -> tuple[list[dict], list[dict], list[dict]]:
    """Plan the simulated cohort.

    Each class takes the first of the numbers dealt to it (`class_of`), so ids have gaps where
    the classes differ in size, and raising any count adds participants without changing an
    existing one. Among the counts are one participant without scans, some without one of the
    modalities and one to be excluded, each at a fixed rank of its class.

    Parameters
    ----------
    demo : dict with ``subjects`` (class name -> number of participants, in a fixed order),
        ``seed`` (not negative) and ``effect`` (0 for a cohort without class differences)

    Returns
    -------
    participants : rows of participants.tsv, by participant_id
    scans : participant_id, session_id (None), suffix and path relative to the BIDS folder, one
        row per file: T1w, FLAIR, dwi, epi (reverse phase encoding), vesselwall (segmentations,
        several) and VWI (vessel-wall image, where the vessels are given as centre lines)
    exclusions : participant_id, session_id, suffix (None: all) and reason
    """
    classes = list(demo["subjects"])
    participants, scans, exclusions = [], [], []
    for number in range(1, len(classes) * max(demo["subjects"].values()) + 1):
        index, rank = class_of(demo["seed"], number, classes)
        if rank > demo["subjects"][classes[index]]:
            continue
        participants.append(plan_participant(demo, number))
        name, place = participants[-1]["participant_id"], (index, rank)
        everything = {"participant_id": name, "session_id": None}
        if place in EXCLUDED:
            exclusions.append(everything | {"suffix": None, "reason": "head motion"})
        for suffix, path in plan_scans(name, classes[index], place):
            scans.append(everything | {"suffix": suffix, "path": path})
    return participants, scans, exclusions


def simulation(demo: dict, participant_id: str, keys=None) -> dict:
    """What the images of a participant depend on.

    Parameters
    ----------
    keys : those to return, so that a rule depends on no others; None for all

    Returns
    -------
    dict with participant_id, seed (list of int, for numpy), head (from `plan_head`) and its
    borders, vessels (a key of `VESSEL_FILES`) and the truth from `plant`
    """
    number = int(participant_id.removeprefix("sub-"))
    row, planted = plan_participant(demo, number), plant(demo, number)
    del planted["scores"]
    seed = [demo["seed"], 2, number]
    severity = float(demo["effect"]) if row["diagnosis"] == AFFECTED else 0.0
    head = plan_head(seed, row["age"], row["sex"], severity)
    everything = {
        "participant_id": participant_id,
        "seed": seed,
        "head": head,
        "borders": head["borders"],
        "vessels": vessel_kind(class_of(demo["seed"], number, list(demo["subjects"]))),
        **planted,
    }
    return everything if keys is None else {key: everything[key] for key in keys}
