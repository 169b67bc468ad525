"""The models: which questions are asked of the knees, which are refused and why, and how each is answered.

Every question leaves one row a term in `estimates.tsv`, estimated or refused. The rules of refusal:

1. the outcome has fewer than two grades among the complete cases;
2. fewer than two runners for each parameter of the model;
3. a contrast compares groups of which one has fewer than `min_joint_cell` runners: the two strike groups when strike
   stands alone, the four joint cells of strike by distance when both are in the model;
4. a term has one value only (the term is refused, the model goes on without it);
5. the outcome is separated, the terms are collinear, or no peak of the likelihood is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline.cohort.brant import check_proportional_odds
from kneeline.cohort.design import (
    Data,
    by_runner,
    complete_cases,
    covariate_terms,
    outcome_value,
)
from kneeline.cohort.exact import conditional_odds_ratio
from kneeline.cohort.firth import fit_firth
from kneeline.cohort.joint import additive_rows, runners_per_cell, sparse_cells
from kneeline.cohort.multiplicity import benjamini_hochberg
from kneeline.cohort.ordinal import fit_cumulative_logit
from kneeline.cohort.power import FORMULA, ordinal_power
from kneeline.cohort.settings import OUTCOMES, Settings
from kneeline.errors import Refusal
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.tables import Row

RUNNERS_PER_PARAMETER = 2
# Below this many runners a parameter an estimate is shown with a caution.
COMFORTABLE_PER_PARAMETER = 10
# Penalised instead of population-averaged logit when a cell of finding by strike has fewer knees than this,
# or the rarer of finding and no finding fewer than ten a term.
SPARSE_CELL = 5
POWER_ODDS_RATIOS = (2, 3, 4)


@dataclass(frozen=True)
class Question:
    """A set of terms; `descriptive` ones stand beside the analysis and are never read alone."""

    name: str
    terms: tuple[str, ...]
    descriptive: bool = False


def questions(settings: Settings) -> tuple[Question, ...]:
    distance, covariates = settings.distance_term, covariate_terms(settings)
    return (
        Question("crude_strike", ("rearfoot",)),
        Question("crude_distance", (distance,)),
        Question("adjusted", ("rearfoot", distance, *covariates)),
        Question("interaction", ("rearfoot", distance, f"rearfoot:{distance}", *covariates)),
        Question("crude_distance_cut", (settings.cut_term,), descriptive=True),
    )


def adjusted_question(settings: Settings) -> Question:
    return next(question for question in questions(settings) if question.name == "adjusted")


def relate(knees: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of ESTIMATES for all outcomes; the primary outcome first."""
    rows = []
    for outcome in sorted(OUTCOMES, key=lambda name: name != settings.primary_outcome):
        for question in questions(settings):
            rows += _answer("cumulative_logit", fit_ordinal, knees, outcome, question, settings)
        rows += proportional_odds_rows(knees, outcome, settings)
        rows += _binary_rows(knees, outcome, settings)
        rows += [_exact_row(knees, outcome, settings)]
        rows += additive_rows(knees, outcome, settings)
        rows += power_rows(knees, outcome, settings)
    for question in questions(settings):
        rows += _answer("linear", fit_linear, knees, "log_fluid_ml", question, settings)
    adjust_exploratory(rows, settings)
    return rows


def adjust_exploratory(rows: Sequence[Row], settings: Settings) -> None:
    """Fill in `p_adjusted`: Benjamini-Hochberg over the strike and distance contrasts of the secondary outcomes.

    The family are the adjusted and interaction models; the crude and the binary ones ask the same questions again.
    """
    exposures = ("rearfoot", settings.distance_term, f"rearfoot:{settings.distance_term}")
    models = [f"{family}_{name}" for family in ("cumulative_logit", "linear") for name in ("adjusted", "interaction")]
    family = [
        row
        for row in rows
        if row["outcome"] != settings.primary_outcome
        and row["model"] in models
        and row["term"] in exposures
        and row["status"] == "estimated"
    ]
    for row, p in zip(family, benjamini_hochberg([row["p_value"] for row in family]), strict=True):
        row["p_adjusted"] = p


# --- one question -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a fit gives: (term, estimate, low, high, p) on the reported scale, and how it was done."""

    scale: str
    terms: list[tuple[str, float, float, float, float | None]]
    method: str
    cutpoints: list[tuple[str, float, float, float, float | None]]


