rule simulate_participants:
    """Tables of the simulated cohort."""
    output:
        **tables(
            participants=f"{DEMO_BIDS}/participants.tsv",
            exclusions=f"{DEMO_BIDS}/exclusions.tsv",
        ),
        description=f"{DEMO_BIDS}/dataset_description.json",
        readme=f"{DEMO_BIDS}/README",
        ignored=f"{DEMO_BIDS}/.bidsignore",
        derivatives=f"{DEMO_DERIVATIVES}/dataset_description.json",
        sessions=[f"{DEMO_BIDS}/{path}" for path in DEMO_PLAN.sessions_files],
        sidecars=DEMO_SIDECARS,
    log:
        "logs/simulate_participants.log",
    params:
        demo=CONFIG["demo"],
    script:
        "../workflow_scripts/demo/simulate_participants.py"


rule compare_with_truth:
    """What was recovered of the simulated truth."""
    input:
        unpack(lambda wildcards: true_and_found()),
        features="cohort/features.tsv",
    output:
        **tables(recovered="demo/recovered.tsv", summary="demo/recovered_summary.tsv"),
    log:
        "logs/compare_with_truth.log",
    script:
        "../workflow_scripts/demo/compare_with_truth.py"
