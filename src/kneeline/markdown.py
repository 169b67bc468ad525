"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable

from kneeline.tables import MISSING


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """
    >>> print(table(["", "mL"], [["knee", "4.0"]]))
    |  | mL |
    | --- | --- |
    | knee | 4.0 |
    """
    header = list(header)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows])


def number(value: float | None, form: str = "") -> str:
    """A number in a format, or what stands for a missing one.

    >>> number(0.125, ".2f"), number(None, ".2f")
    ('0.12', 'n/a')
    """
    return MISSING if value is None else format(value, form)


def interval(estimate: float | None, low: float | None, high: float | None, form: str = ".2f") -> str:
    """
    >>> interval(0.8, 0.7, 0.9), interval(0.8, None, None), interval(None, None, None)
    ('0.80 (0.70 to 0.90)', '0.80', 'n/a')
    """
    ends = "" if low is None or high is None else f" ({low:{form}} to {high:{form}})"
    return number(estimate, form) + ends