def fit_ordinal(data: Data) -> Answer:
    """Proportional odds, runner-clustered errors: observed Hessian, factor G/(G - 1), Student's t on G - 1."""
    fit = fit_cumulative_logit(data.y.astype(int), data.x, data.terms)
    errors = np.sqrt(np.diag(fit.cluster_covariance(data.runners)))
    found = _wald(fit.names, fit.params, errors, data.n_runners - 1)
    method = (
        "cumulative logit (proportional odds), maximum likelihood; "
        f"sandwich errors clustered by runner, t with {data.n_runners - 1} df"
    )
    cuts = [(f"threshold {name}", *values, None) for name, *values, _ in found[: fit.n_thresholds]]
    terms = [(name, *np.exp(values), p) for name, *values, p in found[fit.n_thresholds :]]
    return Answer("odds_ratio", terms, method, cuts)


def fit_linear(data: Data) -> Answer:
    """Least squares of the logarithm; ratios of geometric means, runner-clustered errors (statsmodels)."""
    from statsmodels.regression.linear_model import OLS

    design = np.column_stack([np.ones(len(data.y)), data.x])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise Refusal("collinear", "a term is constant or a sum of others; leave it out")
    if np.ptp(data.y) == 0:
        raise Refusal("one_level", "every knee has the same volume")
    groups = np.unique(data.runners, return_inverse=True)[1]
    fit = OLS(data.y, design).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    found = _wald(("intercept", *data.terms), fit.params, fit.bse, data.n_runners - 1)
    method = (
        "linear model of log fluid_ml, estimates are ratios of geometric means; "
        f"sandwich errors clustered by runner, t with {data.n_runners - 1} df"
    )
    return Answer("mean_ratio", [(name, *np.exp(values), p) for name, *values, p in found[1:]], method, [])


def fit_gee(data: Data) -> Answer:
    """Population-averaged logit of grade 1 or more, exchangeable within runner, Mancl-DeRouen errors (statsmodels)."""
    import warnings

    from statsmodels.genmod.cov_struct import Exchangeable, Independence
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    design = np.column_stack([np.ones(len(data.y)), data.x])
    groups = np.unique(data.runners, return_inverse=True)[1]
    paired = data.n_runners < len(data.y)
    structure = Exchangeable() if paired else Independence()
    with warnings.catch_warnings():
        # What it warns of is read from `converged` below.
        warnings.simplefilter("ignore")
        fit = GEE(data.y >= 1, design, groups, family=Binomial(), cov_struct=structure).fit(cov_type="bias_reduced")
    if not fit.converged or not np.all(np.isfinite(fit.bse)):
        raise Refusal("not_converged", "the estimating equations did not converge; use fewer terms")
    found = _wald(("intercept", *data.terms), fit.params, fit.bse, data.n_runners - 1)
    kind = "exchangeable" if paired else "independence"
    method = f"GEE logit of grade 1 or more by knee, {kind} within runner, Mancl-DeRouen errors, t"
    return Answer("odds_ratio", [(name, *np.exp(values), p) for name, *values, p in found[1:]], method, [])


def fit_penalised(data: Data) -> Answer:
    """Firth's logit of grade 1 or more in any knee, by runner; profile intervals, penalised likelihood-ratio p."""
    fit = fit_firth(data.y >= 1, data.x, data.terms)
    terms = []
    for name in data.terms:
        ends = np.exp(fit.profile_interval(name))
        estimate = float(np.exp(fit.params[fit.names.index(name)]))
        terms.append((name, estimate, float(ends[0]), float(ends[1]), fit.likelihood_ratio([name])[1]))
    method = (
        "Firth penalised logit of grade 1 or more in any knee, by runner; profile penalised-likelihood interval, "
        "penalised likelihood-ratio p"
    )
    return Answer("odds_ratio", terms, method, [])


def _wald(names, estimates, errors, df: int) -> list[tuple[str, float, float, float, float]]:
    reach = stats.t.ppf(0.975, df)
    return [
        (name, float(b), float(b - reach * se), float(b + reach * se), float(2 * stats.t.sf(abs(b) / se, df)))
        for name, b, se in zip(names, estimates, errors, strict=True)
    ]


