"""Machine against reader, reader against reader, reader against himself: coefficients with intervals over runners.

Every coefficient is a function of sums over runners (`many_raters`, `icc`, `limits`), so its interval is one matrix
product: runners, not knees, are drawn again (`resampled`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kneeline.cohort import outlines
from kneeline.cohort.readings import (
    DEPTH_RULE,
    VOLUME_RULE,
    Item,
    Ratings,
    machine_grades,
    machine_values,
    possible_grades,
    reader_ratings,
    words_of,
)
from kneeline.errors import Refusal
from kneeline.statistics.agreement import LEAST_CLUSTERS, gwet_estimates, kappa_estimates
from kneeline.statistics.icc import (
    icc_features,
    mean_squares_of_sums,
    single_agreement,
    single_consistency,
    single_oneway,
)
from kneeline.statistics.intervals import effective_n, wilson
from kneeline.statistics.limits import EXACT, cluster_sums, limits_from_sums, limits_of_agreement
from kneeline.statistics.many_raters import (
    alpha,
    coincidences,
    conger,
    conger_features,
    fleiss,
    fleiss_of_grade,
    fleiss_z,
    gwet_many,
    kendall_w,
    rater_features,
)
from kneeline.statistics.marginal import homogeneity
from kneeline.statistics.resampled import Resampling, Statistic, content_order, interval, sums_by_runner
from kneeline.tables import Row

HEADLINE = ("weighted_kappa_quadratic", "gwet_ac2_quadratic", "exact_agreement")
# Volumes below this are at the limit of what a voxel count can tell; their ratio would rule the limits.
SMALLEST_ML = 0.1
ALL_READERS = "all readers, first readings"
_MACHINE_READERS = "machine with readers"


@dataclass(frozen=True)
class Compared:
    """Items that raters have in common: ratings (items, raters) with nan where missing, runners (items,)."""

    ratings: np.ndarray
    runners: list[str]
    resampling: Resampling = field(default_factory=Resampling)

    @property
    def n_runners(self) -> int:
        return len(set(self.runners))


def compare_raters(
    knees: Sequence[Row],
    readings: Sequence[Row] | None,
    cartilage: Sequence[Row] = (),
    marrow: Sequence[Row] = (),
    resampling: Resampling = Resampling(),  # noqa: B008
) -> tuple[list[Row], list[Row]]:
    """Rows of AGREEMENT and of CONFUSION.

    The machine with each reader, readers with each other, all readers together if there are three or more (each time
    the first reading), and a reader's readings with each other. `knees` are rows of KNEES, `cartilage` and `marrow`
    of the score tables. Knees whose outlines a person corrected are not the machine's; a row tells how many those are.
    """
    told = outlines.warning(knees)
    knees = outlines.by_machine(knees)
    if not readings:
        why = "no readings were given" if readings is None else "the readings table has no rows"
        note = f"{why}; agreement of machine and reader is not known for this cohort"
        return [
            {"comparison": "machine with reader", "structure": "all", "statistic": name, "note": note}
            for name in HEADLINE[:2]
        ], []
    agreement, confusion = [], []
    if told:
        agreement.append({"comparison": _MACHINE_READERS, "structure": "all", "statistic": "edited", "note": told})
    graded = reader_ratings(readings, "grade")
    measured = reader_ratings(readings, "value")
    for name, machine, others in (
        ("grade", machine_grades(knees, cartilage, marrow), graded),
        ("value", machine_values(knees), measured),
    ):
        for comparison, raters in pairs_of_raters(machine, others):
            rows, counts = compared_rows(comparison, raters, name, resampling)
            agreement += rows
            confusion += counts
    return agreement, confusion


def compared_rows(
    comparison: str, raters: Sequence[Ratings], name: str, resampling: Resampling
) -> tuple[list[Row], list[Row]]:
    """Rows of AGREEMENT and of CONFUSION of one comparison of two or more raters; `name` is `grade` or `value`."""
    agreement, confusion = [], []
    items = _shared(raters, resampling)
    if not items:
        nothing = {"statistic": HEADLINE[0] if name == "grade" else "icc_a1", "n": 0}
        note = f"no knee has a {name} by both"
        agreement.append({"comparison": comparison, "structure": "all", **nothing, "note": note})
    for item, compared in items:
        common = {"comparison": comparison, "structure": words_of(item)}
        if name == "value":
            rows, counts = value_rows(words_of(item), compared), []
        elif len(raters) > 2:
            rows, counts = many_rows(item, compared), []
        else:
            rows, counts = pair_rows(item, compared), confusion_rows(item, compared)
        agreement += [common | row for row in rows]
        confusion += [common | row for row in counts]
    return agreement, confusion


def pairs_of_raters(machine: Ratings, readers: dict[str, dict[int, Ratings]]) -> Iterator[tuple[str, list[Ratings]]]:
    """Who is compared with whom; the first of a pair is `grade_a`."""
    label = {(reader, number): f"{reader} reading {number}" for reader in readers for number in readers[reader]}
    first = {reader: min(readers[reader]) for reader in readers}
    for reader, number in first.items():
        ratings = readers[reader][number]
        # The machine's other rule for effusion is measured against the same reading.
        by_volume = {(knee, VOLUME_RULE): grade for (knee, item), grade in ratings.items() if item == DEPTH_RULE}
        yield f"machine with {label[reader, number]}", [machine, ratings | by_volume]
    for one, two in itertools.combinations(first, 2):
        pair = [readers[name][first[name]] for name in (one, two)]
        yield f"{label[one, first[one]]} with {label[two, first[two]]}", pair
    if len(first) > 2:
        yield ALL_READERS, [readers[name][number] for name, number in first.items()]
    for reader in readers:
        for one, two in itertools.combinations(readers[reader], 2):
            yield f"{label[reader, one]} with {label[reader, two]}", [readers[reader][one], readers[reader][two]]


def _shared(raters: Sequence[Ratings], resampling: Resampling) -> list[tuple[Item, Compared]]:
    """What at least two raters have rated, item by item in the order of names, knees in the order of their keys."""
    count: dict[tuple, int] = {}
    for ratings in raters:
        for key in ratings:
            count[key] = count.get(key, 0) + 1
    items: dict[Item, list] = {}
    for key in sorted((key for key, n in count.items() if n > 1), key=str):
        items.setdefault(key[1], []).append(key)
    return [
        (
            item,
            Compared(
                np.array([[ratings.get(key, math.nan) for ratings in raters] for key in keys], dtype=float),
                [key[0][0] for key in keys],
                resampling,
            ),
        )
        for item, keys in sorted(items.items(), key=str)
    ]


# --- grades by two raters ---------------------------------------------------------------------------------------------


def pair_rows(item: Item, compared: Compared) -> list[Row]:
    """Coefficients of two raters' grades, (items, 2) complete."""
    q = possible_grades(item, compared.ratings.ravel())
    a, b = compared.ratings.astype(int).T
    one_hot = np.eye(q * q)[a * q + b]

    def of_table(statistic: Callable, *kind: str) -> Statistic:
        return lambda sums: statistic(sums.reshape(*sums.shape[:-1], q, q), *kind)

    rows = [
        *_statistics(
            compared,
            one_hot,
            {
                "weighted_kappa_quadratic": of_table(kappa_estimates, "quadratic"),
                "gwet_ac2_quadratic": of_table(gwet_estimates, "quadratic"),
                "kappa": of_table(kappa_estimates),
                "weighted_kappa_linear": of_table(kappa_estimates, "linear"),
                "gwet_ac1": of_table(gwet_estimates),
            },
            f"grades 0 to {q - 1}",
        ),
        *_statistics(compared, coincidences(compared.ratings, q), {"krippendorff_alpha_ordinal": alpha}),
        *_icc_rows(compared, "grades taken as numbers"),
    ]
    distance = np.abs(a - b)
    rows += [_share("exact_agreement", distance == 0, compared), _share("within_one_grade", distance <= 1, compared)]
    test = homogeneity(a, b, compared.runners)
    row: Row = {"statistic": "marginal_homogeneity_chi2"} | _sizes(compared)
    if test is None or compared.n_runners < LEAST_CLUSTERS:
        row["note"] = "refused: " + ("no pair differs" if test is None else _too_few(compared))
    else:
        row |= {"estimate": test.chi2, "p_value": test.p_value}
        row["method"] = f"Wald test that both gave each grade equally often, clustered by runner, {test.df} df"
    return [*rows, row]


