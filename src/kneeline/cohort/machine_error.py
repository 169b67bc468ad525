"""The machine's own error: prevalences and odds ratios as the machine's grades give them (naive), and corrected by what
a reader saw in a subset of the knees; and whether the machine errs alike in every group of runners.

The reader is taken for the truth. What the reader misses is not corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kneeline.cohort import outlines
from kneeline.cohort.answer import Answer, Coefficient, values_row, wald
from kneeline.cohort.design import Data, complete_cases
from kneeline.cohort.families import fit_linear, fit_ordinal
from kneeline.cohort.impute import coefficient, pool_term
from kneeline.cohort.joint import sparse_cells
from kneeline.cohort.questions import Question, questions
from kneeline.cohort.readings import Knee, key_of
from kneeline.cohort.refusals import cautions, refuse_model, refuse_term
from kneeline.cohort.settings import Settings
from kneeline.cohort.validated import (
    LEAST_KNEES,
    LEAST_PER_GRADE,
    LEAST_RUNNERS,
    MACHINE_OUTCOMES,
    joined_grades,
    reader_outcome,
    to_groups,
)
from kneeline.errors import Refusal
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.statistics.bootstrap import MOST_UNDEFINED, canonical_order, draws
from kneeline.statistics.misclassification import (
    Knees,
    confusion_shares,
    fit_corrected,
    matrix_prevalence,
    overimpute,
    predictive_prevalence,
)
from kneeline.tables import Row

ASKED = ("crude_strike", "crude_distance", "adjusted")
_TRUST = "the reader is taken for the truth"


def machine_error_rows(knees: Sequence[Row], readings: Sequence[Row] | None, settings: Settings) -> list[Row]:
    """Rows of MACHINE_ERROR for every outcome that the machine alone grades; a refused outcome has one row.

    Knees whose outlines a person corrected are not the machine's: they are left out, and every row says so.
    """
    rows = []
    told = outlines.warning(knees)
    knees = outlines.by_machine(knees)
    for outcome in settings.graded_outcomes:
        if outcome in MACHINE_OUTCOMES:
            found = validate(knees, readings, outcome)
            if isinstance(found, str):
                rows.append(
                    {"outcome": outcome, "quantity": "all", "method": "all", "status": "refused", "reason": found}
                )
            else:
                rows += [{"outcome": outcome, **row} for row in _outcome_rows(found, outcome, settings)]
    if told:
        for row in rows:
            row["warnings"] = "; ".join(filter(None, (row.get("warnings"), told)))
    return rows


@dataclass(frozen=True)
class Validated:
    """Knees with the machine's grade, in an order without names, and the reader's where there is one.

    Fields
    ------
    groups
        Grades as they are analysed: neighbours joined until the reader has enough of each.
    machine, reader
        Positions in `groups` (n,); `reader` is -1 where the knee was not read.
    runners
        Number of each knee's runner (n,).
    """

    knees: list[Row]
    groups: list[tuple[int, ...]]
    machine: np.ndarray
    reader: np.ndarray
    runners: np.ndarray
    truth: dict[Knee, int]

    @property
    def read(self) -> np.ndarray:
        return self.reader >= 0

    @property
    def n_runners(self) -> int:
        return int(self.runners.max()) + 1

    @property
    def counts(self) -> dict[str, int]:
        """What stands in every row."""
        return {
            "n_participants": self.n_runners,
            "n_knees": len(self.machine),
            "n_validated": int(self.read.sum()),
        }

    @property
    def joined(self) -> str | None:
        said = ", ".join(name_of(group) for group in self.groups if len(group) > 1)
        return f"joined, fewer than {LEAST_PER_GRADE} knees read: {said}" if said else None


def name_of(group: tuple[int, ...]) -> str:
    return f"grade {group[0]}" if len(group) == 1 else f"grades {group[0]} to {group[-1]}"


def validate(knees: Sequence[Row], readings: Sequence[Row] | None, outcome: str) -> Validated | str:
    """The knees with a machine grade, joined with the reader's; or why the machine's error cannot be known."""
    if not readings:
        return "no_readings: no reader graded any knee, so the machine's error in this cohort is not known"
    graded = [knee for knee in knees if knee[outcome] is not None]
    truth = reader_outcome(readings, outcome)
    machine = np.array([knee[outcome] for knee in graded], dtype=int)
    reader = np.array([truth.get(key_of(knee), -1) for knee in graded], dtype=int)
    who = np.array([knee["participant_id"] for knee in graded], dtype=object)
    n_read, n_who = int((reader >= 0).sum()), len(set(who[reader >= 0]))
    if n_read < LEAST_KNEES or n_who < LEAST_RUNNERS:
        return (
            f"few_validated: {n_read} knees of {n_who} runners have a grade of the whole knee by machine and reader; "
            f"at least {LEAST_KNEES} knees of {LEAST_RUNNERS} runners are needed"
        )
    groups = joined_grades(machine, reader)
    if len(groups) < 2:
        return (
            f"one_level: the reader gave no two grades to {LEAST_PER_GRADE} knees each that the machine gives as well; "
            "its error cannot be told apart"
        )
    return Validated(
        graded,
        groups,
        to_groups(machine, groups),
        to_groups(reader, groups),
        np.unique(who, return_inverse=True)[1],
        truth,
    )


def _outcome_rows(found: Validated, outcome: str, settings: Settings) -> Iterator[Row]:
    yield from _prevalence_rows(found, settings)
    differs = list(_difference_rows(found, outcome, settings))
    yield from differs
    suspect = [row["quantity"] for row in differs if row.get("p_value") is not None and row["p_value"] < 0.05]
    for question in questions(settings):
        if question.name in ASKED:
            yield from _odds_ratio_rows(found, outcome, question, suspect, settings)


# --- prevalence -------------------------------------------------------------------------------------------------------


def _prevalence_rows(found: Validated, settings: Settings) -> Iterator[Row]:
    """Confusion and prevalences, with percentile intervals from resampled runners."""
    j, tally = len(found.groups), runner_tallies(found)
    point = _prevalences(tally.sum(axis=0)[None], j)
    n, seed = settings.n_bootstrap, settings.seed
    blocks = [_prevalences(block @ tally, j) for block in draws(len(tally), n, seed)] if n else []
    resampled = {name: np.concatenate([block[name] for block in blocks]) for name in point} if n else {}
    how = (
        f"percentile interval from {n} resamples of the runners, seed {seed}" if n else "no interval, n_bootstrap is 0"
    )
    shared: Row = {**found.counts, "scale": "proportion", "warnings": found.joined}
    for t, true in enumerate(found.groups):
        n_true = int((found.reader == t).sum())
        for g, said in enumerate(found.groups):
            row = {**shared, "quantity": f"machine {name_of(said)}, reader {name_of(true)}", "n_validated": n_true}
            row["method"] = f"share of the knees to which the reader gave {name_of(true)}; {how}"
            yield row | _resampled(point["confusion"][0, t, g], resampled.get("confusion"), (t, g))
    for name, method in (
        ("matrix", "matrix method"),
        ("predictive", "predictive values of the machine's grades in the validated knees"),
    ):
        for t in range(1, j):
            row = {**shared, "quantity": f"prevalence of grade {found.groups[t][0]} or more"}
            row["method"] = f"{method}; {how}"
            row |= {f"naive{end}": value for end, value in _naive(point, resampled, t).items()}
            yield row | _resampled(point[name][0, t], resampled.get(name), (t,))


def runner_tallies(found: Validated) -> np.ndarray:
    """What each runner adds (G, J * J + J): validated knees by reader and machine, and all knees by machine."""
    j = len(found.groups)
    tally = np.zeros((found.n_runners, j * j + j))
    read = found.read
    np.add.at(tally, (found.runners[read], found.reader[read] * j + found.machine[read]), 1)
    np.add.at(tally, (found.runners, j * j + found.machine), 1)
    return tally[canonical_order(tally)]


def _prevalences(tallies: np.ndarray, j: int) -> dict[str, np.ndarray]:
    """Confusion (b, J, J) and the shares at or above each grade (b, J): naive, by matrix, by predictive values."""
    counts, told = tallies[:, : j * j].reshape(-1, j, j), tallies[:, j * j :]
    shares, m = told / told.sum(axis=1, keepdims=True), confusion_shares(counts)
    found = {
        "naive": shares,
        "matrix": matrix_prevalence(shares, m),
        "predictive": predictive_prevalence(shares, counts),
    }
    return {"confusion": m, **{name: np.cumsum(p[:, ::-1], axis=1)[:, ::-1] for name, p in found.items()}}


def _naive(point: dict[str, np.ndarray], resampled: dict[str, np.ndarray], t: int) -> Row:
    ends = np.quantile(resampled["naive"][:, t], [0.025, 0.975]) if resampled else (None, None)
    return {"": float(point["naive"][0, t]), "_low": _or_none(ends[0]), "_high": _or_none(ends[1])}


def _resampled(estimate: float, replicates: np.ndarray | None, at: tuple[int, ...]) -> Row:
    if not np.isfinite(estimate):
        return {"status": "refused", "reason": "undefined: a machine grade has no validated knee, or M is singular"}
    row: Row = {"estimate": float(estimate), "status": "estimated"}
    if replicates is None:
        return row
    values = replicates[(slice(None), *at)]
    lost = int((~np.isfinite(values)).sum())
    if lost > MOST_UNDEFINED * len(values):
        return {"status": "refused", "reason": f"undefined: in {lost} of {len(values)} resamples of the runners"}
    low, high = np.quantile(values[np.isfinite(values)], [0.025, 0.975])
    return row | {"ci_low": float(low), "ci_high": float(high)}


def _or_none(value: float | None) -> float | None:
    return None if value is None else float(value)


# --- does the error differ by exposure? -------------------------------------------------------------------------------


def _difference_rows(found: Validated, outcome: str, settings: Settings) -> Iterator[Row]:
    """By how much the machine's grade, at the same grade by the reader, goes with each exposure."""
    read = np.flatnonzero(found.read)
    rows = [{**found.knees[i], "_at": int(i)} for i in read]
    for term in settings.exposure_terms:
        data = complete_cases(rows, outcome, (term,), settings)
        at = [row["_at"] for row in data.knees]
        reader, machine = found.reader[at], found.machine[at]
        common: Row = {**found.counts, "n_validated": len(at), "n_participants": data.n_runners, "n_knees": len(at)}
        strata = (reader[:, None] == np.unique(reader)[1:]).astype(float)
        whole = "machine's grade at equal reader's grade"
        yield common | _difference(f"{whole}, {term}", "mean_difference", machine, strata, term, data, settings)
        if term == "rearfoot":
            finding, none = reader >= 1, reader == 0
            for name, kept, right in (
                (f"sensitivity for grade {found.groups[1][0]} or more", finding, machine >= 1),
                (f"specificity for grade {found.groups[1][0]} or more", none, machine == 0),
            ):
                part = _kept(data, kept)
                row = _difference(f"{name}, {term}", "risk_difference", right[kept], None, term, part, settings)
                yield common | {"n_validated": int(kept.sum()), "n_knees": int(kept.sum())} | row