def _answer(family: str, fit, knees: Sequence[Row], outcome: str, question: Question, settings: Settings) -> list[Row]:
    """Rows of one question, a row a term: refused as a whole, or term by term."""
    data = complete_cases(knees, outcome, question.terms, settings)
    common: Row = {"model": f"{family}_{question.name}", "outcome": outcome}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    refused = {"scale": "mean_ratio" if family == "linear" else "odds_ratio", "status": "refused"}
    reason = refuse_model(data, outcome, question, settings)
    if reason is None:
        try:
            answer = fit(data)
        except Refusal as refusal:
            reason = f"{refusal.code}: {refusal.reason}"
    if reason:
        return [{**common, **refused, "term": term, "reason": reason} for term in question.terms]
    found = {name: values for name, *values in answer.terms}
    rows = []
    for term in question.terms:
        row = {**common, "term": term, "method": answer.method, "scale": answer.scale}
        if reason := refuse_term(term, data, question, settings):
            rows.append({**row, **refused, "reason": reason})
            continue
        caution = _cautions(term, data, outcome, question, settings)
        rows.append({**row, **_values(found[term]), "status": "estimated", "reason": caution})
    for name, *values in answer.cutpoints:
        row = {**common, "term": name, "method": answer.method, "scale": "log_odds"}
        rows.append({**row, **_values(values), "status": "estimated"})
    return rows


def _values(values: Sequence[float | None]) -> Row:
    finite = [None if value is None or not np.isfinite(value) else float(value) for value in values]
    return dict(zip(("estimate", "ci_low", "ci_high", "p_value"), finite, strict=True))


# --- rules ------------------------------------------------------------------------------------------------------------


def refuse_model(data: Data, outcome: str, question: Question, settings: Settings) -> str | None:
    """Why the whole question cannot be answered; None if it can."""
    if not len(data.y):
        why = data.missing_note
        return f"no knee has the outcome and every term{f' ({why})' if why else ''}"
    values = np.unique(data.y)
    if len(values) < 2:
        word = "volume" if outcome == "log_fluid_ml" else f"grade {values[0]:g}"
        return f"one_level: all {len(data.y)} knees have {word}; an association needs at least two grades"
    n_parameters = _n_parameters(data, outcome)
    if data.n_runners < RUNNERS_PER_PARAMETER * n_parameters:
        return (
            f"too_few_runners: {data.n_runners} runners for a model of {n_parameters} parameters; "
            f"at least {RUNNERS_PER_PARAMETER} runners a parameter are needed"
        )
    if not data.terms:
        return f"constant: {' and '.join(data.constant)} has one value in all {data.n_runners} runners"
    if any(":" in term for term in question.terms):
        return _sparse(data, settings, joint=True)
    return None


def refuse_term(term: str, data: Data, question: Question, settings: Settings) -> str | None:
    """Why a term's estimate is not given although the model was fitted; None if it is."""
    if term in data.constant:
        return f"constant: {term} has one value in all {data.n_runners} runners; it was left out of the model"
    if term == "rearfoot":
        return _sparse(data, settings, joint=settings.distance_term in question.terms)
    if term == settings.cut_term:
        counts = dict.fromkeys(settings.distance_groups, 0)
        for row in _one_a_runner(data):
            counts[settings.distance_group(row["weekly_distance_km"])] += 1
        reason = sparse_cells(counts, settings.min_joint_cell)
        return reason and f"sparse: {reason}"
    return None


def _sparse(data: Data, settings: Settings, joint: bool) -> str | None:
    if joint:
        counts = runners_per_cell(data.knees, settings)
    else:
        counts = dict.fromkeys(STRIKE_GROUPS, 0)
        for row in _one_a_runner(data):
            counts[strike_group(row["strike_style"])] += 1
    reason = sparse_cells(counts, settings.min_joint_cell)
    return reason and f"sparse: {reason}"


def _one_a_runner(data: Data) -> list[Row]:
    return list({row["participant_id"]: row for row in data.knees}.values())


def _n_parameters(data: Data, outcome: str) -> int:
    return len(data.terms) + (1 if outcome == "log_fluid_ml" else len(np.unique(data.y)) - 1)


