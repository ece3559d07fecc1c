from workflow_scripts.demo.plan import cohort_of, simulation


def simulated(rule, output, prefixes):
    """An output of a rule of the simulation, of each of the sessions."""
    return sessions(getattr(rules, rule).output[output], prefixes)


def truth_of(*keys):
    """Params function: what the images of a session depend on."""
    return lambda wildcards: simulation(CONFIG["demo"], wildcards.prefix, list(keys))


def true_vessels(wildcards):
    """Truth of the vessels of each session that has some, as what they are given."""
    pattern = rules.simulate_vessel_wall.output.truth
    kinds = {p: simulation(CONFIG["demo"], p)["vessels"] for p in COHORT.usable("vesselwall")}
    return [
        path
        for prefix, kind in kinds.items()
        for path in sessions(pattern.replace("{kind}", kind), [prefix])
    ]


# The simulated dataset, which lies in the output folder.
DEMO_BIDS = "demo/bids"
DEMO_PLAN = plan_cohort(CONFIG["demo"])
DEMO_DERIVATIVES = f"{DEMO_BIDS}/derivatives/{cohort_of(CONFIG['demo']).DERIVATIVES}"
DEMO_SIDECARS = [f"{DEMO_BIDS}/{path}" for path in DEMO_PLAN.sidecars]
DEMO_SESSIONS = [f"{DEMO_BIDS}/{name}/{name}_sessions.tsv" for name in DEMO_PLAN.with_sessions]
TRUTH = "demo/truth/{folder}/{prefix}"
DEMO_RAW = f"{DEMO_BIDS}/{{folder}}"
LEFT_MCA = f"{DEMO_BIDS}/derivatives/vessels/{{folder}}/anat/{{prefix}}_hemi-L_label-MCA"
RIGHT_MCA = f"{DEMO_BIDS}/derivatives/vessels/{{folder}}/anat/{{prefix}}_hemi-R_label-MCA"
DWI_TRUTH = [
    *("participant_id", "seed", "borders"),
    *("alps_left", "alps_right", "tilt_degrees", "tilt_axis"),
]
VESSEL_TRUTH = ["participant_id", "seed", "nwi_left", "nwi_right"]
VESSEL_TRUTH += ["lumen_radius_left_mm", "lumen_radius_right_mm"]
