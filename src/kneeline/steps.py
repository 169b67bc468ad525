"""The declared version of each step, and the digest of the network.

Snakemake does not see the code of an installed package. Each rule carries its step's version as a parameter, so that a
raised version reruns exactly that step and what follows from it. Raise it when a step's output may change.
"""

import hashlib
import os
from pathlib import Path

ENGINE_VARIABLE = "KNEELINE_ENGINE"

VERSIONS = {
    "simulate": "1",
    "ingest": "1",
    "segment": "3",
    "score": "2",
    "collect": "2",
    "cohort": "4",
    "report": "1",
}


def network_digest() -> str:
    """Of the shipped network: with another one every scan is segmented again."""
    return _digest("network.onnx")


def calibration_digest() -> str:
    """Of the table that confidence, and so the verdict, comes from."""
    return _digest("calibration.json")


def _digest(name: str) -> str:
    return hashlib.sha256((Path(__file__).parent / "segment" / name).read_bytes()).hexdigest()


def network_engine() -> str:
    """That the environment asks for: another one rounds differently, so every scan is segmented again."""
    return os.environ.get(ENGINE_VARIABLE) or "onnxruntime"
