"""Numbers and column names for a reader: three significant digits, units in words, n/a for what is missing."""

from __future__ import annotations

import re
from typing import Any

from kneeline.tables import MISSING

_UNITS = {
    "_bmi_kg_m2": "kg/m²",
    "_kg_m2": "kg/m²",
    "_min_per_km": "min/km",
    "_mm3": "mm³",
    "_mm2": "mm²",
    "_mm": "mm",
    "_ml": "mL",
    "_ms": "ms",
    "_km": "km",
    "_pct": "%",
    "_deg": "°",
    "_years": "years",
}


def number(value: float | None, digits: int = 3) -> str:
    """
    >>> number(None), number(0), number(12.3456), number(1234.5), number(0.00012), number(7, 2), number(float("inf"))
    ('n/a', '0', '12.3', '1234', '0.000120', '7', '∞')
    """
    if value is None or value != value:
        return MISSING
    if abs(value) == float("inf"):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}".replace("-", "−")
    if abs(value) >= 10**digits:
        return f"{value:.0f}".replace("-", "−")
    text = f"{value:#.{digits}g}"
    if "e" in text:
        return f"{value:.{digits}g}".replace("-", "−", 1)
    return text.rstrip(".").replace("-", "−")


def estimate(value: float | None) -> str:
    """An estimate with the digits that its precision deserves.

    >>> estimate(None), estimate(0.0344), estimate(3.0), estimate(-12.34), estimate(456.7)
    ('n/a', '0.03', '3.00', '−12.3', '457')
    """
    if value is None or value != value or abs(value) == float("inf"):
        return number(value)
    size = abs(value)
    form = ".0f" if size >= 100 else ".1f" if size >= 10 else ".2f" if size >= 0.01 or not size else ".1g"
    return f"{value:{form}}".replace("-", "−", 1)


def interval(low: float | None, high: float | None) -> str:
    """
    >>> interval(0.5, 2.25), interval(None, None), interval(0.5, None)
    ('0.50 to 2.25', 'n/a', '0.50 to n/a')
    """
    return MISSING if low is None and high is None else f"{estimate(low)} to {estimate(high)}"


def amount(value: float | None, unit: str) -> str:
    """
    >>> amount(12.345, "mL"), amount(None, "mL")
    ('12.3\\xa0mL', 'n/a')
    """
    return MISSING if value is None else f"{number(value)}\xa0{unit}"


def percent(share: float | None) -> str:
    """
    >>> percent(None), percent(0), percent(1 / 3), percent(0.999)
    ('n/a', '0\xa0%', '33\xa0%', '99.9\xa0%')
    """
    if share is None:
        return MISSING
    value = 100 * share
    whole = abs(value - round(value)) < 1e-9 or 1 <= value <= 99
    return f"{value:.0f}\xa0%" if whole else f"{value:.1f}\xa0%"


def p_value(value: float | None) -> str:
    """
    >>> p_value(None), p_value(0.0002), p_value(0.034), p_value(0.5), p_value(1)
    ('n/a', '< 0.001', '0.034', '0.50', '1.00')
    """
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def heading(column: str) -> str:
    """
    >>> heading("surface_distance_mm"), heading("bmi_kg_m2"), heading("n_participants"), heading("fluid_ml")
    ('surface distance (mm)', 'BMI (kg/m²)', 'runners', 'fluid (mL)')
    """
    known = {"n_participants": "runners", "n_knees": "knees", "bmi_kg_m2": "BMI (kg/m²)", "snr": "signal-to-noise"}
    if column in known:
        return known[column]
    for suffix, unit in _UNITS.items():
        if column.endswith(suffix) and column != suffix.strip("_"):
            return f"{column.removesuffix(suffix).replace('_', ' ')} ({unit})"
    return column.replace("_", " ")


def term_words(term: str) -> str:
    """
    >>> term_words("rearfoot:distance_per_10_km"), term_words("age_years"), term_words("distance_from_32_km")
    ('rearfoot × distance per 10 km', 'age (years)', 'distance from 32 km')
    >>> term_words("distance_per_10_km at grade >= 2")
    'distance per 10 km at grade ≥ 2'
    """
    return " × ".join(_part_words(part) for part in term.split(":"))


def _part_words(part: str) -> str:
    if " at grade " in part or re.fullmatch(r"distance_.*_km", part):
        return part.replace(">= ", "≥ ").replace("_", " ")
    return heading(part)


def refusal(reason: str | None) -> str:
    """A refusal's sentence without the code before it, columns in words.

    >>> refusal("separation: at the cut >= 1: by shoe_drop_mm"), refusal("two of five: why"), refusal(None)
    ('at the cut ≥ 1: by shoe drop (mm)', 'two of five: why', 'no reason was given')
    """
    text = re.sub(r"^[a-z_]+: ", "", reason or "no reason was given").replace(">= ", "≥ ")
    return re.sub(r"\b[a-z0-9]+(?:_[A-Za-z0-9]+)+\b", lambda name: term_words(name[0]), text)


def cell(value: Any) -> str:
    """Any table value for a reader: booleans as yes and no, numbers short, missing as n/a."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return str(value)
