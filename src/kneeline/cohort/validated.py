"""The knees that a reader graded as the machine did: the validated subset, and grades joined until each has enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeline.cohort.readings import DEPTH_RULE, SIGNAL, Knee, reader_ratings
from kneeline.tables import Row

# Outcomes that in KNEES are the machine's alone; the others hold a reader's grade wherever there is one.
_ITEMS = {"signal_grade": SIGNAL, "effusion_grade": DEPTH_RULE}
MACHINE_OUTCOMES = tuple(_ITEMS)
# A grade that the reader gave to fewer knees than this is joined with a neighbour.
LEAST_PER_GRADE = 5
LEAST_KNEES, LEAST_RUNNERS = 30, 15


def reader_outcome(readings: Sequence[Row] | None, outcome: str) -> dict[Knee, int]:
    """The reader's grade of whole knees: of each knee the first reading, of the first reader by name, that is whole."""
    found: dict[Knee, int] = {}
    raters = reader_ratings(readings or [], "grade")
    for number in sorted({number for readings in raters.values() for number in readings}):
        for rater in raters.values():
            for knee in dict.fromkeys(knee for knee, _ in rater.get(number, {})):
                grade = rater[number].get((knee, _ITEMS[outcome]))
                if grade is not None:
                    found.setdefault(knee, int(grade))
    return found


def joined_grades(machine: np.ndarray, reader: np.ndarray) -> list[tuple[int, ...]]:
    """Groups of neighbouring grades, low to high, of which the reader gave each to LEAST_PER_GRADE knees or more.

    `machine` and `reader` (n,) hold grades; `reader` is -1 where there is none. From the top down, a grade with too few
    is joined with the one below it; the lowest with the one above. A grade that the machine never gave is joined too.

    >>> joined_grades(np.array([0, 1, 2, 3]).repeat(6), np.array([0, 1, 2]).repeat([9, 9, 6]))
    [(0,), (1,), (2, 3)]
    """
    highest = int(max(machine.max(initial=0), reader.max(initial=0)))
    groups = [(grade,) for grade in range(highest + 1)]

    def too_few(group: tuple[int, ...]) -> bool:
        return np.isin(reader, group).sum() < LEAST_PER_GRADE or not np.isin(machine, group).any()

    while len(groups) > 1:
        few = [i for i, group in enumerate(groups) if too_few(group)]
        if not few:
            break
        low = max(0, few[-1] - 1)
        groups[low : low + 2] = [groups[low] + groups[low + 1]]
    return groups


def to_groups(grades: np.ndarray, groups: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Position of the group of each grade (n,); -1 stays."""
    position = {grade: i for i, group in enumerate(groups) for grade in group}
    return np.array([position.get(int(grade), -1) for grade in grades], dtype=int)
