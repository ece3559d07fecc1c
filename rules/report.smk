rule draw_gradcam:
    """Mean Grad-CAM of a model on the template."""
    input:
        **{n: getattr(rules.average_gradcam.output, n) for n in (*MEANS, "index")},
        template=rules.make_templates.output.t1w,
        template_mask=rules.make_templates.output.mask,
    output:
        picture="studies/{study}/gradcam/model-{model}_gradcam.webp",
    log:
        "logs/draw_gradcam/{study}/model-{model}.log",
    params:
        gradcam=evaluation("gradcam"),
    script:
        "../workflow_scripts/report/draw_gradcam.py"


rule flag_outliers:
    """Sessions whose measures are out of line."""
    input:
        features="cohort/features.tsv",
        sidecars="cohort/sidecars.json",
    output:
        **tables(table="cohort/outliers.tsv"),
    log:
        "logs/flag_outliers.log",
    resources:
        mem_mb=need(1000, sessions=0.5),
    script:
        "../workflow_scripts/report/flag_outliers.py"


rule collect_ratings:
    """Ratings of the pictures, and how well raters agree."""
    input:
        ratings=RATINGS,
        pictures=qc_pictures,
    output:
        **tables(ratings="cohort/ratings.tsv", agreement="cohort/ratings_agreement.tsv"),
    log:
        "logs/collect_ratings.log",
    params:
        others=lambda wildcards, input: others_now(input.ratings, input.pictures),
    script:
        "../workflow_scripts/report/collect_ratings.py"


rule write_report:
    """The report, with the references of its methods."""
    input:
        scans="cohort/scans.tsv",
        features="cohort/features.tsv",
        outliers=rules.flag_outliers.output.table,
        studies=study_tables,
        dictionaries=report_dictionaries,
        pictures=qc_pictures,
        ratings=rules.collect_ratings.output[:2] if RATINGS else [],
        sites=[rules.collect_clinical.output.table.format(study=n) for n in WITH_SITES],
        segmentation=TABLES_OF_ENGINES,
        engine_pictures=engine_pictures,
        viewers=viewers,
        sidecars="cohort/sidecars.json",
        models=lambda wildcards: fitted_logistic(STUDIES),
        gradcam=of_gradcam(rules.draw_gradcam.output.picture),
        gradcam_truth=truth_tables()[2:],
        recovered=truth_tables()[:2],
    output:
        **tables(checklist="report/checklist.tsv"),
        **dict(report="report/index.html", references="report/methods.bib"),
    log:
        "logs/write_report.log",
    resources:
        mem_mb=need(2000, sessions=0.5),
    params:
        config=shown_config(CONFIG, config),
    script:
        "../workflow_scripts/report/write_report.py"
