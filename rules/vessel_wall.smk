rule propose_contours:
    input:
        image=vessel_wall_image,
        lines=centre_lines,
    output:
        contours=bids_anat("contours.tsv", desc="automatic"),
    log:
        "logs/propose_contours/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/propose_contours/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        code=code("vessel_wall/propose_contours.py"),
    script:
        "../workflow_scripts/vessel_wall/propose_contours.py"


rule measure_vessel_wall:
    input:
        vessel_wall_files,
    output:
        sections=bids_anat("sections.tsv", desc="vesselwall"),
        segments=bids_anat("segments.tsv", desc="vesselwall"),
        contours=bids_anat("contours.tsv", desc="vesselwall"),
        sidecar=bids_anat("vesselwall.json"),
    log:
        "logs/measure_vessel_wall/{folder}/{prefix}.log",
    benchmark:
        "benchmarks/measure_vessel_wall/{folder}/{prefix}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        code=code("vessel_wall/measure_vessel_wall.py"),
    script:
        "../workflow_scripts/vessel_wall/measure_vessel_wall.py"


rule draw_vessel_wall:
    input:
        sections=rules.measure_vessel_wall.output.sections,
        contours=rules.measure_vessel_wall.output.contours,
        images=vessel_wall_pictures,
    output:
        picture=bids_figures("vesselwall.webp", desc="qc"),
    log:
        "logs/draw_vessel_wall/{folder}/{prefix}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(5),
    params:
        code=code("report/draw_vessel_wall.py"),
    script:
        "../workflow_scripts/report/draw_vessel_wall.py"
