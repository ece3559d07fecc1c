TISSUES = ["CSF", "GM", "WM"]
BEFORE = [bids_anat("mask.nii.gz", desc="automatic")] if CONFIG["corrections"] else []
TEMPLATE = f"templates/tpl-{SPACE}"
# Memory in MB of a step on the template's grid, beside that for the scan.
ON_TEMPLATE = {2: 1000, 1: 4000}[ANATOMICAL["template_resolution"]]
NONLINEAR = STARTING.nonlinear
TRANSFORMS = [bids_anat("xfm.mat", from_="T1w", to=SPACE, mode="image")]
if NONLINEAR:
    TRANSFORMS += [
        bids_anat("xfm.nii.gz", from_="T1w", to=SPACE, mode="image"),
        bids_anat("xfm.nii.gz", from_=SPACE, to="T1w", mode="image"),
    ]
NORMALIZED = {"normalized": bids_anat("{suffix}.nii.gz", space=SPACE, desc="{desc}")}
NORMALIZED = NORMALIZED if OF_BRAIN else {}


def of_brain(path):
    """What a rule reads of a brain alone."""
    return path if OF_BRAIN else []


def if_network(output):
    """Output of the network that labels brains, where the configuration has one."""
    made = getattr(rules.label_brain.output, output) if ANATOMICAL["network"] else []
    if isinstance(made, str):
        return made.replace("{network}", "network")
    return [path.replace("{network}", "network") for path in made]


def lesion_mask(wildcards):
    """Mask of the lesions of a session, aligned if it must be; none where there is none."""
    if wildcards.prefix in DRAWN_ELSEWHERE:
        return rules.align_lesions.output.lesions.format(**wildcards)
    return LESION_MASKS.get(wildcards.prefix, {}).get("mask", [])


def aligned_contrasts():
    """Sidecars of all contrasts of all sessions that have a T1w."""
    sidecar = rules.align_contrast.output.sidecar
    return [
        path
        for name, prefixes in CONTRASTS.items()
        for path in sessions(of_contrast(sidecar, name), prefixes)
    ]


def contrasts_of(prefix):
    """The contrasts of a session, on the grid of its T1w."""
    aligned = rules.align_contrast.output.aligned
    names = [name for name, prefixes in CONTRASTS.items() if prefix in prefixes]
    paths = [rules.prepare_t1w.output.t1w, *(of_contrast(aligned, name) for name in names)]
    return sessions(paths, [prefix])
