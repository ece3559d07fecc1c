rule audit:
    """Verify what lies there against its records, and do some jobs again."""

    # No input: what lies there is verified, not brought up to date.
    log:
        "logs/audit.log",
    threads: 4
    resources:
        mem_mb=need(16000),
        runtime=need(240, sessions=0.1),
    params:
        places=PLACES,
        audit=CONFIG["audit"],
    script:
        "../workflow_scripts/audit/audit.py"


rule freeze:
    """Release of the studies without images."""

    # No input: what lies there is released if it is as recorded.
    log:
        "logs/freeze.log",
    threads: 4
    resources:
        mem_mb=need(2000, sessions=1),
        runtime=need(30, sessions=0.1),
    params:
        places=PLACES,
        title=CONFIG["report"]["title"],
    script:
        "../workflow_scripts/audit/freeze.py"
