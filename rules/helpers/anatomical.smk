TISSUES = ["CSF", "GM", "WM"]
TEMPLATE = f"templates/tpl-{SPACE}"
# Memory in MB of a step on the template's grid, beside that for the scan.
ON_TEMPLATE = {2: 1000, 1: 4000}[ANATOMICAL["template_resolution"]]
NONLINEAR = ANATOMICAL["registration"] in ("syn", "fsl_fnirt")
TRANSFORMS = [bids_anat("xfm.mat", from_="T1w", to=SPACE, mode="image")]
if NONLINEAR:
    TRANSFORMS += [
        bids_anat("xfm.nii.gz", from_="T1w", to=SPACE, mode="image"),
        bids_anat("xfm.nii.gz", from_=SPACE, to="T1w", mode="image"),
    ]


def bids_suffix(contrast):
    """Suffix and desc of the files of a contrast, which may be named otherwise than its suffix."""
    suffix = CONFIG["scans"][contrast].get("suffix", contrast)
    return {"suffix": suffix, "desc": "preproc" if suffix == contrast else contrast}


def aligned_contrast(contrast, space="T1w"):
    """Path of a contrast in a session's T1w space or in MNI152, with {folder} and {prefix}."""
    names = bids_suffix(contrast)
    return bids_anat(f"{names['suffix']}.nii.gz", space=space, desc=names["desc"])


def alignment(contrast):
    """Sidecar and log of the alignment of a contrast, with {folder} and {prefix}."""
    made = rules.align_contrast
    session = {"folder": "{folder}", "prefix": "{prefix}"} | bids_suffix(contrast)
    return [path.format(**session) for path in (made.output.sidecar, made.log[0])]


def aligned_contrasts():
    """Sidecars of all contrasts of all sessions that have a T1w."""
    return [
        path
        for name, prefixes in CONTRASTS.items()
        for path in sessions(beside(aligned_contrast(name), ".json"), prefixes)
    ]


def contrast_scan(wildcards):
    """The raw scan that an aligned image is made of."""
    asked = {"suffix": wildcards.suffix, "desc": wildcards.desc}
    [name] = [name for name in CONTRASTS if bids_suffix(name) == asked]
    return CONTRASTS[name][wildcards.prefix]["path"]