def _cautions(term: str, data: Data, outcome: str, question: Question, settings: Settings) -> str | None:
    said = []
    if question.descriptive:
        said.append("descriptive: stands beside the linear term, never alone")
    if outcome != settings.primary_outcome:
        said.append("secondary outcome, exploratory")
    n_parameters = _n_parameters(data, outcome)
    if data.n_runners < COMFORTABLE_PER_PARAMETER * n_parameters:
        said.append(
            f"imprecise: {data.n_runners} runners for {n_parameters} parameters, "
            f"fewer than {COMFORTABLE_PER_PARAMETER} each"
        )
    if "rearfoot" in term:
        guessed = sum(row["strike_method"] == "self_report" for row in _one_a_runner(data))
        if guessed:
            said.append(f"strike is self-reported in {guessed} of {data.n_runners} runners, an unreliable measure")
    if term == "rearfoot" and any(":" in name for name in question.terms):
        said.append(f"the association at {settings.distance_cut_km:g} km a week")
    if term == settings.distance_term and any(":" in name for name in question.terms):
        said.append("the association among non-rearfoot runners")
    if data.missing_note:
        said.append(data.missing_note)
    return "; ".join(said) or None


# --- are the odds proportional? ---------------------------------------------------------------------------------------


def proportional_odds_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Brant-type test of the adjusted model, runner-clustered, and the exposures' odds ratio at each cut-point."""
    question = adjusted_question(settings)
    data = complete_cases(knees, outcome, question.terms, settings)
    common: Row = {"model": "proportional_odds_check", "outcome": outcome}
    common |= {"n_participants": data.n_runners, "n_knees": data.n_knees}
    reason = refuse_model(data, outcome, question, settings)
    if reason is None:
        try:
            check = check_proportional_odds(data.y.astype(int), data.x, data.terms, groups=data.runners)
        except Refusal as refusal:
            reason = f"{refusal.code}: {refusal.reason}"
    if reason:
        return [{**common, "term": "all terms", "scale": "other", "status": "refused", "reason": reason}]
    method = "Brant-type Wald test of equal slopes at every cut of the adjusted model, runner-clustered; chi-square"
    weak = "with few runners this test has little power: read the odds ratios at the cuts"
    tests = {"all terms": check.omnibus, **check.terms}
    rows: list[Row] = [
        {**common, "term": term, "scale": "other", "estimate": wald.chi2, "p_value": wald.p_value,
         "status": "estimated", "method": f"{method} on {wald.df} df", "reason": weak}
        for term, wald in tests.items()
    ]  # fmt: skip
    method = "binary logit at the cut, adjusted, runner-clustered errors"
    for i, term in enumerate(data.terms):
        if term not in ("rearfoot", settings.distance_term):
            continue
        why_not = refuse_term(term, data, question, settings)
        for cut, slope, error in zip(check.cuts, check.slopes[:, i], check.standard_errors[:, i], strict=True):
            row = {**common, "term": f"{term} at grade {cut}", "scale": "odds_ratio", "method": method}
            if why_not:
                rows.append({**row, "status": "refused", "reason": why_not})
            else:
                _, *values, p = _wald([term], [slope], [error], data.n_runners - 1)[0]
                rows.append({**row, **_values([*np.exp(values), p]), "status": "estimated"})
    return rows


# --- the dichotomised grade -------------------------------------------------------------------------------------------


def _binary_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Grade 1 or more: crude and adjusted, by GEE, or by Firth's logit where the stated rule calls the data sparse."""
    rows = []
    for question in questions(settings)[:3]:
        binary = [{**row, outcome: None if row[outcome] is None else int(row[outcome] >= 1)} for row in knees]
        data = complete_cases(binary, outcome, question.terms, settings)
        if why := sparse_binary(data):
            answered = _answer("firth", fit_penalised, by_runner(binary, outcome), outcome, question, settings)
            for row in answered:
                if row.get("method"):
                    row["method"] += f"; chosen because {why}"
            rows += answered
        else:
            rows += _answer("gee", fit_gee, binary, outcome, question, settings)
    return rows


def sparse_binary(data: Data) -> str | None:
    """Why large-sample inference on a yes/no finding (data.y 0 or 1) should not be trusted; None if it may."""
    yes = int(data.y.sum())
    if "rearfoot" in data.terms:
        strike = data.x[:, data.terms.index("rearfoot")]
        cells = [int(((data.y == y) & (strike == s)).sum()) for y in (0, 1) for s in (0, 1)]
        if min(cells) < SPARSE_CELL:
            return f"a cell of finding by strike has {min(cells)} knees, fewer than {SPARSE_CELL}"
    rarer, needed = min(yes, len(data.y) - yes), 10 * max(1, len(data.terms))
    return f"the rarer outcome has {rarer} knees, fewer than ten a term ({needed})" if rarer < needed else None


