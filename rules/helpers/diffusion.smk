from workflow_scripts.common.bids import metadata_files

DWI_PREPARATION = ["denoise", "gibbs", "motion", "reverse_phase", "t1w_distortion"]
TENSOR_MAPS = {
    name.lower(): bids_dwi("dwimap.nii.gz", model="tensor", param=name)
    for name in ("FA", "MD", "AD", "RD", "tensor")
}
DWI_TO_T1W = bids_dwi("xfm.mat", from_="dwi", to="T1w", mode="image")
DWI_TO_MNI = [bids_dwi("xfm.mat", from_="dwi", to=SPACE, mode="image")]
if NONLINEAR:
    DWI_TO_MNI += [bids_dwi("xfm.nii.gz", from_="dwi", to=SPACE, mode="image")]


def metadata_of(images):
    """JSON files that apply to images; of the simulated dataset those that rules make."""
    if not CONFIG["bids_dir"]:
        made = {*DEMO_SIDECARS}
        files = (beside(path, ".json") for path in images)
        return [file for file in files if "_dir-" in file or file in made]
    found = [str(f) for path in images if ".nii" in path for f in metadata_files(Path(path))]
    return those_there(dict.fromkeys(found))


def dwi_t1w(wildcards):
    """T1w and brain mask that undistort a session's diffusion series, where it has a T1w."""
    own = DIFFUSION["t1w_distortion"] and not DIFFUSION["preprocessed"]
    wanted = own and wildcards.prefix in T1W
    prepared = rules.prepare_t1w.output
    return sessions([prepared.t1w, prepared.mask], [wildcards.prefix]) if wanted else []


def dwi_transforms(wildcards):
    """Transforms that a point of MNI152 goes through on its way to the diffusion series."""
    if wildcards.prefix in T1W:
        steps = [*TRANSFORMS[1:2], TRANSFORMS[0], DWI_TO_T1W]
    else:
        steps = DWI_TO_MNI[::-1]
    return sessions(steps, [wildcards.prefix])


def alps_shown(wildcards):
    """Colour FA of a session with the template's mask and the regions of DTI-ALPS, if it has one."""
    if wildcards.prefix not in DWI:
        return {"colour": []}
    return {
        "colour": sessions(rules.measure_alps.output.colour, [wildcards.prefix]),
        "template_mask": rules.make_templates.output.mask,
        "rois": STARTING.alps_files,
    }