def confusion_rows(item: Item, compared: Compared) -> list[Row]:
    q = possible_grades(item, compared.ratings.ravel())
    pairs = [tuple(pair) for pair in compared.ratings.astype(int).tolist()]
    return [{"grade_a": a, "grade_b": b, "n": pairs.count((a, b))} for a, b in itertools.product(range(q), repeat=2)]


def _share(name: str, hits: np.ndarray, compared: Compared) -> Row:
    count, n = int(hits.sum()), len(hits)
    independent = effective_n(hits.tolist(), compared.runners)
    ends = wilson(count / n * independent, independent)
    method = "Wilson interval" + (f" as of {independent:.1f} independent pairs" if independent < n else "")
    row = {"statistic": name, "estimate": count / n, "ci_low": ends.low, "ci_high": ends.high, "method": method}
    return row | _sizes(compared)


# --- grades by many raters --------------------------------------------------------------------------------------------


def many_rows(item: Item, compared: Compared) -> list[Row]:
    """Coefficients of three or more raters' grades, (items, raters), nan where missing."""
    q = possible_grades(item, compared.ratings[np.isfinite(compared.ratings)])
    used = sorted(set(compared.ratings[np.isfinite(compared.ratings)].astype(int).tolist()))
    missing = int((~np.isfinite(compared.ratings)).sum())
    raters = f"{compared.ratings.shape[1]} readers" + (f", {missing} readings missing" if missing else "")
    by_grade = {f"fleiss_kappa_grade_{g}": lambda sums, g=g: fleiss_of_grade(sums, g) for g in used}
    rows = [
        *_statistics(compared, coincidences(compared.ratings, q), {"krippendorff_alpha_ordinal": alpha}, raters),
        *_statistics(
            compared,
            rater_features(compared.ratings, q),
            {
                "fleiss_kappa": fleiss,
                **(by_grade if len(used) > 1 else {}),
                "gwet_ac1": gwet_many,
                "gwet_ac2_quadratic": lambda sums: gwet_many(sums, "quadratic"),
            },
            raters,
        ),
        *_conger_rows(compared, q),
        *_icc_rows(compared, f"grades taken as numbers, {raters}, items read by all"),
    ]
    z = fleiss_z(compared.ratings, q)
    for row in rows:
        if row["statistic"] == "fleiss_kappa" and math.isfinite(z) and "estimate" in row:
            row["p_value"] = math.erfc(abs(z) / math.sqrt(2))
            row["method"] += "; p of no agreement at all, items as independent"
    whole = np.isfinite(compared.ratings).all(axis=1)
    complete = compared.ratings[whole]
    if len(complete) >= LEAST_CLUSTERS:
        w, _, p = kendall_w(complete)
        if math.isfinite(w):
            row = {"statistic": "kendall_w", "estimate": w, "p_value": p, "n": len(complete)}
            row["n_participants"] = len({compared.runners[i] for i in np.flatnonzero(whole)})
            rows.append(row | {"method": "ranks within reader, corrected for ties; chi-square p, items as independent"})
    return rows


