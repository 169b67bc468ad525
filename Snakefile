# Lets a bare `snakemake --cores all` in this folder run the workflow. `include` alone would plan nothing.
configfile: "config/config.yaml"


module kneeline:
    snakefile:
        "workflow/Snakefile"
    config:
        config


use rule * from kneeline
