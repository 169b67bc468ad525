"""Do 95 % intervals hold the truth in 95 % of cohorts, and do tests at 5 % raise 5 % false alarms? By simulation.

    python bench/cohort_calibration.py -o FOLDER [--blocks primary strike ...] [--replicates 1000] [--page FILE]

Runners and their true odds ratios are those of the simulated cohort (`kneeline.simulate.cohort`), without its product
of strike and distance. Two knees of a runner share chance through a normal copula, so that each knee's grade follows
the cumulative logit exactly and the odds ratios over all runners are the ones written down, whatever the correlation;
with a random intercept they would be smaller, and an interval could not be blamed for missing them.

Every result is a line of FOLDER/cells.jsonl, written when its cell is done; a cell that is there with at least so many
replicates is not run again. Replicate r of a cell is always the same cohort. `--page` writes the tables of all cells in
FOLDER as a page.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from calibration_page import page, share
from scipy import stats
from scipy.special import ndtr, stdtr, stdtrit

from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.dose import MANY_RUNNERS
from kneeline.cohort.families import fit_ordinal
from kneeline.cohort.questions import Question
from kneeline.cohort.refusals import too_few_runners
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
from kneeline.simulate.cohort import KNEE_CORRELATION, REFERENCE_SHARES, TRUE_ODDS_RATIOS, draw_cohort
from kneeline.statistics.brant import check_proportional_odds
from kneeline.statistics.exact import conditional_odds_ratio
from kneeline.statistics.firth import fit_firth
from kneeline.statistics.ordinal import OrdinalFit, fit_cumulative_logit
from kneeline.statistics.spline import harrell_knots, rcs_basis

NORMAL_DF = 1e9
RARE_SHARES = (0.12, 0.05, 0.015)
SETTINGS = Settings()
STRIKE, DISTANCE = SETTINGS.exposure_terms
TERMS = (STRIKE, DISTANCE, "age_years", "sex_M", "bmi_kg_m2", "running_years")
LOG = {name: math.log(value) for name, value in TRUE_ODDS_RATIOS.items()}


@dataclass(frozen=True)
class Cell:
    """One kind of cohort. `null`: neither strike nor distance is associated with the grade."""

    block: str
    runners: int
    knees: int = 2
    correlation: float = KNEE_CORRELATION
    rearfoot: float = 0.5
    shares: tuple[float, ...] = REFERENCE_SHARES
    null: bool = False

    @property
    def name(self) -> str:
        mix = "rare" if self.shares == RARE_SHARES else "usual"
        what = "null" if self.null else "true"
        return f"{self.block} n{self.runners} k{self.knees} r{self.correlation:g} s{self.rearfoot:g} {mix} {what}"

    @property
    def slopes(self) -> np.ndarray:
        """True log odds ratios of TERMS."""
        exposures = (0.0, 0.0) if self.null else (LOG["rearfoot"], LOG["distance_10km"])
        return np.array([*exposures, LOG["age_10y"] / 10, LOG["male"], LOG["bmi_kg_m2"], 0.0])


def cells() -> Iterator[Cell]:
    """All cells, cheap and important ones first."""
    for n in (26, 100, 400):
        for knees, correlation in ((1, 0.0), (2, 0.0), (2, KNEE_CORRELATION)):
            for null in (True, False):
                yield Cell("primary", n, knees, correlation, null=null)
    for n in (26, 100, 400):
        for rearfoot in (0.75, 0.85, 0.95):
            for null in (True, False):
                yield Cell("strike", n, rearfoot=rearfoot, null=null)
    for n in (26, 100, 400):
        for knees in (1, 2):
            for null in (True, False):
                yield Cell("rare", n, knees, shares=RARE_SHARES, null=null)
    for n in (26, 50, 100, 400):
        yield Cell("tests", n, null=True)
    yield Cell("demo", 400)
    yield Cell("truth", 50_000)


# --- a cohort ---------------------------------------------------------------------------------------------------------


def draw(cell: Cell, replicate: int) -> Data:
    """Grades and terms of one cohort: covariates as `simulate.cohort` draws them, grades by the cumulative logit."""
    rng = np.random.default_rng([2006, *cell.name.encode(), replicate])
    n = cell.runners
    male = rng.random(n) < 0.54
    age = np.clip(rng.normal(40, 10, n), 19, 68)
    body = np.clip(rng.normal(22.6 + 0.9 * male + 0.03 * (age - 40), 2.1), 17.5, 33)
    kilometres = np.clip(32 * np.exp(0.5 * rng.standard_normal(n)), 5, 140)
    years = np.clip(rng.gamma(2.2, 4.0, n), 0.5, age - 12)
    distance = (kilometres - SETTINGS.distance_cut_km) / SETTINGS.distance_unit_km
    x = np.column_stack([rng.random(n) < cell.rearfoot, distance, age, male, body, years])
    centred = x - [0, 0, 40, 0, 23, 0]
    shared, own = rng.standard_normal((n, 1)), rng.standard_normal((n, cell.knees))
    chance = ndtr(math.sqrt(cell.correlation) * shared + math.sqrt(1 - cell.correlation) * own)
    latent = (centred @ cell.slopes)[:, None] + np.log(chance / (1 - chance))
    thresholds = np.array([math.log(share / (1 - share)) for share in cell.shares])
    grades = (latent[:, :, None] + thresholds > 0).sum(axis=2)
    return Data(grades.ravel(), np.repeat(x, cell.knees, axis=0), TERMS, np.repeat(np.arange(n), cell.knees))


def sparse(data: Data) -> bool:
    """The stage's rule: a joint cell of strike by distance below or from the cut holds too few runners."""
    first = np.unique(data.runners, return_index=True)[1]
    cell = 2 * data.x[first, 0] + (data.x[first, 1] >= 0)
    return np.bincount(cell.astype(int), minlength=4).min() < SETTINGS.min_joint_cell


