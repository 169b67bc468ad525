# A scan that cannot be used is a row with a reason in its status file, not a failed job.
# The command takes the scan's paths from the scans table itself: no path of the user passes through a shell line.
rule ingest:
    input:
        simulated_paths,
    output:
        "results/ingest/{scan}_status.json",
    log:
        "logs/ingest/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        row=scan_row,
        version=VERSIONS["ingest"],
    resources:
        mem_mb=1000,
    shell:
        "kneeline ingest --scans {params.scans:q} --scan {wildcards.scan} --out results/ingest > {log} 2>&1"


rule collect:
    input:
        of_all_scans("results/score/{scan}_status.json"),
        truths=all_truths,
    output:
        scans="results/ingest/scans.tsv",
        series="results/ingest/series.tsv",
        quality="results/ingest/quality.tsv",
        structures="results/segment/structures.tsv",
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
    shell:
        "kneeline collect --scans {params.scans:q} > {log} 2>&1"
