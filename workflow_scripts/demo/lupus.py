"""The simulated cohort of systemic lupus: who is in it, what is recorded of them, their scans.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import numpy as np

from workflow_scripts.common.resources import resource
from workflow_scripts.demo.heads import FLAIR, T1W, plan_head
from workflow_scripts.demo.members import Plan, class_of, dealt

SUBJECTS = {"non-NPSLE": 9, "NPSLE": 6, "control": 5}
COLUMNS, DERIVATIVES = resource("columns/demo.tsv"), "vessels"
ABOUT = """with classes, seed and planted effect of the key `demo` of
the configuration; their diffusion tensors are planted in template axes, and their vessels are
bent tubes."""
BODY_PART, ABOUT_DERIVATIVES = "brain", "Simulated segmentations of vessel walls"
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


def planted(demo: dict) -> list[str]:
    """Where the effect changes images: what `compare_gradcam_with_truth` knows by these names."""
    return ["lesions", "ventricles"]


def plan_cohort(demo: dict) -> Plan:
    """Plan of the cohort.

    Among the counts are one participant without scans, some without one of the modalities and
    one to be excluded, each at a fixed rank of its class.

    Parameters
    ----------
    demo : dict with ``subjects`` (class name -> number of participants, in a fixed order),
        ``seed`` (not negative) and ``effect`` (0 for a cohort without class differences)

    Returns
    -------
    Plan without sessions; its scans are T1w, FLAIR, dwi, epi (reverse phase encoding), vesselwall
    (segmentations, several) and VWI (vessel-wall image, where the vessels are given as centre
    lines)
    """
    classes = list(demo["subjects"])
    participants, scans, exclusions = [], [], []
    for number, place in dealt(demo):
        participants.append(plan_participant(demo, number))
        name = participants[-1]["participant_id"]
        everything = {"participant_id": name, "session_id": None}
        if place in EXCLUDED:
            exclusions.append(everything | {"suffix": None, "reason": "head motion"})
        for suffix, path in plan_scans(name, classes[place[0]], place):
            scans.append(everything | {"suffix": suffix, "path": path})
    return Plan(participants, scans, exclusions, sessions=[], masks=[], sidecars={})


def simulation(demo: dict, prefix: str) -> dict:
    """What the images of a participant depend on.

    Returns
    -------
    dict with participant_id, session (keys of the participant's rows), seed (list of int, for
    numpy) and scan_seed, head (from `plan_head`) and its borders, t1w and flair (how they are
    taken), vessels (a key of `VESSEL_FILES`), affected (whether the effect reaches the
    participant) and the truth from `plant`
    """
    number = int(prefix.removeprefix("sub-"))
    row, truth = plan_participant(demo, number), plant(demo, number)
    del truth["scores"]
    seed = [demo["seed"], 2, number]
    severity = float(demo["effect"]) if row["diagnosis"] == AFFECTED else 0.0
    head = plan_head(seed, row["age"], row["sex"], severity)
    return {
        "participant_id": prefix,
        "session": {"participant_id": prefix},
        "seed": seed,
        "scan_seed": seed,
        "head": head,
        "borders": head["borders"],
        "t1w": T1W,
        "flair": FLAIR,
        "vessels": vessel_kind(class_of(demo["seed"], number, list(demo["subjects"]))),
        "affected": row["diagnosis"] == AFFECTED,
        **truth,
    }