# --- what is asked of it ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A p-value; unless it is a test alone, an estimate (log odds ratio), half its interval's width, and whether the
    interval holds the truth (None: the method's odds ratio is another number than the one written down)."""

    p: float
    value: float = math.nan
    half_width: float = math.nan
    covered: bool | None = None


# (method, term) -> what was found, or the code of the refusal.
Answers = dict[tuple[str, str], Found | str]
METHODS = ("primary", "factor G/(G-1)", "knees as independent")


def ask_primary(cell: Cell, replicate: int) -> Answers:
    """The adjusted model as the stage fits it, and beside it the same estimates with two simpler errors."""
    data, truth = draw(cell, replicate), dict(zip(TERMS, cell.slopes, strict=True))
    return _primary(data, truth)


def _primary(data: Data, truth: dict[str, float]) -> Answers:
    refusal, errors = None, {}
    try:
        if too_few_runners(data, len(TERMS) + len(np.unique(data.y)) - 1):
            raise Refusal("too_few_runners", "")
        fit = fit_cumulative_logit(data.y, data.x, data.terms)
    except Refusal as refused:
        refusal = refused.code
    else:
        covariances = (fit.cluster_covariance(data.runners), fit.plain_cluster_covariance(data.runners), fit.covariance)
        errors = dict(zip(METHODS, (np.sqrt(np.diag(covariance)) for covariance in covariances), strict=True))
    answers: Answers = {}
    few = sparse(data)
    for method in METHODS:
        for term in (STRIKE, DISTANCE):
            if refusal:
                answers[method, term] = refusal
            elif term == STRIKE and few:
                answers[method, term] = "sparse"
            else:
                at = fit.names.index(term)
                df = NORMAL_DF if method == METHODS[2] else data.n_runners - 1
                answers[method, term] = _found(float(fit.params[at]), float(errors[method][at]), df, truth[term])
    return answers


def _found(value: float, error: float, df: float, truth: float) -> Found:
    reach, p = stdtrit(df, 0.975) * error, 2 * stdtr(df, -abs(value) / error)
    return Found(float(p), value, float(reach), bool(abs(value - truth) <= reach))


def ask_rare(cell: Cell, replicate: int) -> Answers:
    """A rare finding: the primary model, and by runner Firth's logit and the exact table of grade 1 or more.

    "Any of two knees" follows no logit, so that with two knees only the null cells have a truth for these two.
    """
    data = draw(cell, replicate)
    truth = dict(zip(TERMS, cell.slopes, strict=True))
    answers = {key: found for key, found in _primary(data, truth).items() if key[0] == METHODS[0]}
    first = np.unique(data.runners, return_index=True)[1]
    worst = data.y.reshape(-1, cell.knees).max(axis=1)
    runners = Data((worst >= 1).astype(int), data.x[first], TERMS, data.runners[first])
    defined = cell.null or cell.knees == 1
    for term in (STRIKE, DISTANCE):
        answers["Firth by runner", term] = _penalised(runners, term, truth[term] if defined else None)
    exposed = runners.x[:, 0] == 1
    table = [[int(((runners.y == y) & (exposed == strike)).sum()) for y in (1, 0)] for strike in (True, False)]
    exact: Found | str = "sparse"
    if min(map(sum, table)) >= SETTINGS.min_joint_cell:
        effect = conditional_odds_ratio(table)
        # The crude odds ratio is another number than the adjusted one unless both are 1.
        exact = Found(effect.p_value, covered=effect.low <= 1 <= effect.high if cell.null else None)
    return answers | {("exact by runner, crude", STRIKE): exact}


def _penalised(runners: Data, term: str, truth: float | None) -> Found | str:
    """Firth's logit of the stage; its profile interval holds a value unless the likelihood ratio rejects it."""
    if term == STRIKE and sparse(runners):
        return "sparse"
    if len(np.unique(runners.y)) < 2:
        return "one_level"
    try:
        fit = fit_firth(runners.y, runners.x, TERMS)
        covered = None if truth is None else fit.likelihood_ratio([term], at=truth)[1] >= 0.05
        return Found(fit.likelihood_ratio([term])[1], float(fit.params[fit.names.index(term)]), covered=covered)
    except Refusal as refused:
        return refused.code


def ask_tests(cell: Cell, replicate: int) -> Answers:
    """False alarms of the other tests of the ordinal chapter, all of true null hypotheses."""
    data, n = draw(cell, replicate), cell.runners
    answers: Answers = {}
    try:
        check = check_proportional_odds(data.y, data.x, data.terms, groups=data.runners)
        for name, test in {"all terms": check.omnibus, STRIKE: check.terms[STRIKE]}.items():
            answers["proportional odds", name] = Found(test.p_value)
    except Refusal as refused:
        answers |= dict.fromkeys([("proportional odds", name) for name in ("all terms", STRIKE)], refused.code)
    strike, distance = data.x[:, 0], data.x[:, 1]
    kilometres = distance * SETTINGS.distance_unit_km + SETTINGS.distance_cut_km
    knots = harrell_knots(kilometres[:: cell.knees], 4 if n >= MANY_RUNNERS else 3)
    basis = rcs_basis(kilometres, knots) / SETTINGS.distance_unit_km
    bends = range(basis.shape[1])
    for method, columns, names, tested in (
        ("distance as a spline", np.hstack([basis, data.x[:, [0, 2, 3, 4, 5]]]), [f"spline {i}" for i in bends],
         {"any association": bends, "departure from a straight line": bends[1:]}),
        ("strike x distance", np.column_stack([strike * distance, data.x]), ["product"], {"product": range(1)}),
    ):  # fmt: skip
        names = [*names, *map(str, range(columns.shape[1] - len(names)))]
        try:
            fit = fit_cumulative_logit(data.y, columns, names)
        except Refusal as refused:
            answers |= dict.fromkeys([(method, name) for name in tested], refused.code)
            continue
        for name, which in tested.items():
            answers[method, name] = Found(_wald_p(fit, data, [fit.n_thresholds + i for i in which], n - 1))
    return answers


def _wald_p(fit: OrdinalFit, data: Data, which: list[int], df: int) -> float:
    covariance, values = fit.cluster_covariance(data.runners)[np.ix_(which, which)], fit.params[which]
    return float(stats.f.sf(values @ np.linalg.solve(covariance, values) / len(which), len(which), df))


def ask_demo(cell: Cell, replicate: int) -> Answers:
    """The simulated cohort of the demonstration, one knee a runner: its six true odds ratios, with the product."""
    cohort = draw_cohort(cell.runners, replicate)
    people = {row["participant_id"]: row for row in cohort.participants}
    knees = [people[row["participant_id"]] | {"signal_grade": row["signal_grade"]} for row in cohort.truth]
    truth = {
        STRIKE: LOG["rearfoot"],
        DISTANCE: LOG["distance_10km"],
        SETTINGS.product_term: LOG["rearfoot:distance_10km"],
        "age_years": LOG["age_10y"] / 10,
        "sex_M": LOG["male"],
        "bmi_kg_m2": LOG["bmi_kg_m2"],
    }
    question = Question("interaction", (*truth, "running_years"))
    answer = fit_ordinal(complete_cases(knees, "signal_grade", question.terms, SETTINGS))
    answers: Answers = {}
    for term, value in truth.items():
        one = answer[term]
        half, covered = (one.high - one.low) / 2, one.low <= value <= one.high
        answers["demo cohort, with the product", term] = Found(one.p, one.value, half, covered)
    return answers


ASK: dict[str, Callable[[Cell, int], Answers]] = {
    "primary": ask_primary,
    "strike": ask_primary,
    "rare": ask_rare,
    "tests": ask_tests,
    "demo": ask_demo,
    "truth": ask_primary,
}
# Replicates of the dear blocks, as a share of what was asked for.
SHARE = {"rare": 0.5, "tests": 0.5, "demo": 0.1, "truth": 0.0}


# --- counting ---------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What became of one method and term over the replicates of a cell."""

    found: list[Found] = field(default_factory=list)
    refused: Counter = field(default_factory=Counter)

    def add(self, found: Found | str) -> None:
        if isinstance(found, str):
            self.refused[found] += 1
        else:
            self.found.append(found)

    def summary(self) -> dict:
        judged = [one.covered for one in self.found if one.covered is not None]
        values = [one.value for one in self.found if not math.isnan(one.value)]
        widths = [one.half_width for one in self.found if not math.isnan(one.half_width)]
        return {
            "asked": len(self.found) + self.refused.total(),
            "refused": dict(sorted(self.refused.items())),
            "estimated": len(self.found),
            "alarms": sum(bool(one.p < 0.05) for one in self.found),
            "covered": sum(map(bool, judged)),
            "with_truth": len(judged),
            "median_value": float(np.median(values)) if values else None,
            "mean_value": float(np.mean(values)) if values else None,
            "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "mean_half_width": float(np.mean(widths)) if widths else None,
        }


def run_cell(cell: Cell, replicates: int) -> list[dict]:
    """A row for each method and term."""
    start, tallies = time.process_time(), {}
    for replicate in range(replicates):
        for key, found in ASK[cell.block](cell, replicate).items():
            tallies.setdefault(key, Tally()).add(found)
    seconds = round(time.process_time() - start, 1)
    slopes = dict(zip(TERMS, cell.slopes, strict=True))
    return [
        {"cell": cell.name, **asdict(cell), "replicates": replicates, "method": method, "term": term,
         "truth": slopes.get(term), **tally.summary(), "cpu_s": seconds}
        for (method, term), tally in tallies.items()
    ]  # fmt: skip


# --- running ----------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of cells.jsonl")
    parser.add_argument("--blocks", nargs="*", choices=list(ASK), default=list(ASK))
    parser.add_argument("--replicates", type=int, default=1000, help="of a cell; dear blocks run a share of them")
    parser.add_argument("--page", type=Path, help="write the tables of all cells there are to this file")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "cells.jsonl"
    done: dict[str, list[dict]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            rows = json.loads(line)
            done[rows[0]["cell"]] = rows
    for cell in cells():
        replicates = max(1, round(arguments.replicates * SHARE.get(cell.block, 1)))
        if cell.block not in arguments.blocks or (cell.name in done and done[cell.name][0]["replicates"] >= replicates):
            continue
        done[cell.name] = run_cell(cell, replicates)
        with path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(done[cell.name]) + "\n")
        print(_progress(done[cell.name]), flush=True)
    if arguments.page:
        rows = [row for cell in cells() for row in done.get(cell.name, [])]
        arguments.page.write_text(page(rows, [c.name for c in cells() if c.name not in done]), encoding="utf-8")


def _progress(rows: list[dict]) -> str:
    said = [
        f"{row['term']} {share(row['covered'], row['with_truth'])} p<.05 {share(row['alarms'], row['estimated'])}"
        for row in rows
        if row["method"] not in METHODS[1:]
    ]
    return f"{rows[0]['cell']}: {'; '.join(said)} [{rows[0]['cpu_s']} CPU s]"


if __name__ == "__main__":
    main()
