from workflow_scripts.demo.plan import cohort_of, planted, simulation


def truth_of(*keys):
    """Params function: what the images of a session depend on."""
    return lambda wildcards: simulation(CONFIG["demo"], wildcards.prefix, list(keys))


def true_vessels(wildcards):
    """Truth of the vessels of each session that has some, as what they are given."""
    pattern, demo = rules.simulate_vessel_wall.output.truth, CONFIG["demo"]
    kinds = {prefix: simulation(demo, prefix)["vessels"] for prefix in COHORT.usable("vesselwall")}
    return [sessions(pattern.replace("{kind}", kinds[prefix]), [prefix])[0] for prefix in kinds]


# The simulated dataset, which lies in the output folder.
DEMO_BIDS = "demo/bids"
DEMO_PLAN = plan_cohort(CONFIG["demo"])
DEMO_DERIVATIVES = f"{DEMO_BIDS}/derivatives/{cohort_of(CONFIG['demo']).DERIVATIVES}"
DEMO_SIDECARS = [f"{DEMO_BIDS}/{path}" for path in DEMO_PLAN.sidecars]
AFFECTED = [prefix for prefix in T1W if simulation(CONFIG["demo"], prefix)["affected"]]
TRUTH, DEMO_RAW = "demo/truth/{folder}/{prefix}", f"{DEMO_BIDS}/{{folder}}"
LEFT_MCA = f"{DEMO_BIDS}/derivatives/vessels/{{folder}}/anat/{{prefix}}_hemi-L_label-MCA"
RIGHT_MCA = f"{DEMO_BIDS}/derivatives/vessels/{{folder}}/anat/{{prefix}}_hemi-R_label-MCA"
DWI_TRUTH = ["participant_id", "seed", "borders", "alps_left", "alps_right"]
DWI_TRUTH += ["tilt_degrees", "tilt_axis"]
VESSEL_TRUTH = ["participant_id", "seed", "nwi_left", "nwi_right"]
VESSEL_TRUTH += ["lumen_radius_left_mm", "lumen_radius_right_mm"]
