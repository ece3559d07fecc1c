"""Who is in the simulated cohort, what is recorded of them, and which scans they have.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import numpy as np

AFFECTED = "NPSLE"
NO_SCANS, NO_FLAIR, EXCLUDED = {(0, 2)}, {(0, 5), (0, 7), (0, 9), (1, 3), (1, 5)}, {(0, 4)}


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


def plan_participant(demo: dict, number: int) -> dict:
    """Row of participants.tsv of participant ``number``; depends on no other participant.

    Distributions after Inglese et al. 2022, Table 1A (doi:10.3389/fnins.2022.695888). What
    differs between the classes there is shifted by the planted effect, so that without it the
    classes are alike.
    """
    classes = list(demo["subjects"])
    diagnosis = classes[class_of(demo["seed"], number, classes)[0]]
    effect = demo["effect"] if diagnosis == AFFECTED else 0.0
    rng = np.random.default_rng([demo["seed"], 1, number])
    age = int(np.clip(np.round(rng.normal(41, 13)), 18, 78))
    sex = "F" if rng.random() < 0.9 else "M"
    return {
        "participant_id": f"sub-{number:03d}",
        "age": age,
        "sex": sex,
        "diagnosis": diagnosis,
        "sledai_2k": int(np.clip(np.round(rng.exponential(4) + 4 * effect), 0, 40)),
        "disease_duration": round(float(np.clip(rng.exponential(8), 0, age - 14)), 1),
        "sdi": int(rng.poisson(0.9) + np.round(effect * rng.poisson(0.6))),
        "bmi": round(float(np.clip(rng.normal(25, 5), 16, 45)), 1),
        "hypertension": "yes" if rng.random() < 0.30 + 0.07 * min(effect, 1) else "no",
    }


def plan_cohort(demo: dict) -> tuple[list[dict], list[dict], list[dict]]:
    """Plan the simulated cohort.

    Each class takes the first of the numbers dealt to it (`class_of`), so ids have gaps where
    the classes differ in size, and raising any count adds participants without changing an
    existing one. Among the counts are one participant without scans, some without a FLAIR and
    one to be excluded, each at a fixed rank of its class.

    Parameters
    ----------
    demo : dict with ``subjects`` (class name -> number of participants, in a fixed order),
        ``seed`` (not negative) and ``effect`` (0 for a cohort without class differences)

    Returns
    -------
    participants : rows of participants.tsv, by participant_id
    scans : participant_id, session_id (None), suffix and path relative to the BIDS folder
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
        for suffix in ("T1w", "FLAIR"):
            if place in NO_SCANS or (suffix == "FLAIR" and place in NO_FLAIR):
                continue
            path = f"{name}/anat/{name}_{suffix}.nii.gz"
            scans.append(everything | {"suffix": suffix, "path": path})
    return participants, scans, exclusions


def simulation(demo: dict, participant_id: str) -> dict:
    """What the images of a participant depend on.

    Returns
    -------
    dict with participant_id, seed (list of int, for numpy), age, sex and severity: the planted
    effect in the affected class, 0 in the others
    """
    number = int(participant_id.removeprefix("sub-"))
    row = plan_participant(demo, number)
    return {
        "participant_id": participant_id,
        "seed": [demo["seed"], 2, number],
        "age": row["age"],
        "sex": row["sex"],
        "severity": float(demo["effect"]) if row["diagnosis"] == AFFECTED else 0.0,
    }
