"""Pieces of work side by side, each done by one thread from beginning to end: no answer depends on their number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from kneeline.errors import UsageError

Item = TypeVar("Item")

THREADS_VARIABLE = "KNEELINE_THREADS"
_MOST = 4  # each thread keeps the network's intermediate images of its slice: memory


def count(asked: int | None = None) -> int:
    """Threads to use: as asked, else as the environment's KNEELINE_THREADS says, else one, because the workflow counts
    on one core for each scan.

    Raises
    ------
    UsageError
        When KNEELINE_THREADS is no whole number above 0.
    """
    if asked:
        return asked
    said = os.environ.get(THREADS_VARIABLE) or "1"
    if not said.isdecimal() or int(said) < 1:
        raise UsageError(f"{THREADS_VARIABLE} takes a whole number above 0, not {said!r}")
    return int(said)


def for_one_knee() -> int:
    """Threads when nothing else runs, as at the command line: KNEELINE_THREADS, else the cores that this process may
    use, four at most."""
    if os.environ.get(THREADS_VARIABLE):
        return count()
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, _MOST)


def each(work: Callable[[Item], None], items: Iterable[Item], threads: int) -> None:
    """Call `work` with every item, up to `threads` at a time; an exception in one is raised here."""
    if threads == 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, items):
            pass
