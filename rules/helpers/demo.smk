from workflow_scripts.demo.plan import simulation


def simulated(rule, output, participants):
    """An output of a rule of the simulation, of each of the participants."""
    pattern = getattr(rules, rule).output[output]
    return [pattern.format(participant=name) for name in participants]


def truth_of(*keys):
    """Params function: what the images of a participant depend on."""
    return lambda wildcards: simulation(CONFIG["demo"], wildcards.participant, list(keys))


# The simulated dataset, which lies in the output folder.
DEMO_BIDS = "demo/bids"
TRUTH = "demo/truth/{participant}/{participant}"
DEMO_RAW = f"{DEMO_BIDS}/{{participant}}"
DEMO_VESSELS = f"{DEMO_BIDS}/derivatives/vessels"
LEFT_MCA = f"{DEMO_VESSELS}/{{participant}}/anat/{{participant}}_hemi-L_label-MCA"
RIGHT_MCA = f"{DEMO_VESSELS}/{{participant}}/anat/{{participant}}_hemi-R_label-MCA"
DWI_TRUTH = [
    *("participant_id", "seed", "borders"),
    *("alps_left", "alps_right", "tilt_degrees", "tilt_axis"),
]
VESSEL_TRUTH = ["participant_id", "seed", "nwi_left", "nwi_right"]
VESSEL_TRUTH += ["lumen_radius_left_mm", "lumen_radius_right_mm"]
