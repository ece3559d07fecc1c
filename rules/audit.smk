rule audit:
    # No input: what lies there is verified, not brought up to date.
    log:
        "logs/audit.log",
    conda:
        "../envs/environment.yaml"
    threads: 4
    resources:
        mem_mb=need(16000),
        runtime=need(240, sessions=0.1),
    params:
        places=PLACES,
        audit=CONFIG["audit"],
        code=code("audit/audit.py"),
    script:
        "../workflow_scripts/audit/audit.py"
