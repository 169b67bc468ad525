"""Which engine runs the network, and that threads decide nothing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from kneeline.errors import UsageError
from kneeline.segment import engine
from kneeline.segment.classes import CERTAIN, Class
from kneeline.segment.preprocess import prepare
from kneeline.volume import Volume


@pytest.fixture(scope="module")
def slices():
    """A bright block with a dark ball, 9 slices 3 mm apart."""
    x, z, y = np.indices((9, 110, 100), np.float32)
    ball = (x - 4) ** 2 * 9 + (z - 50) ** 2 * 0.36 + (y - 45) ** 2 * 0.36 < 15**2
    array = (100 + 20 * np.sin(z / 5) - 60 * ball).astype(np.float32)
    return prepare(Volume(array, np.diag([3.0, -0.6, -0.6, 1])[:, [0, 2, 1, 3]]))


def test_probabilities_sum_to_one_and_the_best_class_is_the_highest(slices):
    probability, best = engine.predict(slices, 1)
    assert probability.sum(1, dtype=np.int64) == pytest.approx(CERTAIN, abs=len(Class))
    highest = np.take_along_axis(probability, best[:, None].astype(int), 1)[:, 0]
    assert (highest.astype(int) >= probability.max(1).astype(int) - 1).all()


def test_the_number_of_threads_changes_no_bit(slices):
    one, three = engine.predict(slices, 1), engine.predict(slices, 3)
    assert np.array_equal(one[0], three[0])
    assert np.array_equal(one[1], three[1])


def test_openvino_finds_what_onnx_runtime_finds(slices, monkeypatch):
    pytest.importorskip("openvino")
    expected, _ = engine.predict(slices, 1)
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "openvino")
    found, _ = engine.predict(slices, 2)
    assert np.array_equal(found, engine.predict(slices, 1)[0])
    assert found.astype(float) == pytest.approx(expected.astype(float), abs=5e-3 * CERTAIN)
    assert engine.provenance()["engine"] == "openvino"


def test_an_engine_that_is_not_installed_is_named_with_the_way_out(slices, monkeypatch):
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine.load.cache_clear()
    with pytest.raises(UsageError, match=r"kneeline\[openvino\]"):
        engine.predict(slices)


def test_an_unknown_engine_is_refused(slices, monkeypatch):
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "abacus")
    with pytest.raises(UsageError, match="onnxruntime or openvino, not 'abacus'"):
        engine.predict(slices)


def test_provenance_names_engine_version_and_precision(monkeypatch):
    import onnxruntime

    monkeypatch.delenv(engine.ENGINE_VARIABLE, raising=False)
    assert engine.provenance() == {
        "engine": "onnxruntime",
        "version": onnxruntime.__version__,
        "precision": "float32",
    }


def test_classes_are_in_the_order_of_the_network(slices):
    answer = engine.load("onnxruntime", 1).run(slices.inputs(0, 1))
    assert answer.shape[1] == len(Class)
    assert answer.sum(1) == pytest.approx(1, abs=1e-4)
