"""Readings given with the machine's results in view: how far they moved, apart from all that measures agreement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kneeline.cohort import outlines
from kneeline.cohort.agreement import compared_rows
from kneeline.cohort.readings import Ratings, machine_grades, reader_ratings
from kneeline.statistics.resampled import Resampling
from kneeline.tables import Row

NOTE = (
    "given with the machine's grades and outlines in view: they say what readers do with the machine's help, and are "
    "no independent judgement of it; agreement, total scores and the machine's error take the blind readings alone"
)


def compare_assisted(
    knees: Sequence[Row],
    blind: Sequence[Row],
    assisted: Sequence[Row],
    cartilage: Sequence[Row],
    marrow: Sequence[Row],
    resampling: Resampling,
) -> tuple[list[Row], list[Row]]:
    """Rows of AGREEMENT and of CONFUSION, none without assisted readings. Arguments as `agreement.compare_raters`."""
    if not assisted:
        return [], []
    machine = machine_grades(outlines.by_machine(knees), cartilage, marrow)
    agreement: list[Row] = [
        {"comparison": "assisted readings", "structure": "all", "statistic": "assisted", "note": NOTE}
    ]
    confusion: list[Row] = []
    for comparison, pair in _pairs(machine, reader_ratings(blind, "grade"), reader_ratings(assisted, "grade")):
        rows, counts = compared_rows(comparison, pair, "grade", resampling)
        agreement += rows
        confusion += counts
    return agreement, confusion


def _pairs(
    machine: Ratings, blind: dict[str, dict[int, Ratings]], assisted: dict[str, dict[int, Ratings]]
) -> Iterator[tuple[str, list[Ratings]]]:
    """Each reader's blind reading with the assisted one, and the machine with both on the same knees."""
    for reader, readings in assisted.items():
        after = readings[min(readings)]
        if reader in blind:
            before = blind[reader][min(blind[reader])]
            both = before.keys() & after.keys()
            yield f"assisted: {reader} blind with {reader} assisted", [before, after]
            yield f"assisted: machine with {reader} blind", [machine, {key: before[key] for key in both}]
            yield f"assisted: machine with {reader} assisted", [machine, {key: after[key] for key in both}]
        else:
            yield f"assisted: machine with {reader} assisted", [machine, after]
