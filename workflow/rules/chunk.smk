# Granularity `chunk`: one job takes many scans through all their steps, in processes that import and load once.
# A scan's id alone decides its chunk, so a new scan touches one chunk, and there only the new scan is worked on.
CHUNKS = progress.members(SCANS.values(), settings["chunks"])


rule process_chunk:
    input:
        lambda wildcards: truth_of(scan.scan_id for scan in CHUNKS[wildcards.chunk]),
    output:
        "results/progress/chunk-{chunk}_done.json",
    log:
        "logs/process/chunk-{chunk}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        edits=settings["edits"],
        rows=lambda wildcards: [progress.row_digest(scan) for scan in CHUNKS[wildcards.chunk]],
        edited=lambda wildcards: [scan.edit.digest for scan in CHUNKS[wildcards.chunk] if scan.edit],
        made_by=OF_ONE_SCAN,
        no_viewer=NO_VIEWER,
    threads: 1
    shell:
        "kneeline process --scans {params.scans:q} --edits {params.edits:q} --chunk {wildcards.chunk}"
        " --workers {threads} --stamp {output}{params.no_viewer} > {log} 2>&1"
