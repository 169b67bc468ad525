"""The declared version of each step, and the digest of the network.

Snakemake does not see the code of an installed package. Each rule carries the versions of its steps as a parameter, and
each scan's record those that it was made with, so that a raised version reruns exactly that step and what follows from
it. Raise it when a step's output may change.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

ENGINE_VARIABLE = "KNEELINE_ENGINE"

VERSIONS = {
    "simulate": "3",
    "ingest": "1",
    "segment": "4",
    "score": "6",
    "collect": "4",
    "cohort": "7",
    "report": "5",
}


def declared(step: str, viewer: bool = True) -> dict[str, str]:
    """All that a step's output depends on besides its input files. viewer: whether pages of knees hold their slices."""
    found = {"version": VERSIONS[step]}
    if step == "report":
        found |= {"viewer": "yes" if viewer else "no"}
    if step == "segment":
        found |= {"network": network_digest(), "calibration": calibration_digest(), "engine": network_engine()}
    return found


def network_digest() -> str:
    """Of the shipped network: with another one every scan is segmented again."""
    return _digest("network.onnx")


def calibration_digest() -> str:
    """Of the table that confidence, and so the verdict, comes from."""
    return _digest("calibration.json")


@lru_cache
def _digest(name: str) -> str:
    return hashlib.sha256((Path(__file__).parent / "segment" / name).read_bytes()).hexdigest()


def network_engine() -> str:
    """That the environment asks for: another one rounds differently, so every scan is segmented again."""
    return os.environ.get(ENGINE_VARIABLE) or "onnxruntime"
