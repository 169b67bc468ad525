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
        version=VERSIONS["score"],
    resources:
        mem_mb=2000,
    shell:
        "kneeline score-scans --scans {params.scans:q} --scan {wildcards.scan} > {log} 2>&1"
