"""The network run on slices: the one place that knows which engine does it.

Both engines compute in float32: an engine left to itself would choose bfloat16 where the processor has it. Processors
may still sum in another order, which moves a voxel on a border now and then. Each slice is computed by one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kneeline import threads as side_by_side
from kneeline.errors import UsageError
from kneeline.segment.classes import CERTAIN, Class
from kneeline.segment.preprocess import Slices
from kneeline.steps import ENGINE_VARIABLE, network_engine

NETWORK = Path(__file__).parent / "network.onnx"
PRECISION = "float32"
_NO_OPENVINO = (
    f'{ENGINE_VARIABLE} asks for OpenVINO, which is not installed; pip install "kneeline[openvino]", or unset '
    f"{ENGINE_VARIABLE}"
)


@dataclass(frozen=True)
class Engine:
    """`run` takes (1, 3, H, W) float32 to (1, classes, H, W); several threads may call it at the same time."""

    name: str
    version: str
    run: Callable[[np.ndarray], np.ndarray]


def chosen_name() -> str:
    """The engine that the environment asks for.

    Raises
    ------
    UsageError
        When it is not one of ENGINES.
    """
    name = network_engine()
    if name not in ENGINES:
        raise UsageError(f"{ENGINE_VARIABLE} takes {' or '.join(ENGINES)}, not {name!r}")
    return name


def check_environment() -> None:
    """What the environment asks for, looked at before any work begins; nothing is loaded.

    Raises
    ------
    UsageError
        When it asks for an engine that does not exist or is not installed, or for no sensible number of threads.
    """
    if chosen_name() == "openvino" and find_spec("openvino") is None:
        raise UsageError(_NO_OPENVINO)
    side_by_side.count()


@lru_cache(maxsize=2)
def load(name: str, threads: int) -> Engine:
    """An engine that holds the network, for so many callers at a time.

    Raises
    ------
    UsageError
        When the engine is not installed.
    """
    return ENGINES[name](threads)


def _onnxruntime(threads: int) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Image sizes differ from knee to knee: planning memory per size only grows it.
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(str(NETWORK), options, providers=["CPUExecutionProvider"])
    return Engine("onnxruntime", onnxruntime.__version__, lambda array: session.run(None, {"slices": array})[0])


def _openvino(threads: int) -> Engine:
    try:
        import openvino
    except ImportError:
        raise UsageError(_NO_OPENVINO) from None
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        # As many streams as callers, each of one thread.
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
    }
    model = openvino.Core().compile_model(str(NETWORK), "CPU", settings)

    def run(array: np.ndarray) -> np.ndarray:
        return model.create_infer_request().infer({"slices": array})[0]

    return Engine("openvino", openvino.__version__.split("-")[0], run)


ENGINES: dict[str, Callable[[int], Engine]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}


def provenance() -> dict[str, str]:
    """What computes the answer: engine, its version, precision."""
    engine = load(chosen_name(), side_by_side.count())
    return {"engine": engine.name, "version": engine.version, "precision": PRECISION}


def predict(slices: Slices, threads: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each class in parts of CERTAIN, (n, classes, H, W) uint16, and the most probable one, (n, H, W)
    uint8, at the network's pixel size; outside the limb all is background.

    Parameters
    ----------
    threads
        None takes the environment's KNEELINE_THREADS, or 1.

    Raises
    ------
    UsageError
        When the environment asks for an engine that does not exist or is not installed.
    """
    threads = side_by_side.count(threads)
    engine = load(chosen_name(), threads)
    n, h, w = slices.array.shape
    probability = np.zeros((n, len(Class), h, w), np.uint16)
    probability[:, Class.BACKGROUND] = CERTAIN
    best = np.zeros((n, h, w), np.uint8)
    rows, columns = slices.box

    def show(i: int) -> None:
        answer = engine.run(slices.inputs(i, i + 1))[0, :, : rows.stop - rows.start, : columns.stop - columns.start]
        best[i, rows, columns] = _argmax(answer)
        answer *= CERTAIN
        answer += 0.5
        np.copyto(probability[i, :, rows, columns], answer, casting="unsafe")

    side_by_side.each(show, range(n), threads)
    return probability, best


def _argmax(probability: np.ndarray) -> np.ndarray:
    """argmax over the first axis, plane by plane: several times faster than numpy's over a short, strided axis."""
    highest = probability[0].copy()
    best = np.zeros(highest.shape, np.uint8)
    for cls in range(1, len(probability)):
        wins = probability[cls] > highest
        np.copyto(highest, probability[cls], where=wins)
        best[wins] = cls
    return best
