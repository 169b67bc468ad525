"""How many threads work, and that no failure in one is lost."""

import pytest

from kneeline import threads
from kneeline.errors import UsageError


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
