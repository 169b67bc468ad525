rule report:
    input:
        cohort=rules.cohort.output,
        config="results/config.json",
        tables=rules.collect.output,
        pictures=of_all_scans("report"),
    output:
        report(
            "results/report/report.html",
            caption="../report/page.rst",
            category="report",
            labels={"what": "cohort report"},
        ),
        index="results/report/index.html",
        list="results/report/knees.js",
    log:
        "logs/report.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        readings=sheet_digest("readings"),
        version=VERSIONS["report"],
    retries: 1
    shell:
        "kneeline report --config {input.config} > {log} 2>&1"
