"""What a number that cannot be right most likely is: another unit, a lost decimal point, another column's value.

A range tells that a number is wrong; the way out is to name the unit that it was probably typed in. Only words are made
here: nothing is converted by itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

KM_PER_MILE = 1.609344
WEEKS_PER_MONTH = 365.25 / 12 / 7


@dataclass(frozen=True)
class Guess:
    """Values from `low` to `high` are probably `what`; `factor` turns them into the column's unit."""

    low: float
    high: float
    what: str
    factor: float | None = None


# By column; the first that holds a value is told. All lie outside the columns' own ranges.
GUESSES: dict[str, tuple[Guess, ...]] = {
    "age_years": (Guess(1900, 2100, "a year of birth"), Guess(120, 1200, "months", 1 / 12)),
    "bmi_kg_m2": (
        Guess(0.0008, 0.008, "kilograms and centimetres instead of metres", 1e4),
        Guess(0.015, 0.09, "pounds and inches without the factor 703", 703.07),
        Guess(60, 120, "a weight in kilograms"),
        Guess(120, 600, "a lost decimal point", 1 / 10),
        Guess(1200, 6000, "a lost decimal point", 1 / 100),
    ),
    "weekly_distance_km": (
        Guess(400, 5000, "kilometres a year", 1 / 52.18),
        Guess(5000, 400_000, "metres", 1 / 1000),
    ),
    "running_years": (Guess(1930, 2100, "the year of the first run"), Guess(90, 900, "months", 1 / 12)),
    "sessions_per_week": (
        Guess(30, 130, "sessions a month", 1 / WEEKS_PER_MONTH),
        Guess(130, 1500, "sessions a year", 1 / 52.18),
    ),
    "pace_min_per_km": (Guess(120, 1200, "seconds a kilometre", 1 / 60), Guess(0.03, 0.34, "hours a kilometre", 60)),
    "hours_since_run": (Guess(10_000, 600_000, "minutes", 1 / 60),),
}

# Units that people write behind a number, and what turns them into the unit of a column's suffix.
_WRITTEN = {
    "km": {"mi": KM_PER_MILE, "mile": KM_PER_MILE, "miles": KM_PER_MILE, "m": 1 / 1000, "km": 1},
    "years": {"y": 1, "yr": 1, "yrs": 1, "years": 1, "a": 1, "months": 1 / 12, "mo": 1 / 12},
    "hours": {"h": 1, "hours": 1, "min": 1 / 60, "d": 24, "days": 24},
    "min": {"min": 1, "s": 1 / 60},
    "mm": {"mm": 1, "cm": 10, "in": 25.4},
    "ml": {"ml": 1, "cm3": 1, "ul": 1 / 1000, "mm3": 1 / 1000},
    "pct": {"%": 1},
    "deg": {"deg": 1, "°": 1, "rad": 57.29578},
}


def guess(column: str, value: float) -> str:
    """Ending of a sentence that says what a value out of range may be; empty if nothing is known.

    >>> guess("bmi_kg_m2", 240)
    '; a lost decimal point? that would be 24'
    >>> guess("age_years", 1984)
    '; a year of birth?'
    """
    for known in GUESSES.get(column, ()):
        if known.low <= value <= known.high:
            better = f" that would be {value * known.factor:.4g}" if known.factor else ""
            return f"; {known.what}?{better}"
    return ""


def guess_text(column: str, text: str) -> str:
    """The same for text that is no number: a unit behind it, or a time with a colon.

    >>> guess_text("weekly_distance_km", "20 miles")
    '; give the number alone, in km: 32.19'
    >>> guess_text("pace_min_per_km", "5:30")
    '; give minutes as a number: 5.5'
    """
    if clock := re.fullmatch(r"(\d+):([0-5]\d)", text):
        if "min" in column.split("_"):
            return f"; give minutes as a number: {int(clock[1]) + int(clock[2]) / 60:.4g}"
        return ""
    written = re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*([A-Za-z%°]+[23]?)(?:\s*(?:/|per)\s*\w+)?", text)
    if not written:
        return ""
    for suffix in column.split("_")[::-1]:
        factor = _WRITTEN.get(suffix, {}).get(written[2].lower())
        if factor:
            return f"; give the number alone, in {suffix}: {float(written[1]) * factor:.4g}"
    return "; give the number alone"


# Columns that people make from others, or in other units: part of their name, what to do.
_OTHER_COLUMNS = {
    "weekly_distance_km": (
        (r"^(?!.*(pace|min)).*(mile|_mi\b|_mi_)", "multiply miles by 1.609344"),
        (r"month", "divide by 4.35"),
    ),
    "pace_min_per_km": (
        (r"(pace|min).*(mile|_mi\b)", "divide minutes a mile by 1.609344"),
        (r"speed|kmh|km_h", "60 / (km/h)"),
    ),
    "bmi_kg_m2": ((r"height|weight", "weight in kg / (height in m) squared"), (r"^bmi", "rename it")),
    "age_years": ((r"birth|dob", "age at the scan in years"), (r"month", "divide by 12")),
}


def instead_of(absent: str, found: Iterable[str]) -> str:
    """Hint for a column that is missing while another, much like it, is there; empty if there is none.

    >>> instead_of("weekly_distance_km", ["id", "weekly_distance_miles"])
    "'weekly_distance_miles' for weekly_distance_km? (multiply miles by 1.609344)"
    >>> instead_of("laterality", ["Laterality"])
    "'Laterality' for laterality?"
    """
    others = list(found)
    for pattern, advice in _OTHER_COLUMNS.get(absent, ()):
        for name in others:
            if re.search(pattern, name.lower()):
                return f"{name!r} for {absent}? ({advice})"
    lowered = {name.lower(): name for name in others}
    near = difflib.get_close_matches(absent, lowered, n=1, cutoff=0.8)
    return f"{lowered[near[0]]!r} for {absent}?" if near else ""
