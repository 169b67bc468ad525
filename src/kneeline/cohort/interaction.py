"""Strike by weekly distance on the additive scale: RERI, AP and S, crude and adjusted, each by three kinds of interval.

The kinds: the delta method, MOVER, and BCa from resampled runners. They agree in large cohorts; where they do not, the
delta method, which is symmetric, is the one to doubt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t

from kneeline.cohort.design import complete_cases
from kneeline.cohort.joint import cells, count_cells, runners_per_cell, sparse_cells, words
from kneeline.cohort.questions import covariate_terms
from kneeline.cohort.settings import Settings
from kneeline.errors import Refusal
from kneeline.statistics.additive import from_logs, log_risk, logs_of, measures, mover
from kneeline.statistics.bootstrap import bca_interval
from kneeline.statistics.exact import Effect
from kneeline.statistics.rank import refuse_collinear
from kneeline.statistics.standardise import StandardisedRisks, standardise
from kneeline.tables import Row

TERMS = (("RERI", "reri"), ("AP", "other"), ("S", "other"))
MEANING = "RERI 0, AP 0, S 1 mean exactly additive"
# Below this many runners with, or without, the finding in a cell the large-sample intervals are rough.
SMALL_COUNT = 5
# S is a ratio; an interval that spans more than this factor says that its denominator may be zero.
WIDEST_S = 1e4
_UNDEFINED_S = "not defined: the excess risks have opposite signs, or are too near to zero to be divided"


@dataclass(frozen=True)
class Risks:
    """Risks of the cells neither, strike only, distance only, both (4,), and what their intervals need.

    Fields
    ------
    log_covariance
        Of the logarithms of the risks (4, 4).
    influence
        How runners pull at the risks (rows, 4), for the acceleration.
    resample
        Gives risks (n, 4) in n resamples of the runners from a seed.
    """

    risks: np.ndarray
    log_covariance: np.ndarray
    df: float
    influence: np.ndarray
    resample: Callable[[int, int], np.ndarray]


def additive_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES: crude by runner (finding in any knee), then adjusted by knee."""
    return _crude_rows(knees, outcome, settings) + _adjusted_rows(knees, outcome, settings)


# --- crude ------------------------------------------------------------------------------------------------------------


def _crude_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    counts = count_cells(knees, outcome, settings)
    common: Row = {"outcome": outcome}
    common |= {
        "n_participants": sum(c.runners for c in counts.values()),
        "n_knees": sum(c.knees for c in counts.values()),
    }
    model = "additive_interaction"
    what = "risk ratios of grade 1 or more in any knee, by runner, in the four joint cells, unadjusted"
    reason = sparse_cells({cell: c.runners for cell, c in counts.items()}, settings.min_joint_cell)
    if not reason and any(c.having in (0, c.runners) for c in counts.values()):
        reason = "in a joint cell no runner or every runner has the finding; the risk ratios have no finite error"
    if reason:
        return _refused(common, model, reason, settings)
    neither, distance_only, strike_only, both = ((c.runners - c.having, c.having) for c in counts.values())
    tables = np.array([neither, strike_only, distance_only, both])
    caution = f"unadjusted; {MEANING}"
    if tables.min() < SMALL_COUNT:
        caution += (
            f"; a joint cell has fewer than {SMALL_COUNT} runners with or without the finding, the interval is rough"
        )
    return _rows(common, model, what, caution, crude_risks(tables), settings)


