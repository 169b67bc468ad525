"""`kneeline power`: what a planned study could show, by formula and by simulation."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from scipy.stats import norm

from kneeline.cohort.power_simulation import Study, simulate_power
from kneeline.errors import UsageError
from kneeline.markdown import number, table
from kneeline.statistics.intervals import wilson
from kneeline.statistics.power import FORMULA, clustered_power, design_effect, runners_needed
from kneeline.tables import POWER, Row

# The least runners in either group that the analysis compares (`analysis.min_joint_cell` of the config).
LEAST_IN_GROUP = 5
FORMULA_WORDS = f"{FORMULA}; knees divided by the design effect 1 + (knees - 1) x ICC"


@dataclass(frozen=True)
class Plan:
    """A planned study. `grades` are the shares of the grades over all knees; `runners` or, if empty, `power` sought."""

    grades: tuple[float, ...] = (0.5, 0.3, 0.15, 0.05)
    odds_ratios: tuple[float, ...] = (2.0, 3.0, 4.0)
    runners: tuple[int, ...] = ()
    power: float = 0.8
    rearfoot: float = 0.9
    knees: int = 2
    icc: float = 0.5
    alpha: float = 0.05
    simulations: int = 200
    seed: int = 2006


def check_plan(plan: Plan) -> Plan:
    """The plan with its grades as shares that add up to 1; UsageError with every fault."""
    faults = []
    total = sum(plan.grades)
    if len(plan.grades) < 2 or min(plan.grades) <= 0 or not math.isfinite(total):
        faults.append("--grades: expected two or more numbers above 0, such as 50,30,15,5")
    if not all(0 < ratio < math.inf and ratio != 1 for ratio in plan.odds_ratios):
        faults.append("--odds-ratio: expected numbers above 0 other than 1, such as 2,3")
    if not all(runners >= 2 * LEAST_IN_GROUP for runners in plan.runners):
        faults.append(f"--runners: expected whole numbers of at least {2 * LEAST_IN_GROUP}")
    for name, low, high in (("power", 0.05, 0.999), ("rearfoot", 0.01, 0.99), ("alpha", 1e-6, 0.5)):
        if not low <= getattr(plan, name) <= high:
            faults.append(f"--{name}: expected a share from {low:g} to {high:g}, got {getattr(plan, name):g}")
    if not 0 <= plan.icc <= 1:
        faults.append(f"--icc: expected a correlation from 0 to 1, got {plan.icc:g}")
    if not 1 <= plan.knees <= 2:
        faults.append(f"--knees: expected 1 or 2 knees a runner, got {plan.knees}")
    if plan.simulations < 0:
        faults.append(f"--simulations: expected 0 or more, got {plan.simulations}")
    if faults:
        raise UsageError(f"{len(faults)} fault(s) in the plan\n  " + "\n  ".join(faults))
    return Plan(**{**asdict(plan), "grades": tuple(share / total for share in plan.grades)})


def power_rows(plan: Plan, jobs: int = 1) -> list[Row]:
    """Rows of POWER, one an odds ratio and number of runners."""
    plan = check_plan(plan)
    rows = []
    for ratio in plan.odds_ratios:
        for runners in plan.runners or (_needed(plan, ratio),):
            rows.append(_row(plan, ratio, runners, jobs))
    return rows


def _needed(plan: Plan, ratio: float) -> int:
    """Least runners that reach the power sought by the formula, and with which both groups can be compared."""
    formula = runners_needed(
        plan.grades, ratio, plan.power, exposed=plan.rearfoot, knees=plan.knees, icc=plan.icc, alpha=plan.alpha
    )
    runners = max(math.ceil(formula), math.ceil(LEAST_IN_GROUP / min(plan.rearfoot, 1 - plan.rearfoot) - 1e-9))
    # The formula for n takes n + 1 for n, and the groups are whole runners.
    while _formula_power(plan, ratio, runners) < plan.power:
        runners += 1
    return runners


def _formula_power(plan: Plan, ratio: float, runners: int) -> float:
    exposed = round(plan.rearfoot * runners)
    effect = design_effect(plan.knees, plan.icc)
    groups = (exposed * plan.knees, (runners - exposed) * plan.knees)
    return clustered_power(plan.grades, ratio, *groups, effect, plan.alpha)


def _row(plan: Plan, ratio: float, runners: int, jobs: int) -> Row:
    exposed = round(plan.rearfoot * runners)
    others = runners - exposed
    effect = design_effect(plan.knees, plan.icc)
    row: Row = {
        "odds_ratio": ratio,
        "n_participants": runners,
        "n_rearfoot": exposed,
        "n_other": others,
        "n_knees": runners * plan.knees,
        "icc": plan.icc,
        "design_effect": effect,
        "alpha": plan.alpha,
    }
    if min(exposed, others) < LEAST_IN_GROUP:
        fewer = "rearfoot" if exposed < others else "other"
        reason = f"sparse: {min(exposed, others)} {fewer} runners; the analysis compares groups of {LEAST_IN_GROUP} up"
        return row | {"status": "refused", "reason": reason}
    row |= {
        "power_formula": _formula_power(plan, ratio, runners),
        "status": "estimated",
        "method": f"formula: {FORMULA_WORDS}",
    }
    if plan.simulations:
        study = Study(plan.grades, ratio, exposed, others, plan.knees, plan.icc)
        found = simulate_power(study, plan.simulations, plan.seed, plan.alpha, jobs)
        ends = wilson(found.shown, found.studies)
        row |= {"power_simulated": found.shown / found.studies, "ci_low": ends.low, "ci_high": ends.high}
        row |= {"n_simulations": found.studies, "n_refused": found.refused}
        row["method"] += (
            f"; simulation: the crude cumulative logit of the analysis, knees clustered in runners, seed {plan.seed}, "
            "Wilson interval; a refused model counts as not shown"
        )
        if not plan.runners:
            named = {"": found.shown / found.studies, "_low": ends.high, "_high": ends.low}
            row |= {f"n_by_simulation{end}": _rescaled(plan, runners, power) for end, power in named.items()}
    return row


def _rescaled(plan: Plan, runners: int, power: float) -> int | None:
    """Runners that reach the power sought if so many reach `power`: z for alpha plus z for power grows with their root.

    None where the power is so near to 0 or 1 that it says nothing about it.
    """
    if not 0.05 < power < 0.995:
        return None
    sought, reached = (norm.ppf(1 - plan.alpha / 2) + norm.ppf(share) for share in (plan.power, power))
    smallest = math.ceil(LEAST_IN_GROUP / min(plan.rearfoot, 1 - plan.rearfoot) - 1e-9)
    return max(smallest, math.ceil(runners * (sought / reached) ** 2 - 1e-9))


# --- how it is shown --------------------------------------------------------------------------------------------------


def as_json(plan: Plan, rows: Sequence[Row]) -> str:
    full = [{name: row.get(name) for name in POWER.header} for row in rows]
    return json.dumps({"plan": asdict(check_plan(plan)), "power": full}, indent=1) + "\n"


def as_text(plan: Plan, rows: Sequence[Row]) -> str:
    """What was planned in a sentence, the table, what to bear in mind."""
    plan = check_plan(plan)
    mix = ", ".join(f"grade {grade}: {100 * share:.3g} %" for grade, share in enumerate(plan.grades))
    sought = "" if plan.runners else f"Runners for a power of {100 * plan.power:g} % by the formula.\n"
    by_simulation = any(row.get("n_by_simulation") for row in rows)
    body = [
        [
            f"{row['odds_ratio']:g}",
            str(row["n_participants"]),
            f"{row['n_rearfoot']} + {row['n_other']}",
            str(row["n_knees"]),
            number(row.get("power_formula"), ".3f"),
            _simulated(row),
            *([_by_simulation(row)] if by_simulation else []),
            _refused(row),
        ]
        for row in rows
    ]
    header = ["odds ratio", "runners", "rearfoot + other", "knees", "power, formula", "power, simulated"]
    header += [f"runners for {100 * plan.power:g} % by the simulation, about"] if by_simulation else []
    header += ["refused"]
    return (
        f"Power to see an association with strike at p < {plan.alpha:g}. Grades over all knees: {mix}. "
        f"{plan.knees} knee(s) a runner, "
        f"correlation {plan.icc:g}, design effect {design_effect(plan.knees, plan.icc):g}.\n{sought}\n"
        + table(header, body)
        + "\n\nThe formula takes the score test of independent knees, divided by the design effect; the simulation the "
        "analysis' own model.\nWhere they differ, as with few runners in a group, believe the simulation."
        + (
            " The last numbers of runners are its power rescaled, with\nits Monte-Carlo error: plan with them, and run "
            "it again with --runners and more --simulations."
            if by_simulation
            else ""
        )
        + "\n"
    )


def _refused(row: Row) -> str:
    """Why there is no figure, or in how many simulated studies the model was refused."""
    if row.get("n_refused"):
        return f"in {row['n_refused']} of {row['n_simulations']} studies"
    return row.get("reason") or ""


def _by_simulation(row: Row) -> str:
    found, low, high = (row.get(f"n_by_simulation{end}") for end in ("", "_low", "_high"))
    return f"{found or 'n/a'} ({low or 'n/a'} to {high or 'n/a'})"


def _simulated(row: Row) -> str:
    if row.get("power_simulated") is None:
        return "n/a"
    return f"{row['power_simulated']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})"
