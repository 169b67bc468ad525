"""Whose outlines a knee's scores come from: only the machine's own tell how well the machine does."""

from __future__ import annotations

from collections.abc import Sequence

from kneeline.tables import Row, is_edited

LEFT_OUT = (
    "left out, their outlines were corrected by hand: what they score is not the machine's. Knees are corrected where "
    "the machine failed, so what is left may show it better than it is"
)


def by_machine(knees: Sequence[Row]) -> list[Row]:
    return [knee for knee in knees if not is_edited(knee)]


def warning(knees: Sequence[Row]) -> str | None:
    """What is to be said of an analysis of the machine's error in these knees; None without an edited one."""
    n = sum(is_edited(knee) for knee in knees)
    return f"{n} knee{'s' * (n != 1)} {LEFT_OUT}" if n else None
