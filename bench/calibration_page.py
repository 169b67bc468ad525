"""The page of `cohort_calibration.py`: its rows as tables, with headlines that are computed from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from scipy import stats

from kneeline.statistics.intervals import wilson

COVERAGE_TARGET, ALARM_TARGET = (0.93, 0.97), (0.04, 0.06)
PRIMARY = "primary"
Rows = Sequence[dict]
Columns = dict[str, Callable[[dict], str]]


def page(rows: Rows, not_run: Sequence[str]) -> str:
    """Everything that was run, and the names of the cells that were not."""
    sections = {"primary": _primary, "strike": _strike, "rare": _rare, "tests": _tests, "demo": _demo}
    parts = [_opening(rows)]
    for block, write in sections.items():
        if chosen := [row for row in rows if row["block"] == block]:
            parts.append(write(chosen))
    if not_run:
        parts.append("## Not run\n\nOf the cells of the script: " + "; ".join(not_run) + ".")
    return "\n\n".join(parts) + "\n"


# --- figures ----------------------------------------------------------------------------------------------------------


def share(count: int, n: int) -> str:
    """Percentage with its Monte-Carlo interval (Wilson)."""
    if not n:
        return "n/a"
    low, high = wilson(count, n)
    return f"{100 * count / n:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def covered(row: dict) -> str:
    return _marked(row["covered"], row["with_truth"], COVERAGE_TARGET)


def alarms(row: dict) -> str:
    """Share with p < 0.05: false alarms in a null cell, power in a true one."""
    if row["null"]:
        return _marked(row["alarms"], row["estimated"], ALARM_TARGET)
    return share(row["alarms"], row["estimated"])


def refusals(row: dict) -> str:
    said = [f"{code} {100 * count / row['asked']:.1f} %" for code, count in row["refused"].items()]
    return ", ".join(said) or "0"


def _marked(count: int, n: int, target: tuple[float, float]) -> str:
    return share(count, n) if not n or _within(count, n, target) else f"**{share(count, n)}**"


def _within(count: int, n: int, target: tuple[float, float]) -> bool:
    return target[0] <= count / n <= target[1]


def _coverage_pct(row: dict) -> float:
    return 100 * row["covered"] / row["with_truth"]


def _bias(row: dict) -> str:
    return f"{row['mean_value'] - row['truth']:+.3f}, {row['median_value'] - row['truth']:+.3f}"


def _spread(row: dict) -> str:
    said = row["mean_half_width"] / stats.t.ppf(0.975, row["runners"] - 1)
    return f"{row['sd']:.3f}, {said:.3f}"


COHORT: Columns = {
    "runners": lambda row: str(row["runners"]),
    "knees each": lambda row: str(row["knees"]),
    "truth": lambda row: "null" if row["null"] else "true",
}
COUNTS: Columns = {"coverage": covered, "p < 0.05": alarms}


def table(rows: Rows, columns: Columns) -> str:
    lines = [list(columns), ["---"] * len(columns), *([write(row) for write in columns.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# --- sections ---------------------------------------------------------------------------------------------------------


def _opening(rows: Rows) -> str:
    seconds = sum({row["cell"]: row["cpu_s"] for row in rows}.values())
    text = f"""# Are the intervals honest? Calibration by simulation

`bench/cohort_calibration.py` writes this page ({len({row["cell"] for row in rows})} kinds of cohort,
{seconds / 60:.0f} minutes of one core). In brackets: 95 % Monte-Carlo intervals. Bold: outside 93-97 % coverage, or
outside 4-6 % false alarms; where the bracket reaches inside, that may be chance.

