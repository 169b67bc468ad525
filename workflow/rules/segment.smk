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
        version=VERSIONS["segment"],
        network=network_digest(),
        calibration=calibration_digest(),
        engine=network_engine(),
    resources:
        mem_mb=2000,
    shell:
        "kneeline segment-scans --scans {params.scans:q} --scan {wildcards.scan} > {log} 2>&1"
