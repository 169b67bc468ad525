"""Which slices the network sees, which engine runs it, and that threads decide nothing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from kneeline.errors import UsageError
from kneeline.segment import engine, threads
from kneeline.segment.classes import Class
from kneeline.segment.preprocess import prepare
from kneeline.volume import Volume


@pytest.fixture(scope="module")
def close_slices():
    """A bright block with a dark ball, 40 slices 0.7 mm apart."""
    x, z, y = np.indices((40, 110, 100), np.float32)
    ball = (x - 20) ** 2 * 0.49 + (z - 50) ** 2 * 0.36 + (y - 45) ** 2 * 0.36 < 15**2
    array = (100 + 20 * np.sin(z / 5) - 60 * ball).astype(np.float32)
    return prepare(Volume(array, np.diag([0.7, -0.6, -0.6, 1])[:, [0, 2, 1, 3]]))


@pytest.mark.parametrize("n", [1, 2, 3, 24, 159, 160, 161])
@pytest.mark.parametrize(("spacing", "step"), [(0.36, 4), (0.5, 3), (0.7, 2), (0.75, 2), (0.8, 1), (3.3, 1)])
def test_slices_shown_lie_at_most_so_far_apart_and_are_the_same_from_either_end(n, spacing, step):
    shown = engine.slices_to_show(n, spacing)
    assert shown[0] == 0
    assert shown[-1] == n - 1
    assert max(np.diff(shown), default=1) <= step
    assert len(shown) <= n / step + 3
    assert shown == sorted(n - 1 - i for i in shown)


def test_what_lies_between_two_slices_is_between_their_answers(close_slices):
    probability, best = engine.predict(close_slices, 1)
    shown = engine.slices_to_show(40, 0.7)
    assert 1 not in shown
    assert probability[1].astype(float) == pytest.approx(probability[[0, 2]].astype(float).mean(0), abs=1e-3)
    assert probability.sum(1, dtype=np.float32) == pytest.approx(1, abs=0.01)
    highest = np.take_along_axis(probability, best[:, None].astype(int), 1)[:, 0]
    assert (highest >= probability.max(1) - np.float16(1e-3)).all()


def test_the_number_of_threads_changes_no_bit(close_slices):
    one, three = engine.predict(close_slices, 1), engine.predict(close_slices, 3)
    assert np.array_equal(one[0], three[0])
    assert np.array_equal(one[1], three[1])


def test_openvino_finds_what_onnx_runtime_finds(close_slices, monkeypatch):
    pytest.importorskip("openvino")
    expected, _ = engine.predict(close_slices, 1)
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "openvino")
    found, _ = engine.predict(close_slices, 2)
    assert np.array_equal(found, engine.predict(close_slices, 1)[0])
    assert found.astype(float) == pytest.approx(expected.astype(float), abs=5e-3)
    assert engine.provenance()["engine"] == "openvino"


def test_an_engine_that_is_not_installed_is_named_with_the_way_out(close_slices, monkeypatch):
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine.load.cache_clear()
    with pytest.raises(UsageError, match=r"kneeline\[openvino\]"):
        engine.predict(close_slices)


def test_an_unknown_engine_is_refused(close_slices, monkeypatch):
    monkeypatch.setenv(engine.ENGINE_VARIABLE, "abacus")
    with pytest.raises(UsageError, match="onnxruntime or openvino, not 'abacus'"):
        engine.predict(close_slices)


def test_provenance_names_engine_version_and_precision(monkeypatch):
    import onnxruntime

    monkeypatch.delenv(engine.ENGINE_VARIABLE, raising=False)
    assert engine.provenance() == {
        "engine": "onnxruntime",
        "version": onnxruntime.__version__,
        "precision": "float32",
    }


def test_threads_are_as_asked_else_as_the_environment_says_else_one(monkeypatch):
    monkeypatch.delenv(threads.THREADS_VARIABLE, raising=False)
    assert (threads.count(), threads.count(3)) == (1, 3)
    assert 1 <= threads.for_one_knee() <= 4
    monkeypatch.setenv(threads.THREADS_VARIABLE, "7")
    assert (threads.count(), threads.count(3), threads.for_one_knee()) == (7, 3, 7)


@pytest.mark.parametrize("said", ["0", "-2", "two", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(said, monkeypatch):
    monkeypatch.setenv(threads.THREADS_VARIABLE, said)
    with pytest.raises(UsageError, match="whole number"):
        threads.count()


@pytest.mark.parametrize("n", [1, 4])
def test_a_failure_in_a_thread_is_not_lost(n):
    done = []

    def work(item):
        if item == 2:
            raise ZeroDivisionError
        done.append(item)

    with pytest.raises(ZeroDivisionError):
        threads.each(work, range(4), n)
    assert {0, 1} <= set(done)


def test_classes_are_in_the_order_of_the_network(close_slices):
    answer = engine.load("onnxruntime", 1).run(close_slices.inputs(0, 1))
    assert answer.shape[1] == len(Class)
    assert answer.sum(1) == pytest.approx(1, abs=1e-4)
