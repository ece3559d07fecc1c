"""The simulated cohort of multiple sclerosis: two sites, EDSS, and the tissue that it follows.

All numbers are the project's own choice. Imported by the Snakefile, so nothing heavy is imported
here.
"""

from datetime import date, timedelta

import numpy as np

from workflow_scripts.common.resources import resource
from workflow_scripts.demo.heads import plan_head
from workflow_scripts.demo.members import Plan, class_of, dealt
from workflow_scripts.demo.sites import SITES, sidecar

SUBJECTS = {"A": 24, "B": 8}
COLUMNS, DERIVATIVES = resource("columns/multiple_sclerosis.tsv"), "lesions"
ABOUT = """with sites, seed, planted effect and the
tissue that carries it of the key `demo` of the
configuration; dates are invented."""
BODY_PART, ABOUT_DERIVATIVES = "brain", "Simulated masks of white matter lesions"
PLANTED = {
    "white_matter": ["lesions"],
    "grey_matter": ["cortex"],
    "subcortical_grey_matter": ["thalamus"],
    "ventricles": ["ventricles"],
    "brainstem": ["brainstem"],
}
TISSUES = tuple(PLANTED)
# By index of the site and rank there; of sessions with their number.
SECOND_SESSION_EACH, SECOND_SESSION_FROM = 4, 2
NO_SCANS, EXCLUDED = {(0, 5)}, {(0, 7)}
NO_FLAIR, NO_EDSS = {(0, 4, 1)}, {(0, 6, 2)}
NO_MASK = {(0, 8, 1), (1, 2, 1)}
LATE = {(0, 3, 1), (0, 11, 1), (0, 15, 1), (1, 3, 1)}
# Ranges of disability, whose severity a tissue has that EDSS follows.
MILD, DISABLED = (0.0, 0.15), (0.6, 0.9)
# Largest severity that a tissue has of itself; of the brainstem in a few, above a quantile.
BACKGROUND, SOME_BRAINSTEM = 0.15, (0.85, 0.5)
PROGRESS, TISSUE_PROGRESS = 0.04, 0.02  # in a year
EDSS_LEAST, EDSS_PER_SEVERITY, EDSS_NOISE = 0.9, 5.0, (0.8, 0.4)  # of a person, a visit
LARGEST_SEVERITY = 1.2
FIRST_DAY, DAYS = date(1926, 1, 1), 3650
NEAR_DAYS, LATE_DAYS = 120, (200, 300)
# mm at severity 1.
VENTRICLES_MM, CORTEX_MM, THALAMUS_MM = 5.0, 0.8, -1.5
LESIONS_ML, LEAST_LESIONS_ML, STEEPNESS = 30.0, 0.5, 2.2
PERIVENTRICULAR_SHARE = 0.7
BRAINSTEM_ML, BRAINSTEM_FROM = 2.4, 0.4


def place_of(demo: dict, number: int) -> tuple[str, tuple[int, int]]:
    """Site of participant ``number``, and its index in `SITES` with the rank there."""
    sites = list(demo["subjects"])
    index, rank = class_of(demo["seed"], number, sites)
    return sites[index], (list(SITES).index(sites[index]), rank)


def is_disabled(seed: int, place: tuple[int, int], site: str) -> bool:
    """Whether someone is disabled: a fixed number of each round of ranks of a site."""
    some, of = SITES[site]["disabled"]
    turn, rank = divmod(place[1] - 1, of)
    order = np.random.default_rng([seed, 8, place[0], turn]).permutation(of)
    return bool(order[rank] < some)


