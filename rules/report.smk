QC_PICTURE = bids("{folder}/figures", "{prefix}", "T1w.webp", desc="qc")


rule draw_qc:
    input:
        t1w=rules.prepare_t1w.output.t1w,
        mask=rules.prepare_t1w.output.mask,
        tissues=rules.segment_brain.output.tissues,
        regions=rules.segment_brain.output.regions,
        normalized=rules.register_to_mni.output.t1w,
        template_mask=rules.make_templates.output.mask,
        template_wm=rules.make_templates.output.wm,
    output:
        picture=QC_PICTURE,
    log:
        "logs/draw_qc/{folder}/{prefix}.log",
    resources:
        mem_mb=2000,
        runtime=5,
    params:
        code=code("report/draw_qc.py"),
    script:
        "../workflow_scripts/report/draw_qc.py"


rule flag_outliers:
    input:
        features="cohort/features.tsv",
        sidecars=sessions(bids_anat("T1w.json", desc="preproc"), T1W),
    output:
        table="cohort/outliers.tsv",
        dictionary="cohort/outliers.json",
    log:
        "logs/flag_outliers.log",
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        code=code("report/flag_outliers.py"),
    script:
        "../workflow_scripts/report/flag_outliers.py"


rule write_report:
    input:
        status="cohort/status.tsv",
        features="cohort/features.tsv",
        outliers=rules.flag_outliers.output.table,
        studies=study_tables(),
        pictures=sessions(QC_PICTURE, T1W),
        sidecars=[path for prefix in T1W for path in sidecars(prefix)],
        recovered=(
            []
            if CONFIG["bids_dir"]
            else [
                rules.compare_with_truth.output.recovered,
                rules.compare_with_truth.output.summary,
            ]
        ),
    output:
        report="report/index.html",
    log:
        "logs/write_report.log",
    resources:
        mem_mb=2000,
        runtime=15,
    params:
        # The output folder says nothing about the results: a moved study is not remade.
        config={key: value for key, value in CONFIG.items() if key != "output_dir"},
        code=code("report/write_report.py"),
    script:
        "../workflow_scripts/report/write_report.py"
