"""The simulated cohort of axial spondyloarthritis: a pelvis each, inflamed joints and mimics.

All numbers are the project's own choice. Imported by the Snakefile, so nothing heavy is imported
here.
"""

import numpy as np

from workflow_scripts.common.resources import resource
from workflow_scripts.demo.members import Plan, class_of, dealt
from workflow_scripts.demo.pelvises import SCANNERS, plan_pelvis, plan_position, sidecar

SUBJECTS = {"axSpA": 36, "control": 24}
COLUMNS, DERIVATIVES = resource("columns/spondyloarthritis.tsv"), "manual"
ABOUT = """with classes, seed and planted
effect of the key `demo` of the configuration."""
BODY_PART, ABOUT_DERIVATIVES = "pelvis", "Simulated masks of the sacroiliac joints by two raters"
PATIENT = "axSpA"
# How far a rater's border lies outside of the true one, and how much it wavers, mm.
RATERS = {"anna": (0.2, 0.4), "ben": (-0.3, 0.6)}
# Odds ratios of axSpA at effect 1: of HLA-B27, of male sex, and of one SD of log CRP and of age
# within a class. Given the class the four are independent, so each is the odds ratio of the
# logistic model of all as well.
ODDS_RATIOS = {"hla_b27": 8.0, "crp": 2.0, "age": 0.8, "sex": 1.3}
# In the controls: probabilities, and mean and SD (of CRP, mg/L, of its logarithm).
HLA_B27, MALE, AGE, LOG_CRP = 0.25, 0.45, (38.0, 9.0), (1.0, 0.9)
AGES, LEAST_CRP = (18, 75), 0.1
# By rank in the class; ben draws one of so many, anna all but one.
ANNA_NOT_EACH, BEN_EACH, NO_STIR_EACH, FOURTH_AXIS_EACH = 3, 4, 12, 5
NO_T1W = {(PATIENT, 7)}
# Severity (0..1): most of what people have without disease, and most of all; and the grade of a
# patient below which the disease adds none.
BACKGROUND, SEVEREST, NONE_BELOW = 0.07, 1.0, 0.08
# Probability of a mimic in the controls, and by how much smaller it is in patients.
MIMIC, FEWER_MIMICS = 0.6, 0.35
MIMICS = ("corner", "lumbosacral", "sacrum")


def class_and_rank(demo: dict, number: int) -> tuple[str, int]:
    """Class of participant ``number``, and the rank in it."""
    classes = [*demo["subjects"]]
    index, rank = class_of(demo["seed"], number, classes)
    return classes[index], rank


def effect_on(demo: dict, number: int) -> float:
    """Effect that reaches participant ``number``; none reaches a control."""
    return float(demo["effect"]) * (class_and_rank(demo, number)[0] == PATIENT)


def plan_participant(demo: dict, number: int) -> dict:
    """Row of participants.tsv of participant ``number``; depends on no other participant.

    Given the class, a normal covariate is shifted by the logarithm of its odds ratio in SD, and
    the odds of a binary one are multiplied by its odds ratio: a logistic model of the class then
    has these odds ratios, to the power of the effect. Everyone draws the same numbers whatever the
    effect.
    """
    rng = np.random.default_rng([demo["seed"], 1, number])
    effect, (hla_b27, male), (crp, age) = (
        effect_on(demo, number),
        rng.random(2),
        rng.standard_normal(2),
    )
    odds = {name: ratio**effect for name, ratio in ODDS_RATIOS.items()}
    scanner = rng.choice([*SCANNERS], p=[made["share"] for made in SCANNERS.values()])
    age = AGE[0] + AGE[1] * (age + np.log(odds["age"]))
    crp = np.exp(LOG_CRP[0] + LOG_CRP[1] * (crp + np.log(odds["crp"])))
    return {
        "participant_id": f"sub-{number:03d}",
        "age": int(np.clip(np.round(age), *AGES)),
        "sex": "M" if male < with_odds(MALE, odds["sex"]) else "F",
        "hla_b27": int(hla_b27 < with_odds(HLA_B27, odds["hla_b27"])),
        "crp": max(round(float(crp), 1), LEAST_CRP),
        "diagnosis": class_and_rank(demo, number)[0],
        "scanner": str(scanner),
    }


def with_odds(probability: float, ratio: float) -> float:
    """Probability whose odds are ``ratio`` times those of ``probability``."""
    odds = ratio * probability / (1 - probability)
    return odds / (1 + odds)