def plan_visits(demo: dict, number: int) -> list[dict]:
    """True state of participant ``number`` at each visit.

    EDSS follows ``disability``, whatever the effect, and of the tissues the one of ``signal``
    does, as much as the effect is large. All others have a severity of their own. Everyone draws
    the same numbers whatever the effect and the signal.

    Returns
    -------
    dicts with visit (1, 2), years since the first, disability (0..1), edss (not rounded) and
    severity of each of `TISSUES` (0 for none, 1 for much)
    """
    site, place = place_of(demo, number)
    rng = np.random.default_rng([demo["seed"], 7, number])
    share, background = rng.random(), rng.random(len(TISSUES))
    own, *noise = rng.standard_normal(3)
    years, growth = rng.uniform(0.8, 1.3), rng.uniform(0.5, 1.5)
    low, high = DISABLED if is_disabled(demo["seed"], place, site) else MILD
    visits = []
    for visit in range(1, number_of_visits(place) + 1):
        since = years * (visit - 1)
        disability = low + (high - low) * share + PROGRESS * growth * since
        edss = EDSS_LEAST + EDSS_PER_SEVERITY * disability + SITES[site]["edss"]
        edss += EDSS_NOISE[0] * own + EDSS_NOISE[1] * noise[visit - 1]
        severity = {}
        for tissue, drawn in zip(TISSUES, background, strict=True):
            linked = tissue == demo["signal"]
            severity[tissue] = BACKGROUND * drawn + TISSUE_PROGRESS * growth * since
            if tissue == "brainstem" and not linked:
                severity[tissue] = SOME_BRAINSTEM[1] * (drawn > SOME_BRAINSTEM[0])
            if linked:
                severity[tissue] += demo["effect"] * disability
        severity = {name: min(value, LARGEST_SEVERITY) for name, value in severity.items()}
        state = {"visit": visit, "years": since, "disability": disability, "edss": edss}
        visits.append(state | {"severity": severity})
    return visits


def number_of_visits(place: tuple[int, int]) -> int:
    return 2 if place[1] % SECOND_SESSION_EACH == SECOND_SESSION_FROM else 1


def plan_participant(demo: dict, number: int) -> dict:
    """Row of participants.tsv of participant ``number``; depends on no other participant.

    Age and sex say nothing of EDSS within a site, type and duration of the disease do.
    """
    site, place = place_of(demo, number)
    rng = np.random.default_rng([demo["seed"], 1, number])
    age = int(np.clip(np.round(rng.normal(*SITES[site]["age"])), 18, 75))
    sex = "F" if rng.random() < 0.7 else "M"
    disabled = is_disabled(demo["seed"], place, site)
    progressive = rng.random() < SITES[site]["progressive"][disabled]
    secondary, duration = rng.random() < 0.7, rng.exponential(6) + 5 * disabled
    return {
        "participant_id": f"sub-{number:03d}",
        "age": age,
        "sex": sex,
        "site": site,
        "type": ("SPMS" if secondary else "PPMS") if progressive else "RRMS",
        "disease_duration": round(float(np.clip(duration, 0, age - 14)), 1),
    }


def plan_sessions(demo: dict, number: int) -> list[dict]:
    """Rows of the sessions.tsv of participant ``number``.

    EDSS is in steps of 0.5. Of most it was assessed within `NEAR_DAYS` of the scan, of a few
    at least `LATE_DAYS` apart.
    """
    _, place = place_of(demo, number)
    rng = np.random.default_rng([demo["seed"], 9, number])
    first = FIRST_DAY + timedelta(days=int(rng.integers(DAYS)))
    rows = []
    for state in plan_visits(demo, number):
        near, far = int(rng.integers(-NEAR_DAYS, NEAR_DAYS)), int(rng.integers(*LATE_DAYS))
        hour = int(rng.integers(8, 18))
        scan = first + timedelta(days=round(365.25 * state["years"]))
        key = (*place, state["visit"])
        edss, assessed = None, None
        if key not in NO_EDSS:
            edss = float(np.clip(round(2 * state["edss"]), 0, 20)) / 2
            assessed = (scan + timedelta(days=far if key in LATE else near)).isoformat()
        rows.append(
            {
                "participant_id": f"sub-{number:03d}",
                "session_id": f"ses-{state['visit']}",
                "acq_time": f"{scan.isoformat()}T{hour:02d}:00:00",
                "edss": edss,
                "edss_date": assessed,
            }
        )
    return rows


