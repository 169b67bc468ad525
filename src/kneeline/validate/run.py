"""Many knees, one after another or in several processes; the answers do not depend on how many."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from kneeline.validate.measure import Case, measure
from kneeline.validate.plan import twice

Result = TypeVar("Result")


def measure_knees(
    knees: int, jobs: int = 1, tell: Callable[[str], None] = lambda line: None, retest: int = 0
) -> list[Case]:
    """Cases of the knees 0 to `knees` - 1, in their order; the first `retest` main ones are imaged twice. `tell` gets a
    line as each knee is done."""
    one = partial(measure, twice=twice(knees, retest))
    return each(one, knees, jobs, lambda done, case: tell(f"[{done}/{knees}] {summary(case)}"))


def each(
    function: Callable[[int], Result],
    count: int,
    jobs: int = 1,
    ready: Callable[[int, Result], None] = lambda done, result: None,
) -> list[Result]:
    """`[function(0), ..., function(count - 1)]`, worked out by `jobs` processes.

    `ready(how many are done, result)` is called here as results come in, in whatever order.
    """
    if min(jobs, count) <= 1:
        results = []
        for number in range(count):
            results.append(function(number))
            ready(number + 1, results[-1])
        return results
    # Fresh processes: forked ones would inherit the locks of the network's threads.
    with ProcessPoolExecutor(min(jobs, count), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(function, number) for number in range(count)]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                ready(done, future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def summary(case: Case) -> str:
    """One line: which knee, the verdict, and the structure that came out worst."""
    if case.found is None:
        return f"{case.plan.name}: refused ({case.refused})"
    label, worst = min(case.found.structures.items(), key=lambda item: item[1].dice)
    return (
        f"{case.plan.name}: {case.found.verdict}, lowest Dice {worst.dice:.2f} ({label.label_name.replace('_', ' ')})"
    )
