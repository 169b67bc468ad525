rule collect:
    input:
        of_all_scans("score"),
        truths=all_truths,
    output:
        scans="results/ingest/scans.tsv",
        series="results/ingest/series.tsv",
        quality="results/ingest/quality.tsv",
        structures="results/segment/structures.tsv",
        edits="results/segment/edits.tsv",
        dseg="results/segment/dseg.tsv",
        meniscus="results/score/meniscus.tsv",
        extrusion="results/score/extrusion.tsv",
        effusion="results/score/effusion.tsv",
        cartilage="results/score/cartilage.tsv",
        marrow="results/score/marrow.tsv",
    log:
        "logs/collect.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        version=VERSIONS["collect"],
    retries: 1
    shell:
        "kneeline collect --scans {params.scans:q} > {log} 2>&1"
