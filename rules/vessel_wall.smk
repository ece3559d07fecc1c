rule propose_contours:
    """Contours of a vessel along its centre line."""
    input:
        image=vessel_wall_image,
        lines=centre_lines,
    output:
        contours=bids_anat("contours.tsv", desc="automatic"),
    log:
        "logs/propose_contours/{folder}/{prefix}.log",
    script:
        "../workflow_scripts/vessel_wall/propose_contours.py"


rule measure_vessel_wall:
    """Measures of the vessel wall of a session."""
    input:
        vessel_wall_files,
    output:
        sections=bids_anat("sections.tsv", desc="vesselwall"),
        segments=bids_anat("segments.tsv", desc="vesselwall"),
        contours=bids_anat("contours.tsv", desc="vesselwall"),
        sidecar=bids_anat("vesselwall.json"),
    log:
        "logs/measure_vessel_wall/{folder}/{prefix}.log",
    params:
        arteries=CONFIG["vessel_wall"]["arteries"],
    script:
        "../workflow_scripts/vessel_wall/measure_vessel_wall.py"


rule draw_vessel_wall:
    """Picture for the quality control of a vessel wall."""
    input:
        sections=rules.measure_vessel_wall.output.sections,
        contours=rules.measure_vessel_wall.output.contours,
        images=vessel_wall_pictures,
    output:
        picture=bids_figures("vesselwall.webp", desc="qc"),
    log:
        "logs/draw_vessel_wall/{folder}/{prefix}.log",
    script:
        "../workflow_scripts/report/draw_vessel_wall.py"
