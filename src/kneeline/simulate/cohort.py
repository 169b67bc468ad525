"""Runners with known odds: who they are, which knees are scanned, and the grades built into them.

The grade of a knee follows a cumulative logit whose odds ratios are the constants below. They are population-average
odds ratios, exact for one knee or two: two knees of a runner share part of their chance through a normal copula, so
each knee's own residual stays exactly logistic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from kneeline import grading, tables
from kneeline.tables import Row

# True odds ratios of a higher grade. Made up, large enough to be found in a few hundred runners; no study says so.
TRUE_ODDS_RATIOS = {
    "rearfoot": 1.80,  # against all other styles, at 32 km a week
    "distance_10km": 1.20,  # per 10 km a week, other styles
    "rearfoot:distance_10km": 1.20,  # the same, more in rearfoot runners
    "age_10y": 1.50,
    "male": 1.0,
    "bmi_kg_m2": 1.05,
}
# Correlation of the two knees of a runner on the normal scale.
KNEE_CORRELATION = 0.5
# Share of knees of at least grade 1, 2, 3 in a woman of 40, BMI 23, non-rearfoot, 32 km a week.
REFERENCE_SHARES = (0.55, 0.31, 0.13)
_REFERENCE_KM = 32.0
# Where the worst lesion of a knee lies: degenerative signal favours the medial posterior horn. Project decision in
# the order that reader studies of asymptomatic knees report.
REGION_ODDS = {
    ("medial", "posterior_horn"): 0.45,
    ("lateral", "posterior_horn"): 0.14,
    ("medial", "body"): 0.14,
    ("lateral", "body"): 0.10,
    ("lateral", "anterior_horn"): 0.10,
    ("medial", "anterior_horn"): 0.07,
}
_SECOND_LESION = 0.12  # chance of a milder lesion in each other region of a knee with a lesion
# Fluid: median mL of a knee of grade 0, growth per grade, spread of the logarithm.
_FLUID_MEDIAN_ML, _FLUID_PER_GRADE, _FLUID_SPREAD = 3.5, 0.38, 0.55
_STYLES = {"rearfoot": 0.55, "midfoot": 0.24, "forefoot": 0.15, "mixed": 0.06}  # enriched: 70-95 % in the field
# Runners are recruited to quotas, so that small cohorts too hold all joint cells of strike and distance: an even
# (R2) sequence over both in place of independent draws.
_QUOTA_STEPS = np.array([0.7548776662466927, 0.5698402909980532])
SESSION = "ses-01"
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Cohort:
    """Rows of tables.PARTICIPANTS, SCANS and, as planned, TRUTH."""

    participants: list[Row]
    scans: list[Row]
    truth: list[Row]

    def plan(self, scan_id: str) -> Row:
        """The planned truth of a scan.

        Raises
        ------
        KeyError
            If the cohort has no such scan.
        """
        for row in self.truth:
            if row["scan_id"] == scan_id:
                return row
        raise KeyError(scan_id)


def draw_cohort(runners: int, seed: int, knees_per_runner: int = 1) -> Cohort:
    """Draw a cohort. The first runners of a larger cohort of the same seed are the same people."""
    if runners < 1 or knees_per_runner not in (1, 2):
        raise ValueError(f"expected at least 1 runner and 1 or 2 knees each, not {runners} and {knees_per_runner}")
    digits = max(3, len(str(runners)))
    start = np.random.default_rng([seed, 0]).random(2)
    participants, scans, truth = [], [], []
    for index in range(1, runners + 1):
        rng = np.random.default_rng([seed, index])
        style, distance = np.mod(start + index * _QUOTA_STEPS, 1)
        runner = _draw_runner(f"sub-{index:0{digits}d}", style, distance, rng)
        participants.append(runner)
        for knee in _draw_knees(runner, knees_per_runner, rng):
            truth.append(knee)
            keys = {name: knee[name] for name in ("participant_id", "session_id", "laterality")}
            scans.append({**keys, "path": f"results/simulate/{knee['scan_id']}"})
    return Cohort(participants, scans, truth)


def _draw_runner(participant_id: str, style: float, distance: float, rng: np.random.Generator) -> Row:
    """A runner; `style` and `distance` (0-1) say where in the distributions of strike and distance."""
    sex = ("F", "M")[int(rng.random() < 0.54)]
    age = float(_within(rng.normal(40, 10), 19, 68))
    bmi = float(_within(rng.normal(22.6 + 0.9 * (sex == "M") + 0.03 * (age - 40), 2.1), 17.5, 33))
    strike = list(_STYLES)[int(np.searchsorted(np.cumsum(list(_STYLES.values())), style, side="right"))]
    distance = float(_within(np.exp(np.log(32) + 0.50 * _NORMAL.inv_cdf(min(max(distance, 1e-6), 1 - 1e-6))), 5, 140))
    sessions = float(_within(round(distance / rng.uniform(7, 12)), 1, 12))
    years = float(_within(rng.gamma(2.2, 4.0), 0.5, age - 12))
    usual = 5.9 - 0.35 * (sex == "M") - 0.012 * (distance - 32) + 0.012 * (age - 40)
    pace = float(_within(rng.normal(usual, 0.5), 3.4, 8.5))
    since = float(_within(np.exp(rng.normal(np.log(36), 0.7)), 3, 400))
    source = str(rng.choice(["gps", "diary", "recall"], p=[0.6, 0.15, 0.25]))
    injury = str(rng.choice(["none", "knee", "calf or Achilles", "shin", "foot"], p=[0.5, 0.2, 0.13, 0.1, 0.07]))
    missing_pace = rng.random() < 0.05
    return {
        "participant_id": participant_id,
        "age_years": round(age),
        "sex": sex,
        "bmi_kg_m2": round(bmi, 1),
        "strike_style": strike,
        "strike_method": "video",
        "weekly_distance_km": round(distance),
        "distance_source": source,
        "running_years": round(years, 1),
        "sessions_per_week": sessions,
        "pace_min_per_km": None if missing_pace else round(pace, 2),
        "hours_since_run": round(since),
        "injury_history": injury,
    }


def _within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def log_odds(runner: Row) -> float:
    """Linear predictor of a runner's grades: 0 for the reference runner."""
    log = {name: math.log(value) for name, value in TRUE_ODDS_RATIOS.items()}
    rearfoot = float(grading.strike_group(runner["strike_style"]) == "rearfoot")
    tens = (runner["weekly_distance_km"] - _REFERENCE_KM) / 10
    return float(
        log["rearfoot"] * rearfoot
        + log["distance_10km"] * tens
        + log["rearfoot:distance_10km"] * rearfoot * tens
        + log["age_10y"] * (runner["age_years"] - 40) / 10
        + log["male"] * (runner["sex"] == "M")
        + log["bmi_kg_m2"] * (runner["bmi_kg_m2"] - 23)
    )


