"""Plan of the simulated cohort that the configuration names.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from workflow_scripts.common.job import InputError
from workflow_scripts.demo import lupus, multiple_sclerosis, spondyloarthritis, thalamus
from workflow_scripts.demo.members import Plan

COHORTS = {
    "lupus": lupus,
    "multiple_sclerosis": multiple_sclerosis,
    "spondyloarthritis": spondyloarthritis,
    "thalamus": thalamus,
}


def cohort_of(demo: dict):
    """Module of a cohort: plan_cohort, simulation, planted, SUBJECTS and what its README says."""
    return COHORTS[demo.get("cohort", "lupus")]


def with_subjects(demo: dict) -> dict:
    """``demo`` with the cohort's own numbers of participants where it gives none.

    Raises
    ------
    InputError
        If a cohort with sites or groups of its own is to have others.
    """
    cohort = cohort_of(demo)
    subjects = demo.get("subjects") or cohort.SUBJECTS
    if cohort is not lupus and (unknown := subjects.keys() - cohort.SUBJECTS.keys()):
        raise InputError(
            f"demo.subjects: {', '.join(sorted(unknown))} is no site or class of {demo['cohort']}; "
            f"give numbers of {' and '.join(cohort.SUBJECTS)}"
        )
    return demo | {"subjects": subjects}


def plan_cohort(demo: dict) -> Plan:
    """Plan of the cohort of section ``demo`` of the configuration."""
    return cohort_of(demo).plan_cohort(with_subjects(demo))


def planted(demo: dict) -> list[str]:
    """Names of the places where the effect changes images."""
    return cohort_of(demo).planted(demo)


def simulation(demo: dict, prefix: str, keys=None) -> dict:
    """What the images of a session depend on, see the module of the cohort.

    Parameters
    ----------
    prefix : of the session, such as sub-001_ses-1
    keys : those to return, so that a rule depends on no others; None for all
    """
    everything = cohort_of(demo).simulation(with_subjects(demo), prefix)
    return everything if keys is None else {key: everything[key] for key in keys}