def crude_risks(tables: np.ndarray) -> Risks:
    """From counts (4, 2) of runners without and with the finding in each cell.

    Runners of the same cell and finding are alike, so a resample of runners is a draw of the eight counts.
    """
    logs, covariance = logs_of(tables.tolist(), log_risk)
    totals = tables.sum(axis=1)
    shares = tables[:, 1] / totals
    influence = np.zeros((int(totals.sum()), 4))
    cell = np.repeat(np.arange(4), totals)
    having = np.concatenate([np.repeat([0, 1], pair) for pair in tables])
    influence[np.arange(len(cell)), cell] = (having - shares[cell]) / totals[cell]

    def resample(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(totals.sum(), tables.ravel() / totals.sum(), n).reshape(n, 4, 2)
        with np.errstate(invalid="ignore"):
            return drawn[..., 1] / drawn.sum(axis=-1)

    return Risks(np.exp(logs), covariance, math.inf, influence, resample)


# --- adjusted ---------------------------------------------------------------------------------------------------------


def _adjusted_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """By knee, marginal standardisation over the covariates of the adjusted models."""
    cut = settings.cut_term
    terms = ("rearfoot", cut, *covariate_terms(settings))
    data = complete_cases(knees, outcome, terms, settings)
    common: Row = {"outcome": outcome, "n_participants": data.n_runners, "n_knees": data.n_knees}
    model = "additive_interaction_adjusted"
    reason = sparse_cells(runners_per_cell(data.knees, settings), settings.min_joint_cell)
    if reason and data.missing_note:
        reason += f" ({data.missing_note})"
    if not reason:
        strike, far = (data.x[:, data.terms.index(name)] for name in ("rearfoot", cut))
        finding = data.y >= 1
        shares = [finding[(strike == a) & (far == b)].mean() for a in (0, 1) for b in (0, 1)]
        if min(shares) == 0 or max(shares) == 1:
            reason = "in a joint cell no knee or every knee has the finding; the logit has no finite estimate"
        elif data.n_runners < 2 * (len(data.terms) + 2):
            reason = (
                f"too_few_runners: {data.n_runners} runners for a model of {len(data.terms) + 2} parameters; "
                "at least 2 runners a parameter are needed"
            )
    if not reason:
        others = [i for i, name in enumerate(data.terms) if name not in ("rearfoot", cut)]
        try:
            refuse_collinear(data.x, data.terms)
            found = standardise(finding, strike, far, data.x[:, others], data.runners)
        except Refusal as refusal:
            reason = f"{refusal.code}: {refusal.reason}"
    if reason:
        return _refused(common, model, reason, settings)
    named = ", ".join(data.terms[i] for i in others) or "nothing"
    what = (
        f"risk ratios of grade 1 or more by knee, standardised over {named} (logit with both exposures, their product "
        "and these terms), runner-clustered"
    )
    caution = "; ".join(filter(None, (f"adjusted; {MEANING}", data.missing_note)))
    risks = Risks(found.risks, found.log_covariance, found.n_runners - 1, found.influence, found.replicates)
    return _standardised_rows(common, model, found, settings) + _rows(common, model, what, caution, risks, settings)


def _standardised_rows(common: Row, model: str, found: StandardisedRisks, settings: Settings) -> list[Row]:
    """The four standardised risks, with intervals on the logit scale."""
    neither, distance_only, strike_only, both = cells(settings)
    errors = np.sqrt(np.diag(found.covariance)) / (found.risks * (1 - found.risks))
    reach = float(t.ppf(0.975, found.n_runners - 1))
    rows = []
    for cell, risk, error in zip((neither, strike_only, distance_only, both), found.risks, errors, strict=True):
        low, high = expit(logit(risk) + np.array([-1, 1]) * reach * error)
        row = {**common, "model": model, "term": f"risk, {words(cell)}", "scale": "proportion", "status": "estimated"}
        row |= {"estimate": float(risk), "ci_low": float(low), "ci_high": float(high)}
        row["method"] = (
            "standardised risk of grade 1 or more by knee, runner-clustered; delta method on the logit scale"
        )
        rows.append(row)
    return rows


# --- rows of both -----------------------------------------------------------------------------------------------------


def _rows(common: Row, model: str, what: str, caution: str, found: Risks, settings: Settings) -> list[Row]:
    logs = np.log(found.risks)
    delta = from_logs(logs, found.log_covariance, found.df)
    s = delta.s if delta.s and delta.s.high <= WIDEST_S * delta.s.low else None
    rows = _effects(common, model, f"{what}; delta-method interval", caution, (delta.reri, delta.ap, s))
    recovered = mover(logs, found.log_covariance, found.df)
    rows += _effects(common, f"{model}_mover", f"{what}; MOVER interval (Zou 2008)", caution, recovered)
    if settings.n_bootstrap:
        rows += _bootstrap_rows(common, f"{model}_bootstrap", what, caution, found, settings)
    return rows


def _bootstrap_rows(common: Row, model: str, what: str, caution: str, found: Risks, settings: Settings) -> list[Row]:
    n, seed = settings.n_bootstrap, settings.seed
    estimates, replicates = measures(found.risks), measures(found.resample(n, seed))
    pulls = _influence(found)
    method = f"{what}; BCa interval from {n} resamples of the runners, seed {seed}"
    rows = []
    for i, (term, scale) in enumerate(TERMS):
        row = {**common, "model": model, "term": term, "scale": scale, "method": method}
        try:
            if not np.isfinite(estimates[i]):
                raise Refusal("undefined", _UNDEFINED_S)
            low, high = bca_interval(estimates[i], replicates[:, i], pulls[:, i])
        except Refusal as refusal:
            rows.append({**row, "status": "refused", "reason": f"{refusal.code}: {refusal.reason}"})
            continue
        row |= {"estimate": float(estimates[i]), "ci_low": low, "ci_high": high}
        rows.append({**row, "status": "estimated", "warnings": caution})
    return rows


def _influence(found: Risks) -> np.ndarray:
    """How each runner pulls at RERI, AP and S (rows, 3): chain rule through the four risks."""
    neither, first, second, both = found.risks
    beyond, apart = both - first - second + neither, first + second - 2 * neither
    gradient = np.array(
        [
            [1 / neither - beyond / neither**2, -1 / neither, -1 / neither, 1 / neither],
            [1 / both, -1 / both, -1 / both, 1 / both - beyond / both**2],
            np.array([-apart + 2 * (both - neither), neither - both, neither - both, apart]) / (apart**2 or 1.0),
        ]
    )
    return found.influence @ gradient.T


def _effects(common: Row, model: str, method: str, caution: str, effects: Sequence[Effect | None]) -> list[Row]:
    """Rows of RERI, AP and, where it is given, S."""
    rows = []
    for (term, scale), effect in zip(TERMS, effects, strict=False):
        row = {**common, "model": model, "term": term, "scale": scale, "method": method}
        if effect is None:
            rows.append({**row, "status": "refused", "reason": _UNDEFINED_S})
            continue
        row |= {"estimate": effect.estimate, "ci_low": effect.low, "ci_high": effect.high, "p_value": effect.p_value}
        rows.append({**row, "status": "estimated", "warnings": caution})
    return rows


def _refused(common: Row, model: str, reason: str, settings: Settings) -> list[Row]:
    """The same terms as in `_rows`, each with the reason."""
    kinds = [(model, TERMS), (f"{model}_mover", TERMS[:2])]
    if settings.n_bootstrap:
        kinds.append((f"{model}_bootstrap", TERMS))
    return [
        {**common, "model": name, "term": term, "scale": scale, "status": "refused", "reason": reason}
        for name, terms in kinds
        for term, scale in terms
    ]