def _draw_knees(runner: Row, knees: int, rng: np.random.Generator) -> list[Row]:
    cuts = [math.log(p / (1 - p)) for p in REFERENCE_SHARES]
    shared = rng.standard_normal()
    sides = ["L", "R"] if knees == 2 else [("L", "R")[rng.integers(2)]]
    rows = []
    for side in sides:
        own = np.sqrt(KNEE_CORRELATION) * shared + np.sqrt(1 - KNEE_CORRELATION) * rng.standard_normal()
        chance = _NORMAL.cdf(own)
        latent = log_odds(runner) + math.log(chance / (1 - chance))
        # P(grade >= k) = logistic(cut_k + log odds).
        worst = sum(latent + cut > 0 for cut in cuts)
        grades = dict.fromkeys(REGION_ODDS, 0)
        places, odds = list(REGION_ODDS), list(REGION_ODDS.values())
        first = places[rng.choice(len(places), p=odds)]
        extra = rng.random(len(places)) < _SECOND_LESION
        mild = rng.integers(1, 3, len(places))
        if worst:
            grades[first] = worst
            for place, more, grade in zip(places, extra, mild, strict=True):
                if place != first and more and worst > 1:
                    grades[place] = int(min(grade, worst - 1))
        median = _FLUID_MEDIAN_ML * np.exp(_FLUID_PER_GRADE * worst)
        fluid = float(_within(median * np.exp(_FLUID_SPREAD * rng.standard_normal()), 0.8, 55))
        row: Row = {
            "scan_id": tables.scan_id(runner["participant_id"], SESSION, side),
            "participant_id": runner["participant_id"],
            "session_id": SESSION,
            "laterality": side,
        }
        row |= {f"{m}_{r}_signal_grade": grades[m, r] for m in grading.MENISCI for r in grading.REGIONS}
        rows.append(row | {"signal_grade": int(worst), "fluid_ml": round(fluid, 1)})
    return rows