def _kept(data: Data, kept: np.ndarray) -> Data:
    knees = [row for row, keep in zip(data.knees, kept, strict=True) if keep]
    return replace(data, y=data.y[kept], x=data.x[kept], runners=data.runners[kept], knees=knees)


def _difference(
    quantity: str, scale: str, y: np.ndarray, strata: np.ndarray | None, term: str, data: Data, settings: Settings
) -> Row:
    row: Row = {"quantity": quantity, "scale": scale}
    row["method"] = "linear model" + ("" if strata is None else ", one level for each of the reader's grades")
    if term in data.left_out:
        return {**row, "status": "refused", "reason": data.left_out[term]}
    x = data.x[:, :1] if strata is None else np.hstack([data.x[:, :1], strata])
    names = (term, *(f"level {i}" for i in range(x.shape[1] - 1)))
    if term == "rearfoot":
        counts = dict.fromkeys(STRIKE_GROUPS, 0)
        for knee in {knee["participant_id"]: knee for knee in data.knees}.values():
            counts[strike_group(knee["strike_style"])] += 1
        if few := sparse_cells(counts, settings.min_joint_cell):
            return {**row, "status": "refused", "reason": f"sparse: {few}"}
    if strata is not None and not _varies(y, strata):
        reason = "no_error: knees to which the reader gave the same grade have the same by the machine"
        return {**row, "status": "refused", "reason": reason}
    try:
        answer = fit_linear(Data(y.astype(float), x, names, data.runners))
    except Refusal as refusal:
        return {**row, "status": "refused", "reason": f"{refusal.code}: {refusal.reason}"}
    row["method"] += f"; {answer.method.rpartition('; ')[2]}"
    return {**row, **values_row(answer[term], answer.scale), "status": "estimated"}


