# Granularity `scan`: one job takes one scan through all its steps, and does again only those that are not current.
# Its stamp is the only output that Snakemake may remove; what the steps wrote stays when a job fails.
rule process_scan:
    input:
        TRUTH,
    output:
        "results/progress/{scan}_done.json",
    log:
        "logs/process/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        edits=settings["edits"],
        row=scan_row_and_edit,
        made_by=OF_ONE_SCAN,
        no_viewer=NO_VIEWER,
    shell:
        "kneeline process --scans {params.scans:q} --edits {params.edits:q} --scan {wildcards.scan} --stamp {output}"
        "{params.no_viewer}"
        " > {log} 2>&1"
