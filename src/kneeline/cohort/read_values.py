"""The pairs of measured values behind the limits of agreement, so that they can be drawn and checked."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline.cohort import outlines
from kneeline.cohort.agreement import pairs_of_raters
from kneeline.cohort.readings import machine_values, reader_ratings, words_of
from kneeline.tables import KNEE_KEYS, Row


def read_values(knees: Sequence[Row], readings: Sequence[Row] | None) -> list[Row]:
    """Rows of READ_VALUES: machine with each reader, readers with each other, a reader's readings with each other.

    `knees` are rows of KNEES; those whose outlines a person corrected are not the machine's.
    """
    if not readings:
        return []
    rows = []
    machine = machine_values(outlines.by_machine(knees))
    for comparison, raters in pairs_of_raters(machine, reader_ratings(readings, "value")):
        if len(raters) == 2:
            one, two = raters
            for knee, item in sorted(one.keys() & two.keys(), key=str):
                keys = dict(zip(KNEE_KEYS, knee, strict=True))
                rows.append(
                    {"comparison": comparison, "structure": words_of(item), **keys}
                    | {"value_a": one[knee, item], "value_b": two[knee, item]}
                )
    return rows
