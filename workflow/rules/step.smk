# Granularity `step`: one job does one step of one scan.
# A scan that cannot be used is a row with a reason in its status file, not a failed job.
# A job takes the scan's paths from the scans table itself: no path of the user passes through a shell line.
rule ingest:
    input:
        TRUTH,
    output:
        "results/ingest/{scan}_status.json",
    log:
        "logs/ingest/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        row=scan_row,
        made_by=OF_ONE_SCAN["ingest"],
    shell:
        "kneeline process --only ingest --scans {params.scans:q} --scan {wildcards.scan} > {log} 2>&1"


rule segment:
    input:
        "results/ingest/{scan}_status.json",
    output:
        "results/segment/{scan}_status.json",
    log:
        "logs/segment/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        edits=settings["edits"],
        edit=scan_edit,
        made_by=OF_ONE_SCAN["segment"],
    shell:
        "kneeline process --only segment --scans {params.scans:q} --edits {params.edits:q} --scan {wildcards.scan}"
        " > {log} 2>&1"


rule score:
    input:
        "results/segment/{scan}_status.json",
    output:
        "results/score/{scan}_status.json",
    log:
        "logs/score/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        scans=settings["scans"],
        made_by=OF_ONE_SCAN["score"],
    shell:
        "kneeline process --only score --scans {params.scans:q} --scan {wildcards.scan} > {log} 2>&1"


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
        made_by=OF_ONE_SCAN["report"],
        no_viewer=NO_VIEWER,
    shell:
        "kneeline process --only report --scans {params.scans:q} --scan {wildcards.scan}{params.no_viewer}"
        " > {log} 2>&1"
