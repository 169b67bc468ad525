"""Rows as their tables will show them."""

from __future__ import annotations

from kneeline.tables import Row

# Decimals of a stored measurement. A table shows six significant digits: all of these, up to 100 units.
DECIMALS = 4


def as_stored(row: Row) -> Row:
    """A row rounded before it is graded, so that its table, graded again, gives the same grade."""
    return {name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in row.items()}
