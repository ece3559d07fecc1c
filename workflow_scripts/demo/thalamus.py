"""The simulated cohort of the thalamus: atrophy, EDSS and SDMT that follow it, and two raters.

All numbers are the project's own choice. Imported by the Snakefile, so nothing heavy is imported
here.
"""

from datetime import date, timedelta

import numpy as np

from workflow_scripts.common.resources import resource
from workflow_scripts.demo.heads import FLAIR, T1W, plan_head
from workflow_scripts.demo.members import Plan, class_of, dealt

SUBJECTS = {"MS": 24}
COLUMNS, DERIVATIVES = resource("columns/thalamus.tsv"), "manual"
ABOUT = """with seed and planted effect of the
key `demo` of the configuration; dates are invented."""
BODY_PART, ABOUT_DERIVATIVES = "brain", "Simulated masks of the thalamus by two raters"
# How far a rater's border lies outside of the true one, and how much it wavers, mm.
RATERS = {"anna": (0.2, 0.4), "ben": (-0.2, 0.6)}
# Ranks: without a second session, drawn by anna, by ben.
ONE_SESSION_EACH, DRAWN_EACH, DRAWN_TWICE_EACH, WORSENED_EACH = 3, 2, 4, 2
# mm by which the walls of the thalamus lie further in: of one SD of atrophy, in a year, and of
# those who worsen besides.
ATROPHY_MM, LOSS_MM, WORSENED_LOSS_MM = 0.6, 0.04, 0.12
# Correlation with atrophy at effect 1.
BETAS = {"edss": 0.5, "sdmt": -0.6}
MOST = 0.95
SCORES = {"edss": (3.2, 1.5), "sdmt": (50.0, 10.0)}
WORSENED_BY = 1.5  # enough of any first EDSS
FIRST_DAY, DAYS = date(1926, 1, 1), 3650
R1MAP = T1W | {"signals": {"csf": 0.25, "gm": 0.72, "wm": 1.05}, "lesion": 0.75, "sd": 0.04}


def plan_participant(demo: dict, number: int) -> dict:
    """Row of participants.tsv of participant ``number``."""
    rng = np.random.default_rng([demo["seed"], 1, number])
    age = int(np.clip(np.round(rng.normal(42, 10)), 18, 75))
    sex = "F" if rng.random() < 0.7 else "M"
    return {"participant_id": f"sub-{number:03d}", "age": age, "sex": sex}


def plan_visits(demo: dict, number: int) -> list[dict]:
    """True state of participant ``number`` at each visit.

    EDSS and SDMT follow ``atrophy`` with the correlations of `BETAS` times the effect. Half of
    those with two visits worsen, and lose more. Everyone draws the same numbers whatever the
    effect.

    Returns
    -------
    dicts with visit (1, 2), years since the first, atrophy (standard normal at the first visit, up
    to 2), worsens, loss_mm since the first visit, edss and sdmt (not rounded)
    """
    _, rank = class_of(demo["seed"], number, [*demo["subjects"]])
    rng = np.random.default_rng([demo["seed"], 7, number])
    atrophy, *own = np.clip(rng.standard_normal(1 + len(BETAS)), -2, 2)
    years, change = rng.uniform(0.8, 1.3), rng.normal(0, 0.02)
    turn, place = divmod(rank - 1, WORSENED_EACH)
    order = np.random.default_rng([demo["seed"], 8, turn]).permutation(WORSENED_EACH)
    worsens, visits = bool(order[place] == 0), []
    for visit in range(1, (1 if rank % ONE_SESSION_EACH == 0 else 2) + 1):
        since = years * (visit - 1)
        rate = LOSS_MM + change + demo["effect"] * WORSENED_LOSS_MM * worsens
        state = {"visit": visit, "years": since, "atrophy": atrophy, "worsens": worsens}
        for (name, beta), noise in zip(BETAS.items(), own, strict=True):
            linked = float(np.clip(demo["effect"] * beta, -MOST, MOST))
            mean, sd = SCORES[name]
            state[name] = mean + sd * (linked * atrophy + np.sqrt(1 - linked**2) * noise)
        state["edss"] += WORSENED_BY * worsens * (visit - 1)
        visits.append(state | {"loss_mm": rate * since})
    return visits


