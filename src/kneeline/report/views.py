"""Tables as the page shows them: cells that know whether they are numbers, and how rows of a table become them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kneeline.report import words
from kneeline.tables import MISSING, Row, Table


@dataclass(frozen=True)
class Cell:
    text: str
    number: bool = False
    kind: str = ""  # style class: a grade's shade, a refusal
    link: str = ""  # anchor on the page


@dataclass(frozen=True)
class View:
    """A table as shown: caption, headings, rows of cells. `heads` names rows that are headings of a block."""

    caption: str
    headings: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


Spec = tuple[str, Callable[[Row], Any]]


def view(caption: str, columns: Sequence[Spec], rows: Sequence[Row]) -> View:
    """A table from (heading, function of a row) pairs. Numbers and n/a in a column of numbers are set right."""
    cells = [[get(row) for _, get in columns] for row in rows]
    numeric = [
        bool(column) and all(_is_number(v) or v is None for v in column) and any(v is not None for v in column)
        for column in zip(*cells, strict=True)
    ] or [False] * len(columns)
    return View(
        caption,
        tuple(Cell(name, right) for (name, _), right in zip(columns, numeric, strict=True)),
        tuple(
            tuple(
                value if isinstance(value, Cell) else Cell(words.cell(value), right)
                for value, right in zip(line, numeric, strict=True)
            )
            for line in cells
        ),
    )


def _is_number(value: Any) -> bool:
    return value.number if isinstance(value, Cell) else isinstance(value, (int, float)) and not isinstance(value, bool)


def plain(caption: str, table: Table, rows: Sequence[Row], skip: Sequence[str] = ()) -> View:
    """The columns of a declared table but `skip`; one that no row fills is left out unless every row needs it.

    The two ends of an interval become one column.
    """
    columns: list[Spec] = []
    for column in table.columns:
        name = column.name
        if name in skip or not (column.needed or any(row.get(name) is not None for row in rows)):
            continue
        if name == "ci_low":
            columns.append(("95 % interval", lambda r: Cell(words.interval(r["ci_low"], r["ci_high"]), True)))
        elif name == "estimate":
            columns.append(("estimate", lambda r: Cell(words.estimate(r["estimate"]), True)))
        elif name == "p_value":
            columns.append(("p", lambda r: Cell(words.p_value(r["p_value"]), True)))
        elif name == "scan_id":
            columns.append(("scan", lambda r: Cell(r["scan_id"], kind="id")))
        elif name != "ci_high":
            columns.append((words.heading(name), _getter(name)))
    return view(caption, columns, rows)


def _getter(name: str) -> Callable[[Row], Any]:
    return lambda row: row.get(name)


def grade_cell(grade: int | None) -> Cell:
    return Cell(MISSING, True, "grade grade-na") if grade is None else Cell(str(grade), True, f"grade grade-{grade}")


def fixed(value: float | None, form: str) -> Cell:
    """A number in this form; what rounds to nothing has no sign."""
    if value is None:
        return Cell(MISSING, True)
    shown = format(value, form)
    return Cell((shown if float(shown) else shown.removeprefix("-")).replace("-", "−"), True)


def ml(mm3: float | None) -> float | None:
    return None if mm3 is None else mm3 / 1000
