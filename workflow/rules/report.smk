rule picture:
    input:
        "results/score/{scan}_status.json",
    output:
        "results/report/{scan}_picture.json",
    log:
        "logs/report/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        version=VERSIONS["report"],
    resources:
        mem_mb=1000,
    shell:
        "kneeline picture-scans --scans {params.scans:q} --scan {wildcards.scan} > {log} 2>&1"


rule report:
    input:
        cohort=rules.cohort.output,
        config="results/config.json",
        tables=rules.collect.output,
        pictures=of_all_scans("results/report/{scan}_picture.json"),
    output:
        report(
            "results/report/report.html",
            caption="../report/page.rst",
            category="report",
            labels={"what": "cohort report"},
        ),
    log:
        "logs/report.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        version=VERSIONS["report"],
    shell:
        "kneeline report --config {input.config} > {log} 2>&1"
