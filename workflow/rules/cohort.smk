rule resolve_config:
    output:
        "results/config.json",
    log:
        "logs/config.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        text=resolved_config,
    localrule: True
    shell:
        "printf '%s\\n' {params.text:q} > {output} 2> {log}"


# The only stage that sees the runners' exposure.
rule cohort:
    input:
        config="results/config.json",
        scans="results/ingest/scans.tsv",
        meniscus="results/score/meniscus.tsv",
        effusion="results/score/effusion.tsv",
        cartilage="results/score/cartilage.tsv",
        marrow="results/score/marrow.tsv",
    output:
        flow=report(
            "results/cohort/flow.tsv",
            caption="../report/flow.rst",
            category="tables",
            labels={"what": "participants flow"},
        ),
        knees="results/cohort/knees.tsv",
        runners="results/cohort/runners.tsv",
        table_one=report(
            "results/cohort/table_one.tsv",
            caption="../report/table_one.rst",
            category="tables",
            labels={"what": "who was studied"},
        ),
        prevalence=report(
            "results/cohort/prevalence.tsv",
            caption="../report/prevalence.rst",
            category="tables",
            labels={"what": "prevalence"},
        ),
        joint_cells="results/cohort/joint_cells.tsv",
        estimates=report(
            "results/cohort/estimates.tsv",
            caption="../report/estimates.rst",
            category="tables",
            labels={"what": "all estimates"},
        ),
        dose_response="results/cohort/dose_response.tsv",
        agreement=report(
            "results/cohort/agreement.tsv",
            caption="../report/agreement.rst",
            category="tables",
            labels={"what": "agreement"},
        ),
        confusion="results/cohort/confusion.tsv",
        read_values="results/cohort/read_values.tsv",
        machine_error="results/cohort/machine_error.tsv",
        published="results/cohort/published.tsv",
        claims="results/cohort/claims.tsv",
    log:
        "logs/cohort.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        participants=sheet_digest("participants"),
        readings=sheet_digest("readings"),
        version=VERSIONS["cohort"],
    retries: 1
    shell:
        "kneeline cohort --config {input.config} > {log} 2>&1"