def plan_lesions(severity: dict) -> dict[str, float]:
    """mL of lesions in each place, by the severity of white matter and of the brainstem."""
    load = LEAST_LESIONS_ML + LESIONS_ML * severity["white_matter"] ** STEEPNESS
    stem = severity["brainstem"]
    lesions = {
        "periventricular": PERIVENTRICULAR_SHARE * load,
        "juxtacortical": (1 - PERIVENTRICULAR_SHARE) * load,
        "brainstem": BRAINSTEM_ML * stem if stem >= BRAINSTEM_FROM else 0.0,
    }
    return {place: round(float(volume), 3) for place, volume in lesions.items()}


def planted(demo: dict) -> list[str]:
    """Where the effect changes images: what `compare_gradcam_with_truth` knows by these names."""
    return PLANTED[demo["signal"]]


def plan_cohort(demo: dict) -> Plan:
    """Plan of the cohort.

    A quarter has a second session. Among the participants are one without scans and one to be
    excluded; among the sessions one without EDSS, one without FLAIR, two without a lesion mask
    and a few whose EDSS was assessed long after the scan, each at a fixed rank of its site.

    Parameters
    ----------
    demo : dict with ``subjects`` (number of participants of each site), ``seed`` (not negative),
        ``effect`` (0 for a cohort whose EDSS says nothing of any tissue) and ``signal`` (one of
        `TISSUES`)
    """
    plan = Plan([], [], [], [], [], {})
    for number, _ in dealt(demo):
        site, place = place_of(demo, number)
        plan.participants.append(plan_participant(demo, number))
        name = plan.participants[-1]["participant_id"]
        if place in NO_SCANS:
            continue
        if place in EXCLUDED:
            row = {"participant_id": name, "session_id": None, "suffix": None}
            plan.exclusions.append(row | {"reason": "head motion"})
        for row in plan_sessions(demo, number):
            plan.sessions.append(row)
            session = {key: row[key] for key in ("participant_id", "session_id")}
            key = (*place, int(row["session_id"].removeprefix("ses-")))
            stem = f"{name}/{row['session_id']}/anat/{name}_{row['session_id']}"
            for suffix in ("T1w",) if key in NO_FLAIR else ("T1w", "FLAIR"):
                plan.scans.append(session | {"suffix": suffix, "path": f"{stem}_{suffix}.nii.gz"})
                plan.sidecars[f"{stem}_{suffix}.json"] = sidecar(site)
            if key not in NO_MASK:
                path = f"derivatives/{DERIVATIVES}/{stem}_desc-lesion_mask.nii.gz"
                plan.masks.append(session | {"suffix": "lesions", "path": path})
    return plan


def simulation(demo: dict, prefix: str) -> dict:
    """What the images of a session depend on.

    Returns
    -------
    dict with session (keys of its rows), seed of the anatomy, which all sessions of a participant
    share, scan_seed of the noise (lists of int, for numpy), head (from `plan_head`, with
    lesions_ml by place) and its borders, t1w and flair (how they are taken), and affected,
    whether the participant is disabled
    """
    participant, _, session = prefix.partition("_")
    number, visit = int(participant.removeprefix("sub-")), int(session.removeprefix("ses-"))
    row, state = plan_participant(demo, number), plan_visits(demo, number)[visit - 1]
    scanner, severity = SITES[row["site"]], state["severity"]
    seed = [demo["seed"], 2, number]
    head = plan_head(seed, row["age"] + state["years"], row["sex"], 0.0)
    changes = scanner["head"] | {
        "ventricles_mm": VENTRICLES_MM * severity["ventricles"],
        "thalamus_mm": THALAMUS_MM * severity["subcortical_grey_matter"],
    }
    head |= {name: round(float(head[name] + change), 4) for name, change in changes.items()}
    borders = head["borders"]
    borders["pial"] = round(borders["pial"] + float(CORTEX_MM * severity["grey_matter"]), 4)
    del head["lesions"]
    head["lesions_ml"] = plan_lesions(severity)
    return {
        "session": {"participant_id": participant, "session_id": session},
        "seed": seed,
        "scan_seed": [*seed, visit],
        "head": head,
        "borders": borders,
        "t1w": scanner["t1w"],
        "flair": scanner["flair"],
        "affected": state["disability"] >= DISABLED[0],
    }
