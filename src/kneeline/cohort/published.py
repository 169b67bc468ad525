"""What the published studies counted, re-created with intervals and tests, and what the popular article made of it.

The counts are those of the abstracts; full texts were not read. What the abstracts do not give (group sizes, individual
totals, effusion by group) is either assumed, and the assumption is a column, or said to be out of reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from kneeline.statistics.exact import (
    Effect,
    binomial_p,
    conditional_odds_ratio,
    fisher_p,
    midp_odds_ratio,
    rank_sum,
    risk_difference,
    sample_odds_ratio,
    sign_test_p,
    signed_rank,
)
from kneeline.statistics.firth import fit_firth
from kneeline.statistics.intervals import clopper_pearson, wilson
from kneeline.statistics.marginal import mcnemar
from kneeline.statistics.ordinal import fit_cumulative_logit
from kneeline.statistics.power import fisher_power
from kneeline.statistics.trend import trend_in_shares
from kneeline.tables import Row

EJR = "Schueller-Weidekamm 2006, Eur J Radiol 58:286"
ER = "Schueller-Weidekamm 2006, Eur Radiol"
RSNA = "Weidekamm 2004, RSNA SSQ21-03"
KURSUNOGLU = "Kursunoglu-Brahme 1990, AJR 154:1233"
SHELLOCK = "Shellock 1991, AJR 157:1239"


@dataclass(frozen=True)
class Claim:
    """One statement of the popular article beside what its sources hold; `verdict` is short enough for a table."""

    claim: str
    evidence: str
    verdict: str


CLAIMS = (
    Claim(
        "The study is by Weidekamm and colleagues.",
        "Both 2006 papers have Schueller-Weidekamm as first author; only the 2004 meeting abstract is under Weidekamm.",
        "cite as Schueller-Weidekamm",
    ),
    Claim(
        "Joggers who land on the heel and run more than 32 km a week had more lesions.",
        "Neither abstract has a strike variable. Exposure was one training level, high or low, built from distance, "
        "frequency, pace and experience. A cut at 20 miles (32.2 km) is known from Cheng 2000, on osteoarthritis; "
        "whether the article took it from there is a guess.",
        "not supported as stated",
    ),
    Claim(
        "Running brings subtle mucoid change inside the meniscus.",
        "Grade 1 menisci: 6 runners with high, 4 with low training level; Fisher p 0.69 if both groups had 13 runners.",
        "weak; compatible with chance",
    ),
    Claim(
        "Transient lesions appear in the meniscus right after running.",
        "One of 22 marathon runners rose by a grade (total score P > 0.05). Two older, tiny studies differ: "
        "signal rose in 5 of 10 volunteers (1990) and in none of 5 trained runners (1991).",
        "mixed; very small samples",
    ),
    Claim(
        "More kilometres go with more slight cartilage lesions.",
        "High against low training level: grade 1 in 3 and 1, grade 2 in 1 and 2, any grade in 4 and 3 runners.",
        "not supported once the grades are taken together",
    ),
    Claim(
        "More than half of the runners had a mild effusion.",
        "True in the marathon paper: 13 of 22 (59 %, Wilson 39 to 77 %), before the race and without a control group. "
        "The training-level abstract gives no effusion count; the 2004 abstract gives 18 of 20.",
        "true of another sample; depends on the threshold",
    ),
    Claim(
        "Landing on the forefoot prevents lesions and fluid.",
        "No data on it in these papers; no study was found that relates measured strike to meniscal lesions or fluid.",
        "not supported",
    ),
    Claim(
        "Landing on the heel raises the impact.",
        "Laboratory studies: forefoot strike lowers loading rate and patellofemoral stress, and raises work and axial "
        "force at the ankle. None has a lesion as its outcome.",
        "load is moved, not removed",
    ),
)

# Each count of a single sample: study, finding, runners with it, of how many, note.
_COUNTS = (
    (ER, "meniscus grade 1, before the marathon", 8, 22, None),
    (ER, "meniscus grade 2, before the marathon", 5, 22, None),
    (ER, "meniscus grade rose from 1 to 2 after the marathon", 1, 22, None),
    (ER, "meniscus grade 1, after the marathon", 7, 22, "8 before, of whom 1 rose"),
    (ER, "meniscus grade 2, after the marathon", 6, 22, "5 before and 1 risen"),
    (ER, "cartilage grade 1", 3, 22, "unchanged after the marathon"),
    (ER, "cartilage grade 2", 1, 22, "unchanged after the marathon"),
    (ER, "bone marrow oedema", 3, 22, "unchanged after the marathon"),
    (ER, "anterior cruciate ligament grade 1", 2, 22, "unchanged after the marathon"),
    (ER, "effusion, before the marathon", 13, 22, "the count behind 'more than half'; no control group"),
    (ER, "effusion, after the marathon", 14, 22, "13 before and 1 new"),
    (ER, "effusion slightly increased", 4, 22, None),
    (ER, "effusion new after the marathon", 1, 22, None),
    (ER, "total score increased", 2, 22, "published as not significant, P > 0.05"),
    (ER, "total score improved", 0, 22, None),
    (RSNA, "effusion, before the run", 18, 20, "graded on a 3-point scale by the same group"),
    (RSNA, "meniscal lesion, before the run", 0, 20, "the 2006 paper of the same group counts 8 + 5 of 22"),
    (RSNA, "cartilage defect", 0, 20, None),
    (RSNA, "punctate ligament change after the run", 1, 20, None),
    (KURSUNOGLU, "effusion appeared after 30 minutes of jogging", 5, 10, "context: another group"),
    (KURSUNOGLU, "meniscal signal rose after 30 minutes of jogging", 5, 10, "context: another group"),
    (SHELLOCK, "meniscal horns with any signal (grade 1 to 3)", 43, 92,
     "context: horns of 23 marathon runners, so not independent; the interval is too narrow"),
    (SHELLOCK, "meniscal horns of grade 0", 49, 92, "context: horns, not independent"),
    (SHELLOCK, "meniscal horns of grade 1", 29, 92, "context: horns, not independent"),
    (SHELLOCK, "meniscal horns of grade 2", 12, 92, "context: horns, not independent"),
    (SHELLOCK, "meniscal horns of grade 3", 2, 92, "context: horns, not independent"),
)  # fmt: skip

# Runners with the finding at high and at low training level (EJR abstract).
_BY_TRAINING = (
    ("meniscus grade 1", 6, 4),
    ("cartilage grade 1", 3, 1),
    ("cartilage grade 2", 1, 2),
    ("cartilage, any grade", 4, 3),
    ("anterior cruciate ligament grade 1", 3, 2),
)
_EQUAL, _OTHER = (13, 13), (16, 10)
# Group sizes are not in the abstract: every split of the 26 with so many in either group is looked at.
_RUNNERS, _LEAST_IN_GROUP = 26, 8

_OUT_OF_REACH = (
    (EJR, "total lesion score, high against low", "published p < 0.05; the runners' totals and the test are not in the "
     "abstract, so it can be neither checked nor re-created"),
    (EJR, "effusion by training level", "no count in the abstract"),
    (EJR, "foot strike", "not a variable of the study"),
)  # fmt: skip


def published() -> list[Row]:
    """Rows of PUBLISHED."""
    return [dict(row) for row in _published()]


@cache
def _published() -> tuple[Row, ...]:
    """Nothing of a cohort is in them, so that a process computes them once."""
    rows: list[Row] = []
    for study, finding, count, n, note in _COUNTS:
        rows += _proportions(study, finding, "all", count, n, None, note)
    rows.append(
        _row(ER, "effusion, before the marathon", "all", 13, 22, "exact binomial p against one half")
        | {"p_value": binomial_p(13, 22)}
    )
    rows += _changes()
    for finding, high, low in _BY_TRAINING:
        assumed = "each count is a number of runners"
        if finding == "cartilage, any grade":
            assumed += ", and no runner was counted for both grades"
        rows += _proportions(EJR, finding, "all", high + low, 26, assumed, None)
        rows += _by_training(finding, high, low, _EQUAL)
        rows += [_over_sizes(finding, high, low), _power(finding, high, low)]
    rows += _by_training("meniscus grade 1", 6, 4, _OTHER, note="other sizes, same counts: the direction turns round")
    rows += _cartilage_as_grades()
    rows += _same_group_two_counts()
    rows += [_row(study, finding, "all", None, None, "not possible", note=why) for study, finding, why in _OUT_OF_REACH]
    return tuple(rows)


def _row(study, finding, group, count, n, quantity, *, assumption=None, note=None) -> Row:
    row: Row = {"study": study, "finding": finding, "group": group, "count": count, "n": n, "quantity": quantity}
    return row | {"assumption": assumption, "note": note}


def _proportions(study, finding, group, count, n, assumption, note) -> list[Row]:
    rows = []
    for quantity, interval in (("proportion, Wilson", wilson), ("proportion, Clopper-Pearson", clopper_pearson)):
        low, high = interval(count, n)
        row = _row(study, finding, group, count, n, quantity, assumption=assumption, note=note)
        rows.append(row | {"estimate": count / n, "ci_low": low, "ci_high": high})
    return rows


def _by_training(finding: str, high: int, low: int, sizes: tuple[int, int], note: str | None = None) -> list[Row]:
    """All that a 2x2 table of high against low training level can say at the assumed group sizes."""
    assumption = f"{sizes[0]} runners with high and {sizes[1]} with low training level"
    table = [[high, sizes[0] - high], [low, sizes[1] - low]]
    rows = []
    for group, count, n in (("high", high, sizes[0]), ("low", low, sizes[1])):
        rows += _proportions(EJR, finding, group, count, n, assumption, note)
    measures: tuple[tuple[str, Callable[..., Effect]], ...] = (
        ("odds ratio, sample (Wald)", sample_odds_ratio),
        ("odds ratio, conditional maximum likelihood (exact, Fisher)", conditional_odds_ratio),
        ("odds ratio, mid-p", midp_odds_ratio),
        ("odds ratio, Firth (profile)", _firth_odds_ratio),
        ("risk difference (Newcombe)", risk_difference),
    )
    for quantity, measure in measures:
        effect = measure(table)
        row = _row(EJR, finding, "high against low", high + low, sum(sizes), quantity, assumption=assumption, note=note)
        rows.append(row | _effect(effect))
    return rows


def _over_sizes(finding: str, high: int, low: int) -> Row:
    """The smallest p that any split of the runners gives, and how far the odds ratio moves."""
    splits = {
        size: [[high, size - high], [low, _RUNNERS - size - low]]
        for size in range(_LEAST_IN_GROUP, _RUNNERS - _LEAST_IN_GROUP + 1)
    }
    p_value, size = min((fisher_p(table), size) for size, table in splits.items())
    ratios = [sample_odds_ratio(table).estimate for table in splits.values()]
    row = _row(
        EJR, finding, "high against low", high + low, _RUNNERS, "smallest Fisher's p over all group sizes",
        assumption=f"at least {_LEAST_IN_GROUP} of the {_RUNNERS} runners in either group",
        note=f"at {size} with high and {_RUNNERS - size} with low level; the sample odds ratio over the sizes runs "
        f"from {min(ratios):.2f} to {max(ratios):.2f}",
    )  # fmt: skip
    return row | {"estimate": sample_odds_ratio(splits[size]).estimate, "p_value": p_value}


def _power(finding: str, high: int, low: int) -> Row:
    n1, n2 = _EQUAL
    row = _row(
        EJR, finding, "high against low", high + low, n1 + n2, "power of Fisher's test",
        assumption=f"the shares found, {high} of {n1} and {low} of {n2}, are the truth",
        note="probability that such a study shows p < 0.05; without it a difference and none look alike",
    )  # fmt: skip
    return row | {"estimate": fisher_power(high / n1, low / n2, n1, n2)}


def _firth_odds_ratio(table) -> Effect:
    (a, b), (c, d) = table
    fit = fit_firth([1] * a + [0] * b + [1] * c + [0] * d, np.repeat([1, 0], [a + b, c + d]), ["exposed"])
    low, high = fit.profile_interval("exposed")
    return Effect(math.exp(fit.params[1]), math.exp(low), math.exp(high), fit.likelihood_ratio(["exposed"])[1])


def _effect(effect: Effect) -> Row:
    finite = {k: None if v is None or not math.isfinite(v) else v for k, v in vars(effect).items()}
    return {
        "estimate": finite["estimate"],
        "ci_low": finite["low"],
        "ci_high": finite["high"],
        "p_value": finite["p_value"],
    }


def _changes() -> list[Row]:
    """Changes over the marathon in 22 runners: effusion 5 up, total score 2 up, meniscus 1 up; none went down."""
    rows = []
    for finding, up in (("effusion, change", 5), ("meniscus grade, change", 1)):
        row = _row(
            ER, finding, "all", up, 22, "sign test (exact McNemar)", note=f"{up} up, 0 down, {22 - up} unchanged"
        )
        rows.append(row | {"p_value": sign_test_p(up, 0)})
    corrected = mcnemar(5, 0, corrected=True)
    row = _row(ER, "effusion, change", "all", 5, 22, "McNemar chi-square, continuity-corrected",
               note="5 up, 0 down, 17 unchanged; five pairs are too few for it, read the exact p")  # fmt: skip
    rows.append(row | {"estimate": corrected.chi2, "p_value": corrected.p_value})
    total = signed_rank([1, 1] + [0] * 20)
    assumption = "the two increases are of equal size"
    for quantity, estimate, p_value in (
        ("Wilcoxon signed-rank V, exact p", total.v, total.exact_p),
        ("Wilcoxon signed-rank z, corrected for ties", total.z, total.asymptotic_p),
        ("Wilcoxon signed-rank z, not corrected for ties", total.z_without_ties, total.asymptotic_p_without_ties),
    ):
        note = "agrees with the published P > 0.05"
        row = _row(ER, "total score, change", "all", 2, 22, quantity, assumption=assumption, note=note)
        rows.append(row | {"estimate": estimate, "p_value": p_value})
    return rows


def _cartilage_as_grades() -> list[Row]:
    """Cartilage 0, 1, 2 as one ordered outcome, 13 runners a group."""
    low, high = [0] * 10 + [1] + [2] * 2, [0] * 9 + [1] * 3 + [2]
    fit = fit_cumulative_logit(low + high, np.repeat([0, 1], 13), ["high"])
    ends = np.exp(fit.profile_interval("high"))
    wald = float(fit.params[-1] / fit.standard_errors[-1])
    ranks = rank_sum(low, high)
    trend = trend_in_shares([9, 3, 1], [19, 4, 3])
    found = (
        (
            "odds ratio, cumulative logit (profile; Wald p)",
            math.exp(fit.params[-1]),
            *ends,
            math.erfc(abs(wald) / 2**0.5),
        ),
        ("Wilcoxon rank-sum W, asymptotic p", ranks.w, None, None, ranks.asymptotic_p),
        ("Wilcoxon rank-sum W, exact p", ranks.w, None, None, ranks.exact_p),
        ("Fisher's exact p of the 2 x 3 table", None, None, None, fisher_p([[10, 1, 2], [9, 3, 1]])),
        (
            "trend of training level over the grades, chi-square (Cochran-Armitage)",
            trend.chi2,
            None,
            None,
            trend.p_value,
        ),
    )
    rows = []
    for quantity, estimate, ci_low, ci_high, p_value in found:
        row = _row(EJR, "cartilage as grades 0, 1, 2", "high against low", 7, 26, quantity,
                   assumption="13 runners with high and 13 with low training level")  # fmt: skip
        rows.append(row | {"estimate": estimate, "ci_low": ci_low, "ci_high": ci_high, "p_value": p_value})
    return rows


def _same_group_two_counts() -> list[Row]:
    effect = conditional_odds_ratio([[18, 2], [13, 9]])
    row = _row(
        RSNA, "effusion before the run, 2004 (18 of 20) against 2006 (13 of 22)", "all", 31, 42,
        "odds ratio, conditional maximum likelihood (exact, Fisher)",
        assumption="the two samples share no runners, which is not known",
        note="same group, two thresholds or two samples: 'mild effusion' depends on who calls it",
    )  # fmt: skip
    return [row | _effect(effect)]
