"""The declared version of each step.

Snakemake does not see the code of an installed package. Each rule carries its step's version as a parameter, so that a
raised version reruns exactly that step and what follows from it. Raise it when a step's output may change.
"""

VERSIONS = {
    "simulate": "1",
    "ingest": "1",
    "segment": "1",
    "score": "1",
    "collect": "1",
    "cohort": "1",
    "report": "1",
}
