rule audit:
    """Verify what lies there against its records, as it is, and do some jobs again."""
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
    """Release of the studies without images, if what lies there is as recorded."""
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