The cohorts have the runners of the simulated cohort (age, sex, BMI, running years, weekly distances around 32 km) and
grades 0-3. In "true" cells a rearfoot strike has an odds ratio of {_odds_ratio(rows, "rearfoot")}, 10 km a week
{_odds_ratio(rows, "distance_per_10_km")}; in "null" cells both have 1. Two knees of a runner share chance through a
normal copula, so that over all runners the grades follow proportional odds with exactly these odds ratios, however
alike the knees are. A model "given the runner" (random intercept) has larger ones; it is not measured here."""
    for row in rows:
        if (row["block"], row["method"]) == ("truth", PRIMARY):
            text += (
                f" In {row['runners'] * row['knees']} knees the fitted odds ratio of {row['term']} is "
                f"{math.exp(row['mean_value']):.3f}."
            )
    primary = [row for row in rows if (row["block"], row["method"]) == ("primary", PRIMARY)]
    return f"{text}\n\n{_headline(primary)}" if primary else text


def _odds_ratio(rows: Rows, term: str) -> str:
    return next((f"{math.exp(row['truth']):g}" for row in rows if row["term"] == term and row["truth"]), "n/a")


def _headline(primary: Rows) -> str:
    null = [row for row in primary if row["null"]]
    percent = [_coverage_pct(row) for row in primary]
    level = [100 * row["alarms"] / row["estimated"] for row in null]
    kept = sum(_within(row["covered"], row["with_truth"], COVERAGE_TARGET) for row in primary)
    calm = sum(_within(row["alarms"], row["estimated"], ALARM_TARGET) for row in null)
    careful = sum(row["alarms"] / row["estimated"] < ALARM_TARGET[0] for row in null)
    return f"""**The primary model** (adjusted cumulative logit; errors clustered by runner, corrected for leverage; t
on runners - 1): where its assumptions hold, the 95 % interval of strike and of distance holds the truth in
{min(percent):.1f}-{max(percent):.1f} % of cohorts; {kept} of {len(primary)} cells lie within 93-97 %. At 5 % it raises
{min(level):.1f}-{max(level):.1f} % false alarms; {calm} of {len(null)} cells lie within 4-6 %, {careful} below
(careful), {len(null) - calm - careful} above."""


def _primary(rows: Rows) -> str:
    columns = COHORT | {
        "correlation": lambda row: f"{row['correlation']:g}" if row["knees"] == 2 else "-",
        "term": lambda row: row["term"],
        **COUNTS,
        "bias: mean, median": _bias,
        "error: true, said": _spread,
        "refused": refusals,
    }
    return f"""## The primary model where its assumptions hold

Half of the runners land on the heel; {rows[0]["replicates"]} cohorts a cell. Bias and error are those of the log odds
ratio; the true error is its spread over cohorts. Refused: a joint cell of strike by distance held fewer than 5 runners,
or the outcome was separated.

{table([row for row in rows if row["method"] == PRIMARY], columns)}

The estimates with simpler errors, coverage in %: lowest and highest of null and true cells.

{_simpler(rows)}"""


def _simpler(rows: Rows) -> str:
    by_kind: dict[tuple, list[dict]] = {}
    for row in rows:
        by_kind.setdefault((row["runners"], row["knees"], row["correlation"], row["term"]), []).append(row)

    def lowest_and_highest(method: str) -> Callable[[list[dict]], str]:
        def write(same: list[dict]) -> str:
            percent = sorted(_coverage_pct(row) for row in same if row["method"] == method)
            return f"{percent[0]:.1f}, {percent[-1]:.1f}"

        return write

    kinds = ("runners", "knees", "correlation", "term")
    shown = {name: (lambda same, key=name: f"{same[0][key]}".removesuffix(".0")) for name in kinds}
    shown |= {method: lowest_and_highest(method) for method in dict.fromkeys(row["method"] for row in rows)}
    return table(list(by_kind.values()), shown)


def _strike(rows: Rows) -> str:
    columns = {
        "runners": COHORT["runners"],
        "rearfoot": lambda row: f"{100 * row['rearfoot']:.0f} %",
        "truth": COHORT["truth"],
        "term": lambda row: row["term"],
        **COUNTS,
        "refused": refusals,
    }
    return f"""## When nearly everybody lands on the heel

Two knees a runner, correlated; 75-95 % rearfoot, as in the field. Coverage is that of the cohorts in which the contrast
was given; what is refused is the greater part of the answer.

{table([row for row in rows if row["method"] == PRIMARY], columns)}"""


def _rare(rows: Rows) -> str:
    shares = ", ".join(f"{100 * value:g}" for value in rows[0]["shares"])
    columns = COHORT | {
        "method": lambda row: row["method"],
        "term": lambda row: row["term"],
        **COUNTS,
        "refused": refusals,
    }
    return f"""## Rare findings

Grade 1, 2, 3 or more in {shares} % of the knees of a reference runner. The primary model stands beside the two methods
that are made for sparse data and count runners. Here large-sample inference fails with few runners: read refusals
first, coverage last. n/a: the method's odds ratio is another number than the one written down.

{table(rows, columns)}"""


def _tests(rows: Rows) -> str:
    columns = {
        "runners": COHORT["runners"],
        "test": lambda row: row["method"],
        "of": lambda row: row["term"],
        "p < 0.05": alarms,
        "refused": refusals,
    }
    return f"""## Other tests of the ordinal models

False alarms at 5 %: two correlated knees a runner, half rearfoot, every null hypothesis true.

{table(rows, columns)}"""


def _demo(rows: Rows) -> str:
    columns = {
        "term": lambda row: row["term"],
        "truth lies in the interval": covered,
        "p < 0.05": lambda row: share(row["alarms"], row["estimated"]),
        "spread of the log odds ratio": lambda row: f"{row['sd']:.3f}",
    }
    return f"""## The simulated cohort of the demonstration

`draw_cohort(400, seed)` for {rows[0]["replicates"]} seeds, true grades of one knee a runner, the model with the product
of strike and distance.

{table(rows, columns)}"""
