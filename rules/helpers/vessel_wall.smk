def centre_lines(wildcards):
    return [path for path in paths(VESSELS, wildcards.prefix) if "_points." in path]


def vessel_wall_image(wildcards):
    """The image on which centre lines were drawn; where there is none, a path that says so."""
    row = VWI.get(wildcards.prefix)
    return row["path"] if row else f"vessel-wall image (scans.VWI) of {wildcards.prefix}"


def vessel_wall_files(wildcards):
    """Masks and contours of a session, and the contours proposed along its centre lines."""
    lines = centre_lines(wildcards)
    drawn = [path for path in paths(VESSELS, wildcards.prefix) if path not in lines]
    proposed = rules.propose_contours.output.contours
    return drawn + (sessions(proposed, [wildcards.prefix]) if lines else [])


def vessel_wall_pictures(wildcards):
    """What the contours are drawn on: the vessel-wall image, or the masks."""
    if wildcards.prefix in VWI:
        return [VWI[wildcards.prefix]["path"]]
    drawn = [path for path in paths(VESSELS, wildcards.prefix) if ".nii" in path]
    return [path for path in drawn if "_rater-" not in path]