def plan_sessions(demo: dict, number: int) -> list[dict]:
    """Rows of the sessions.tsv of participant ``number``; EDSS in steps of 0.5."""
    rng = np.random.default_rng([demo["seed"], 9, number])
    first = FIRST_DAY + timedelta(days=int(rng.integers(DAYS)))
    return [
        {
            "participant_id": f"sub-{number:03d}",
            "session_id": f"ses-{state['visit']}",
            "acq_time": f"{first + timedelta(days=round(365.25 * state['years']))}T10:00:00",
            "edss": float(np.clip(round(2 * state["edss"]), 0, 20)) / 2,
            "sdmt": int(np.clip(round(state["sdmt"]), 0, 110)),
        }
        for state in plan_visits(demo, number)
    ]


def planted(demo: dict) -> list[str]:
    """Where the effect changes images."""
    return ["thalamus"]


def plan_cohort(demo: dict) -> Plan:
    """Plan of the cohort.

    A third has one session, the others a second a year later. Half have the mask of a rater in
    their first session, a quarter of both.

    Parameters
    ----------
    demo : dict with ``subjects`` (MS), ``seed`` and ``effect`` (0 for a cohort whose scores say
        nothing of the thalamus and whose change says nothing of worsening)
    """
    plan = Plan([], [], [], [], [], {})
    for number, (_, rank) in dealt(demo):
        plan.participants.append(plan_participant(demo, number))
        drawn = [rank % each == 1 for each in (DRAWN_EACH, DRAWN_TWICE_EACH)]
        for row in plan_sessions(demo, number):
            plan.sessions.append(row)
            session = {key: row[key] for key in ("participant_id", "session_id")}
            name, visit = session.values()
            stem = f"{name}/{visit}/anat/{name}_{visit}"
            for suffix in ("T1w", "FLAIR", "R1map"):
                plan.scans.append(session | {"suffix": suffix, "path": f"{stem}_{suffix}.nii.gz"})
            for rater, there in zip(RATERS, drawn, strict=True):
                if there and visit == "ses-1":
                    path = f"{stem}_label-Thalamus_desc-{rater}_mask.nii.gz"
                    path = f"derivatives/{DERIVATIVES}/{path}"
                    plan.masks.append(session | {"suffix": f"thalamus_{rater}", "path": path})
    return plan


def simulation(demo: dict, prefix: str) -> dict:
    """What the images and masks of a session depend on.

    Returns
    -------
    dict with session (keys of its rows), seed of the anatomy, which all sessions of a participant
    share, scan_seed of the noise, head (from `plan_head`) and its borders, t1w, flair and r1map
    (how they are taken), and affected, whether the participant has much atrophy
    """
    participant, _, session = prefix.partition("_")
    number, visit = int(participant.removeprefix("sub-")), int(session.removeprefix("ses-"))
    row, state = plan_participant(demo, number), plan_visits(demo, number)[visit - 1]
    seed = [demo["seed"], 2, number]
    head = plan_head(seed, row["age"], row["sex"], 0.0)
    thinner = ATROPHY_MM * state["atrophy"] + state["loss_mm"]
    head["thalamus_mm"] = round(float(head["thalamus_mm"] - thinner), 4)
    return {
        "session": {"participant_id": participant, "session_id": session},
        "seed": seed,
        "scan_seed": [*seed, visit],
        "head": head,
        "borders": head["borders"],
        "t1w": T1W,
        "flair": FLAIR | {"shape": [96, 112, 64], "voxel_mm": [2.0, 2.0, 3.0]},
        "r1map": R1MAP,
        "affected": bool(state["atrophy"] > 0.5),
    }
