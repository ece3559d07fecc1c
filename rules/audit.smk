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


rule freeze:
    # No input: what lies there is released if it is as recorded.
    log:
        "logs/freeze.log",
    conda:
        "../envs/environment.yaml"
    threads: 4
    resources:
        mem_mb=need(2000, sessions=1),
        runtime=need(30, sessions=0.1),
    params:
        places=PLACES,
        title=CONFIG["report"]["title"],
        code=code("audit/freeze.py"),
    script:
        "../workflow_scripts/audit/freeze.py"