def _varies(y: np.ndarray, strata: np.ndarray) -> bool:
    """Whether y (n,) differs within any level of the strata (n, levels - 1)."""
    levels = np.unique(strata, axis=0) if strata.shape[1] else strata[:1]
    return any(np.ptp(y[(strata == level).all(axis=1)]) > 0 for level in levels)


# --- odds ratios ------------------------------------------------------------------------------------------------------


def _odds_ratio_rows(
    found: Validated, outcome: str, question: Question, suspect: Sequence[str], settings: Settings
) -> Iterator[Row]:
    """Each term three times: error alike in all, error that may differ by strike, and by over-imputation."""
    data = complete_cases(found.knees, outcome, question.terms, settings)
    prepared = prepare(found, data)
    common: Row = {"scale": "odds_ratio", "n_participants": data.n_runners, "n_knees": len(data.y)}
    common["n_validated"] = int((prepared.reader >= 0).sum())
    grouped = _by_strike(prepared, data)
    ways = {
        "alike": "maximum likelihood of model and confusion matrix, the error alike in all knees",
        "by strike": "the same, with a confusion matrix for each strike group",
        "imputed": f"multiple over-imputation of the reader's grade, {settings.n_imputations} sets",
    }
    if "rearfoot" not in data.terms:
        del ways["by strike"]
    if not settings.n_imputations:
        del ways["imputed"]
    reason = refuse_model(data, outcome, question, settings, "cumulative_logit")
    try:
        naive = None if reason else fit_ordinal(replace(data, y=prepared.machine))
    except Refusal as refusal:
        reason = f"{refusal.code}: {refusal.reason}"
    for way, method in ways.items():
        try:
            if reason:
                code, _, words = reason.partition(": ")
                raise Refusal(code, words)
            corrected, how = _corrected(way, prepared, grouped, data, settings)
        except Refusal as refusal:
            row = {"quantity": f"odds ratio, {question.name}: all terms", "method": method, "status": "refused"}
            yield {**common, **row, "reason": f"{refusal.code}: {refusal.reason}"}
            continue
        for term in question.terms:
            row = {**common, "quantity": f"odds ratio, {question.name}: {term}", "method": f"{method}; {how}"}
            if why := refuse_term(term, data, question, settings):
                yield {**row, "status": "refused", "reason": why}
                continue
            plain = values_row(naive[term], "odds_ratio")
            row |= {"naive": plain["estimate"], "naive_low": plain["ci_low"], "naive_high": plain["ci_high"]}
            row |= values_row(corrected[term], "odds_ratio")
            said = [_TRUST, found.joined, cautions(term, data, outcome, question, settings, "cumulative_logit")]
            if suspect and way != "by strike":
                said.append(f"the error may not be alike in all knees: p < 0.05 for {'; '.join(suspect)}")
            yield {**row, "status": "estimated", "warnings": "; ".join(filter(None, said))}


