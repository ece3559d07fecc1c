from workflow_scripts.demo.plan import cohort_of, planted, simulation


def truth_of(*keys):
    """Params function: what the images of a session depend on."""
    return lambda wildcards: simulation(CONFIG["demo"], wildcards.prefix, list(keys))


# The simulated dataset, which lies in the output folder.
DEMO_BIDS = "demo/bids"
DEMO_PLAN, DEMO_COHORT = plan_cohort(CONFIG["demo"]), cohort_of(CONFIG["demo"])
DEMO_DERIVATIVES = f"{DEMO_BIDS}/derivatives/{DEMO_COHORT.DERIVATIVES}"
DEMO_SIDECARS = [f"{DEMO_BIDS}/{path}" for path in DEMO_PLAN.sidecars]
TRUTH, DEMO_RAW = "demo/truth/{folder}/{prefix}", f"{DEMO_BIDS}/{{folder}}"
