import atexit

from snakemake.utils import min_version

min_version("9.0")


# A configuration of the user's own replaces the demo's instead of being merged into it.
if not workflow.config_settings.configfiles:

    configfile: "config.yaml"


include: "rules/common.smk"


if not CONFIG["bids_dir"]:

    include: "rules/helpers/demo.smk"
    include: "rules/demo.smk"

    if DEMO_COHORT.BODY_PART == "pelvis":

        include: "rules/helpers/demo_pelvis.smk"
        include: "rules/demo_pelvis.smk"

    else:

        include: "rules/helpers/demo_heads.smk"
        include: "rules/demo_heads.smk"


include: "rules/helpers/anatomical.smk"
include: "rules/anatomical.smk"
include: "rules/helpers/segmentation.smk"
include: "rules/segmentation.smk"
include: "rules/helpers/diffusion.smk"
include: "rules/diffusion.smk"
include: "rules/helpers/vessel_wall.smk"
include: "rules/vessel_wall.smk"


# A run for some participants knows no cohort, whose tables it would make of them alone.
if not CONFIG["participants"]:

    include: "rules/helpers/cohort.smk"
    include: "rules/cohort.smk"
    include: "rules/helpers/learning.smk"
    include: "rules/learning.smk"
    include: "rules/helpers/baselines.smk"
    include: "rules/baselines.smk"
    include: "rules/helpers/statistics.smk"
    include: "rules/statistics.smk"
    include: "rules/helpers/report.smk"
    include: "rules/report.smk"
    include: "rules/audit.smk"


# Reruns follow the fingerprint of a rule's script; what a split holds does not change with it.
for made in workflow.rules:
    made.conda_env = f"{workflow.basedir}/envs/environment.yaml"
    if made.script and made.name not in ("freeze_population", "draw_splits"):
        made.set_params(code=code(made.script.removeprefix("../workflow_scripts/")))
if workflow.is_main_process:
    keep_parsed()


# After the rules: an input that a rule takes from another's output is then known to come from
# it, and no rule's patterns are tried, a sixth of the time of building the graph.
wildcard_constraints:
    folder="sub-[A-Za-z0-9]+(/ses-[A-Za-z0-9]+)?",
    prefix="sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
    participant="sub-[A-Za-z0-9]+",
    study="[A-Za-z0-9_]+",
    split="[0-9]+",
    repeat="[0-9]+",
    input="[A-Za-z0-9_]+(_split-[0-9]+)?",
    network="network[A-Za-z0-9]*",
    region="|".join(SEGMENTATION.labels) or "-",
    engine="[A-Za-z0-9]+",
    fold="[0-9]+",
    model="[A-Za-z0-9_+]+",


# Told here, since a job would wait for the lock of a run that goes on.
if workflow.is_main_process and "status" in sys.argv[1:]:
    print(
        standing(
            COHORT, steps_of, jobs_beside_steps(), OUTPUT_DIR, workflow.resource_settings.cores
        )
    )
    sys.exit()
if workflow.is_main_process:
    atexit.register(tell_plan, workflow, CONFIG, PLACES, OUTPUT_DIR)


onstart:
    print(announcement(), file=sys.stderr)
    # Snakemake 9.27 wakes its scheduler once more per second for every job that has
    # ended while others wait, to keep to a rate of submissions: with a few hundred
    # jobs on few cores that takes a third of a core. Nothing here needs the limit.
    workflow.scheduler.job_rate_limiter = None
    gc.freeze()
    gc.enable()


onsuccess:
    print(closing(succeeded=True), file=sys.stderr)


onerror:
    print(closing(succeeded=False), file=sys.stderr)


localrules:
    all,
    check,
    preprocess,
    features,
    studies,
    report,
    predict,


rule all:
    default_target: True
    input:
        everything,


rule check:
    input:
        "cohort/check.txt",


rule preprocess:
    input:
        preprocessed_files,


rule features:
    input:
        "cohort/features.tsv",


rule studies:
    input:
        "cohort/check.txt",
        lambda wildcards: study_tables(),


rule report:
    input:
        "report/index.html",


rule predict:
    input:
        lambda wildcards: predicted(),
        ["predictions/metrics.tsv"] if CONFIG["frozen_label"] else [],
