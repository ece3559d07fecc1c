def true_vessels(wildcards):
    """Truth of the vessels of each session that has some, as what they are given."""
    pattern, demo = rules.simulate_vessel_wall.output.truth, CONFIG["demo"]
    kinds = {prefix: simulation(demo, prefix)["vessels"] for prefix in COHORT.usable("vesselwall")}
    return [sessions(pattern.replace("{kind}", kinds[prefix]), [prefix])[0] for prefix in kinds]


def true_and_found():
    """Truth of the heads' volumes, ALPS and vessels, and brain masks, true and found."""
    t1w, brain = rules.simulate_t1w.output, bids_anat("mask.nii.gz", desc="brain")
    return {
        "volumes": sessions(t1w.volumes, T1W),
        "true_masks": sessions(t1w.brain, T1W),
        "masks": sessions(brain, T1W),
        "alps": sessions(rules.simulate_dwi.output.truth, DWI),
        "vessels": true_vessels(None),
    }


AFFECTED = [prefix for prefix in T1W if simulation(CONFIG["demo"], prefix)["affected"]]
LEFT_MCA = f"{DEMO_BIDS}/derivatives/vessels/{{folder}}/anat/{{prefix}}_hemi-L_label-MCA"
RIGHT_MCA = f"{DEMO_BIDS}/derivatives/vessels/{{folder}}/anat/{{prefix}}_hemi-R_label-MCA"
DWI_TRUTH = ["participant_id", "seed", "borders", "alps_left", "alps_right"]
DWI_TRUTH += ["tilt_degrees", "tilt_axis"]
VESSEL_TRUTH = ["participant_id", "seed", "nwi_left", "nwi_right"]
VESSEL_TRUTH += ["lumen_radius_left_mm", "lumen_radius_right_mm"]