def _exact_row(knees: Sequence[Row], outcome: str, settings: Settings) -> Row:
    """Strike against grade 1 or more in any knee, by runner: conditional odds ratio, exact interval, Fisher's p."""
    runners = [row for row in by_runner(knees, outcome) if strike_group(row["strike_style"])]
    row: Row = {"model": "exact_crude_strike", "outcome": outcome, "term": "rearfoot", "scale": "odds_ratio"}
    row |= {"n_participants": len(runners), "n_knees": sum(r["n_knees"] for r in runners)}
    row["method"] = (
        "2x2 table by runner, grade 1 or more in any knee: conditional maximum-likelihood odds ratio, "
        "exact interval, Fisher's exact p"
    )
    table = [[0, 0], [0, 0]]
    for runner in runners:
        table[strike_group(runner["strike_style"]) != "rearfoot"][runner[outcome] < 1] += 1
    counts = {"rearfoot": sum(table[0]), "non_rearfoot": sum(table[1])}
    if reason := sparse_cells(counts, settings.min_joint_cell):
        return {**row, "status": "refused", "reason": f"sparse: {reason}"}
    if not all(map(sum, zip(*table, strict=True))):
        return {**row, "status": "refused", "reason": "one_level: every runner has the same outcome"}
    effect = conditional_odds_ratio(table)
    open_end = not (np.isfinite(effect.high) and np.isfinite(effect.estimate))
    caution = "an estimate or end without a value is infinite" if open_end else None
    values = (effect.estimate, effect.low, effect.high, effect.p_value)
    return {**row, **_values(values), "status": "estimated", "reason": caution}


# --- what this many runners could have shown --------------------------------------------------------------------------


def power_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Power of the crude strike contrast by runner at this n, for stated true odds ratios."""
    runners = [row for row in by_runner(knees, outcome) if strike_group(row["strike_style"])]
    groups = [strike_group(row["strike_style"]) for row in runners]
    n1, n2 = groups.count("rearfoot"), groups.count("non_rearfoot")
    grades, counts = np.unique([row[outcome] for row in runners], return_counts=True)
    rows = []
    for ratio in POWER_ODDS_RATIOS:
        row: Row = {"model": "power_crude_strike", "outcome": outcome, "term": f"if the odds ratio were {ratio}"}
        row |= {"scale": "other", "n_participants": len(runners), "n_knees": sum(r["n_knees"] for r in runners)}
        row["method"] = FORMULA
        few = sparse_cells({"rearfoot": n1, "non_rearfoot": n2}, settings.min_joint_cell)
        if few or len(grades) < 2:
            reason = f"sparse: {few}" if few else "one_level: every runner has the same grade"
            rows.append({**row, "status": "refused", "reason": reason})
        else:
            power = ordinal_power(counts / counts.sum(), ratio, n1, n2)
            mix = ", ".join(f"grade {g}: {c}" for g, c in zip(grades, counts, strict=True))
            said = f"probability of p < 0.05 with {n1} rearfoot and {n2} other runners and this grade mix ({mix})"
            rows.append({**row, "estimate": power, "status": "estimated", "reason": said})
    return rows


def model_flow(knees: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of FLOW: how many of the knees to analyse are complete cases of each outcome's adjusted model."""
    adjusted = adjusted_question(settings)
    flow = []
    for outcome in (*OUTCOMES, "log_fluid_ml"):
        known = [knee for knee in knees if outcome_value(knee, outcome) is not None]
        data = complete_cases(knees, outcome, adjusted.terms, settings)
        for step, rows, reason in (
            (f"knees with {outcome}", known, _missing_outcome(outcome) if len(known) < len(knees) else None),
            (f"knees complete for the adjusted model of {outcome}", data.knees, data.missing_note),
        ):
            who = {row["participant_id"] for row in rows}
            flow.append({"step": step, "n_participants": len(who), "n_scans": len(rows), "reason": reason})
    return flow


def _missing_outcome(outcome: str) -> str:
    return {
        "signal_grade": "a knee with an ungraded meniscal region has no grade of its own unless another is grade 3",
        "effusion_grade": "no depth could be measured, or the pouch is cut off",
        "log_fluid_ml": "the suprapatellar pouch is cut off, its volume would be too small",
    }[outcome]