def plan_signs(demo: dict, number: int) -> dict:
    """What is seen at the joints of participant ``number``.

    Everyone can have a little of all; what the effect adds in patients goes from nothing to much.
    Everyone draws the same numbers whatever the effect.

    Returns
    -------
    dict with the severity (0 none, 1 much) of oedema, erosion and fat, and mimic, one of `MIMICS`
    or None: oedema of another cause
    """
    rng = np.random.default_rng([demo["seed"], 7, number])
    effect = effect_on(demo, number)
    grade, eroded, fatty, mimicked = rng.random(4) ** (0.8, 1, 2, 1)
    grade = max(grade - NONE_BELOW, 0) / (1 - NONE_BELOW)
    added = {"oedema": grade, "erosion": grade * (0.4 + 0.6 * eroded), "fat": fatty}
    signs = {
        name: round(float(min(BACKGROUND * rng.random() + effect * more, SEVEREST)), 4)
        for name, more in added.items()
    }
    kind = str(rng.choice(MIMICS, p=[0.5, 0.25, 0.25]))
    there = mimicked < MIMIC - FEWER_MIMICS * min(effect, 1)
    return signs | {"mimic": kind if there else None}


def planted(demo: dict) -> list[str]:
    """Where the effect changes images."""
    return ["sacroiliac_joints"]


def plan_scans(demo: dict, number: int) -> dict[str, str]:
    """Paths of a participant's scans, relative to the BIDS folder, by their names in `scans`."""
    place = class_and_rank(demo, number)
    name = f"sub-{number:03d}"
    scans = {"T1w": f"{name}/anat/{name}_T1w.nii.gz"} if place not in NO_T1W else {}
    if place[1] % NO_STIR_EACH:
        scans["STIR"] = f"{name}/anat/{name}_acq-stir_T2w.nii.gz"
    return scans


def plan_cohort(demo: dict) -> Plan:
    """Plan of the cohort.

    Two of three with a T1w have the mask of anna, one of four that of ben. One patient has no T1w,
    one of twelve no STIR.

    Parameters
    ----------
    demo : dict with ``subjects`` (axSpA, control), ``seed`` and ``effect`` (0 for a cohort whose
        classes are alike)
    """
    plan = Plan([], [], [], [], [], {}, BODY_PART)
    for number, (_, rank) in dealt(demo):
        row = plan_participant(demo, number)
        plan.participants.append(row)
        name, scans = row["participant_id"], plan_scans(demo, number)
        session = {"participant_id": name, "session_id": None}
        for suffix, path in scans.items():
            plan.scans.append(session | {"suffix": suffix, "path": path})
            plan.sidecars[path.replace(".nii.gz", ".json")] = sidecar(row["scanner"])
        drawn = {"anna": rank % ANNA_NOT_EACH != 0, "ben": rank % BEN_EACH == 1}
        for rater in RATERS:
            if drawn[rater] and "T1w" in scans:
                path = f"{name}/anat/{name}_label-SacroiliacJoints_desc-{rater}_mask.nii.gz"
                path = f"derivatives/{DERIVATIVES}/{path}"
                plan.masks.append(session | {"suffix": f"sacroiliac_joints_{rater}", "path": path})
    return plan


def simulation(demo: dict, prefix: str) -> dict:
    """What the images and masks of a participant depend on.

    Returns
    -------
    dict with session (keys of the participant's rows), seed (list of int, for numpy), pelvis (from
    `plan_pelvis`), signs (from `plan_signs`), position (from `plan_position`), t1w and stir (how
    they are taken: shape, voxel_mm, fourth_axis and the scanner's coil), and affected, whether the
    participant has much oedema of the disease
    """
    number = int(prefix.removeprefix("sub-"))
    row, signs = plan_participant(demo, number), plan_signs(demo, number)
    seed, scanner = [demo["seed"], 2, number], SCANNERS[row["scanner"]]
    pelvis = plan_pelvis(seed, row["sex"])
    scans = {}
    for order, name in enumerate(("t1w", "stir")):
        fourth = (2 * number + order) % FOURTH_AXIS_EACH == 0
        scans[name] = scanner[name] | scanner["coil"] | {"fourth_axis": fourth}
    return {
        "session": {"participant_id": prefix},
        "seed": seed,
        "pelvis": pelvis,
        "signs": signs,
        "position": plan_position(seed, pelvis),
        **scans,
        "affected": row["diagnosis"] == PATIENT and signs["oedema"] > 0.5,
    }
