rule simulate:
    output:
        truth="results/simulate/{scan}_truth.tsv",
    log:
        "logs/simulate/{scan}.log",
    conda:
        "../envs/kneeline.yaml"
    params:
        runners=(settings["simulate"] or {}).get("runners"),
        seed=(settings["simulate"] or {}).get("seed"),
        version=VERSIONS["simulate"],
    shell:
        "kneeline simulate scan --scan {wildcards.scan} --runners {params.runners} --seed {params.seed}"
        " --out results/simulate > {log} 2>&1"