def _conger_rows(compared: Compared, q: int) -> list[Row]:
    """Kappa with each reader's own use of the grades: needs items that all have read."""
    raters = compared.ratings.shape[1]
    complete = np.isfinite(compared.ratings).all(axis=1)
    runners = [runner for runner, use in zip(compared.runners, complete, strict=True) if use]
    kept = Compared(compared.ratings[complete], runners, compared.resampling)
    what = f"Conger 1980 (exact Fleiss), {raters} readers, items read by all"
    features = conger_features(kept.ratings, q)
    return _statistics(kept, features, {"conger_kappa": lambda sums: conger(sums, raters)}, what)


# --- measured values --------------------------------------------------------------------------------------------------


def value_rows(name: str, compared: Compared) -> list[Row]:
    """Intraclass correlations of two or more raters' values; of two also bias and limits, for volumes as ratios too."""
    rows = _icc_rows(compared, "")
    if compared.ratings.shape[1] > 2:
        return rows
    first, second = compared.ratings.T
    rows += _limit_rows("", first - second, compared)
    if name.endswith("_ml"):
        logs = np.log(np.maximum(compared.ratings, SMALLEST_ML))
        rows += _limit_rows("ratio_", logs[:, 0] - logs[:, 1], compared, np.exp)
    middle = compared.ratings.mean(axis=1) - compared.ratings.mean()
    features = np.column_stack([np.ones(len(middle)), middle, middle**2, first - second, middle * (first - second)])
    note = "away from 0: the difference changes with size; read the ratios"
    rows += _statistics(compared, features, {"difference_on_mean_slope": _slope}, note if name.endswith("_ml") else "")
    return rows


