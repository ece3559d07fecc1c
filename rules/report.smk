# Without the places that a study has on this machine: moved, it is not remade.
SHOWN_CONFIG = {key: value for key, value in CONFIG.items() if key != "output_dir"}
SHOWN_CONFIG["exclusions"] = config.get("exclusions")
SHOWN_CONFIG["diffusion"] = DIFFUSION | {
    "alps_rois": config.get("diffusion", {}).get("alps_rois")
}
SHOWN_CONFIG["vessel_wall"] = config.get("vessel_wall", {})


rule draw_gradcam:
    input:
        maps=rules.average_gradcam.output.maps,
        index=rules.average_gradcam.output.index,
        template=rules.make_templates.output.t1w,
        template_mask=rules.make_templates.output.mask,
    output:
        picture="studies/{study}/gradcam/strategy-{strategy}_gradcam.webp",
    log:
        "logs/draw_gradcam/{study}/strategy-{strategy}.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000),
        runtime=need(10),
    params:
        gradcam=learning("gradcam"),
        code=code("report/draw_gradcam.py"),
    script:
        "../workflow_scripts/report/draw_gradcam.py"


rule flag_outliers:
    input:
        features="cohort/features.tsv",
        sidecars="cohort/sidecars.json",
    output:
        table="cohort/outliers.tsv",
        dictionary="cohort/outliers.json",
    log:
        "logs/flag_outliers.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(1000, sessions=0.5),
        runtime=need(5),
    params:
        code=code("report/flag_outliers.py"),
    script:
        "../workflow_scripts/report/flag_outliers.py"


rule write_report:
    input:
        scans="cohort/scans.tsv",
        features="cohort/features.tsv",
        outliers=rules.flag_outliers.output.table,
        studies=study_tables,
        dictionaries=report_dictionaries,
        pictures=qc_pictures,
        sidecars="cohort/sidecars.json",
        gradcam=gradcam_files("gradcam.webp"),
        gradcam_truth=gradcam_truth_tables(),
        recovered=truth_tables(),
    output:
        report="report/index.html",
    log:
        "logs/write_report.log",
    conda:
        "../envs/environment.yaml"
    resources:
        mem_mb=need(2000, sessions=0.5),
        runtime=need(15),
    params:
        config=SHOWN_CONFIG,
        code=code("report/write_report.py"),
    script:
        "../workflow_scripts/report/write_report.py"
