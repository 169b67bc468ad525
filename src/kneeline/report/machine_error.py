"""The machine's own error on the page: naive beside corrected, a line an estimate; what was refused says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kneeline.report import words
from kneeline.report.plots import outcome_words
from kneeline.report.views import Cell, Spec, View, view
from kneeline.tables import MISSING, Row


def prevalence_view(rows: Sequence[Row]) -> View:
    """Prevalences as the machine grades and as the read knees correct them."""
    chosen = [row for row in rows if row["scale"] == "proportion" and row["quantity"].startswith("prevalence")]
    return _compared("Prevalence: as the machine grades, and corrected by the reader (95 % intervals)", chosen, _share)


def odds_ratio_view(rows: Sequence[Row]) -> View:
    """Odds ratios from the machine's grades and corrected."""
    chosen = [row for row in rows if row["scale"] == "odds_ratio"]
    title = "Odds ratios: from the machine's grades, and corrected by the reader (95 % intervals)"
    return _compared(title, chosen, words.estimate)


def difference_view(rows: Sequence[Row]) -> View:
    """Does the machine err otherwise in some runners?"""
    chosen = [row for row in rows if row["scale"] in ("mean_difference", "risk_difference")]
    return view(
        "Does the machine's error go with an exposure? Differences; 0 means that it does not",
        [
            ("outcome", lambda row: outcome_words(row["outcome"])),
            ("what", lambda row: _what(row["quantity"])),
            ("difference", _ends("", words.estimate)),
            ("p", lambda row: Cell(words.p_value(row["p_value"]), True)),
            ("read knees", lambda row: row["n_validated"]),
            ("note", _note),
        ],
        chosen,
    )


def notes(rows: Sequence[Row]) -> list[str]:
    """Outcomes of which the machine's error is not known, and why."""
    return [f"{outcome_words(row['outcome'])}: {_reason(row)}" for row in rows if row["quantity"] == "all"]


def _compared(title: str, rows: Sequence[Row], form: Callable[[float | None], str]) -> View:
    columns: list[Spec] = [
        ("outcome", lambda row: outcome_words(row["outcome"])),
        ("what", lambda row: _what(row["quantity"])),
        ("naive", _ends("naive", form)),
        ("corrected", _ends("", form)),
        ("how", lambda row: row["method"].split(";")[0]),
        ("knees", lambda row: row["n_knees"]),
        ("read", lambda row: row["n_validated"]),
        ("note", _note),
    ]
    return view(title, columns, rows)


def _ends(prefix: str, form: Callable[[float | None], str]) -> Callable[[Row], Cell]:
    """Estimate and interval in one cell; the corrected one of a refused row says so."""
    names = (prefix, f"{prefix}_low", f"{prefix}_high") if prefix else ("estimate", "ci_low", "ci_high")

    def cell(row: Row) -> Cell:
        value, low, high = (row[name] for name in names)
        if value is None:
            return Cell("refused" if not prefix and row["status"] == "refused" else MISSING, True)
        return Cell(form(value) + (f" ({form(low)} to {form(high)})" if low is not None else ""), True)

    return cell


def _share(value: float | None) -> str:
    return words.percent(value)


def _what(quantity: str) -> str:
    """The quantity without what its table says already, terms in words."""
    quantity = quantity.removeprefix("odds ratio, ").removeprefix("prevalence of ")
    head, separator, term = quantity.rpartition(", " if ": " not in quantity else ": ")
    return f"{head.replace('_', ' ')}{separator}{words.term_words(term)}" if separator else quantity


def _note(row: Row) -> str:
    """Why it was refused, or its warnings without the one that the page says once for all."""
    if row["status"] == "refused":
        return _reason(row)
    return (row["warnings"] or "").removeprefix("the reader is taken for the truth").removeprefix("; ")


def _reason(row: Row) -> str:
    """A refusal's sentence, without the code before it."""
    code, separator, sentence = row["reason"].partition(": ")
    return sentence if separator and " " not in code else row["reason"]