def _limit_rows(prefix: str, differences: np.ndarray, compared: Compared, back: Callable = lambda v: v) -> list[Row]:
    """Bias and limits of first minus second (as a ratio with `back` = exp)."""
    names = [f"{prefix}{name}" for name in ("bias", "lower_limit", "upper_limit")]
    if compared.n_runners < LEAST_CLUSTERS:
        return [_refused(name, compared) for name in names]
    what = "ratio of first to second" if prefix else "first minus second"
    if compared.n_runners == len(differences):
        found = limits_of_agreement(differences)
        estimates = (found.bias, found.low, found.high)
        intervals = (found.bias_interval, found.low_interval, found.high_interval)
        method = f"{what}; Bland and Altman 1986, {EXACT}"
    else:
        sums = cluster_sums(differences, compared.runners)
        sums = sums[content_order(sums)]
        estimates = [float(v) for v in limits_from_sums(sums.sum(axis=0))]
        intervals = [_ends(sums, lambda again, i=i: limits_from_sums(again)[i], compared)[0] for i in range(3)]
        method = f"{what}; Bland and Altman 1999, variance between and within runners joined; {_bootstrapped(compared)}"
    return [
        {"statistic": name, "estimate": float(back(estimate)), "method": method}
        | dict(zip(("ci_low", "ci_high"), (None if v is None else float(back(v)) for v in ends), strict=True))
        | _sizes(compared)
        for name, estimate, ends in zip(names, estimates, intervals, strict=True)
    ]


def _slope(sums: np.ndarray) -> np.ndarray:
    n, x, xx, y, xy = np.moveaxis(sums, -1, 0)
    spread = xx - x**2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 1e-12, (xy - x * y / n) / spread, np.nan)


# --- rows of coefficients ---------------------------------------------------------------------------------------------


def _icc_rows(compared: Compared, what: str) -> list[Row]:
    centred = compared.ratings - np.nanmean(compared.ratings)
    complete = np.isfinite(centred).all(axis=1)
    runners = [runner for runner, use in zip(compared.runners, complete, strict=True) if use]
    kept = Compared(centred[complete], runners, compared.resampling)
    forms = {"icc_a1": single_agreement, "icc_c1": single_consistency, "icc_11": single_oneway}
    statistics = {name: lambda sums, form=form: form(mean_squares_of_sums(sums)) for name, form in forms.items()}
    return _statistics(kept, icc_features(kept.ratings), statistics, what)


def _statistics(
    compared: Compared, features: np.ndarray, statistics: dict[str, Statistic], what: str = ""
) -> list[Row]:
    """A row for each function of the sums of `features` (items, f); refused with fewer than LEAST_CLUSTERS runners."""
    if compared.n_runners < LEAST_CLUSTERS:
        return [_refused(name, compared) for name in statistics]
    by_runner = sums_by_runner(features, compared.runners)
    rows = []
    for name, statistic in statistics.items():
        row: Row = {"statistic": name} | _sizes(compared)
        estimate = float(statistic(by_runner.sum(axis=0)))
        if not math.isfinite(estimate):
            rows.append(row | {"note": "refused: not defined, every rating is the same"})
            continue
        row["estimate"] = estimate
        (row["ci_low"], row["ci_high"]), row["note"] = _ends(by_runner, statistic, compared)
        row["method"] = "; ".join(part for part in (what, _bootstrapped(compared)) if part)
        rows.append(row)
    return rows


def _ends(
    sums: np.ndarray, statistic: Statistic, compared: Compared
) -> tuple[tuple[float | None, float | None], str | None]:
    """The interval, or why there is none."""
    try:
        return interval(sums, statistic, compared.resampling), None
    except Refusal as refusal:
        return (None, None), f"no interval: {refusal.reason}"


def _bootstrapped(compared: Compared) -> str:
    n, seed = compared.resampling.n, compared.resampling.seed
    return (
        f"BCa interval, expanded for few runners, from {n} resamples of {compared.n_runners} runners, seed {seed}"
        if n
        else ""
    )


def _refused(name: str, compared: Compared) -> Row:
    return {"statistic": name, "note": f"refused: {_too_few(compared)}"} | _sizes(compared)


def _too_few(compared: Compared) -> str:
    return f"{compared.n_runners} runners, fewer than {LEAST_CLUSTERS}"


def _sizes(compared: Compared) -> Row:
    return {"n": len(compared.runners), "n_participants": compared.n_runners}