def prepare(found: Validated, data: Data) -> Knees:
    """The complete cases of a model as knees with two graders."""
    place = {key_of(knee): i for i, knee in enumerate(found.knees)}
    at = [place[key_of(knee)] for knee in data.knees]
    return Knees(found.machine[at], found.reader[at], data.x, np.zeros(len(at), dtype=int), np.ones(len(at)))


def _by_strike(prepared: Knees, data: Data) -> Knees:
    if "rearfoot" not in data.terms:
        return prepared
    return replace(prepared, group=data.x[:, data.terms.index("rearfoot")].astype(int))


def _corrected(
    way: str, prepared: Knees, grouped: Knees, data: Data, settings: Settings
) -> tuple[dict[str, Coefficient], str]:
    """Coefficient of each term, and how its interval came about."""
    df = data.n_runners - 1
    if way == "imputed":
        knees, runners = _nameless(prepared, data.runners)
        sets = overimpute(knees, runners, settings.n_imputations, settings.seed)
        answers: list[Answer] = [fit_ordinal(Data(grades, knees.x, data.terms, runners)) for grades in sets]
        pooled = {term: coefficient(term, pool_term(answers, term)) for term in data.terms}
        return pooled, f"seed {settings.seed}; Rubin's rules, Barnard-Rubin degrees of freedom"
    if way == "by strike":
        for group in (0, 1):
            read = grouped.reader[grouped.group == group]
            few = [t for t in range(grouped.n_grades) if (read == t).sum() < LEAST_PER_GRADE]
            if few:
                raise Refusal(
                    "few_validated",
                    f"in a strike group the reader gave a grade to fewer than {LEAST_PER_GRADE} knees; "
                    "each group needs that many of each",
                )
    fitted = fit_corrected(grouped if way == "by strike" else prepared, data.runners)
    found = wald(data.terms, fitted.coefficients, np.sqrt(np.diag(fitted.covariance)), df)
    how = f"sandwich errors clustered by runner, which hold the uncertainty of the matrix, t with {df} df"
    return {one.name: one for one in found}, how


def _nameless(knees: Knees, runners: np.ndarray) -> tuple[Knees, np.ndarray]:
    """The knees, and their runners as numbers (n,), in an order that names and rows have no part in."""
    members = np.unique(runners, return_inverse=True)[1]
    code = knees.machine * (knees.n_grades + 1) + knees.reader + 1
    tally = np.zeros((int(members.max()) + 1, int(code.max()) + 1 + knees.x.shape[1]))
    np.add.at(tally, (members, code), 1)
    tally[members, int(code.max()) + 1 :] = knees.x
    rank = np.empty(len(tally), dtype=int)
    rank[canonical_order(tally)] = np.arange(len(tally))
    numbers = rank[members]
    order = np.lexsort((code, numbers))
    ordered = Knees(*(getattr(knees, name)[order] for name in ("machine", "reader", "x", "group", "weights")))
    return ordered, numbers[order]
