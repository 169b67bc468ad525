"""E-values: how strongly an unmeasured confounder would have to go with both exposure and finding to explain it away.

VanderWeele and Ding 2017, Ann Intern Med 167:268. On the scale of risk ratios; an odds ratio of a common finding is
first turned into a risk ratio by its square root (VanderWeele 2017, Biometrics 73:1000).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kneeline.cohort.settings import Settings
from kneeline.tables import Row

# Share of knees with the finding above which an odds ratio is no risk ratio.
COMMON = 0.15


def e_value(risk_ratio: float) -> float:
    """
    >>> round(e_value(3.9), 2), round(e_value(1 / 3.9), 2), e_value(1.0)
    (7.26, 7.26, 1.0)
    """
    ratio = risk_ratio if risk_ratio >= 1 else 1 / risk_ratio
    return ratio + math.sqrt(ratio * (ratio - 1))


def e_value_of_interval(low: float, high: float) -> float:
    """E-value of the end of an interval that is nearer to 1; 1 when the interval holds 1.

    >>> round(e_value_of_interval(1.8, 8.7), 2), e_value_of_interval(0.8, 2.0)
    (3.0, 1.0)
    """
    if low <= 1 <= high:
        return 1.0
    return e_value(low if low > 1 else high)


def risk_ratio(odds_ratio: float, common: bool) -> float:
    """
    >>> risk_ratio(4.0, common=True), risk_ratio(4.0, common=False)
    (2.0, 4.0)
    """
    return math.sqrt(odds_ratio) if common else odds_ratio


def e_value_rows(rows: Sequence[Row], knees: Sequence[Row], settings: Settings) -> list[Row]:
    """Rows of ESTIMATES for the exposures of the adjusted cumulative logits among `rows`; a refused one stays so."""
    found = []
    for row in rows:
        if row["model"] != "cumulative_logit_adjusted" or row["term"] not in settings.exposure_terms:
            continue
        share = _share(knees, row["outcome"])
        out = {name: row.get(name) for name in ("outcome", "term", "n_participants", "n_knees", "status", "reason")}
        out |= {"model": "e_value_adjusted", "scale": "e_value"}
        if row["status"] == "estimated":
            common = share >= COMMON
            estimate, low, high = (risk_ratio(row[name], common) for name in ("estimate", "ci_low", "ci_high"))
            out |= {"estimate": e_value(estimate), "ci_low": e_value_of_interval(low, high)}
            taken = "common, so its root" if common else "rare, so itself"
            out["method"] = (
                "E-value (VanderWeele and Ding 2017) of the adjusted odds ratio, the lower end from the end of its "
                f"interval nearer to 1; risk ratio: {share:.0%} of knees have grade 1 or more, {taken}"
            )
            out["warnings"] = (
                "least risk ratio that an unmeasured confounder needs with both exposure and finding to explain the "
                "estimate away; 1 means that nothing is needed"
            )
        found.append(out)
    return found


def _share(knees: Sequence[Row], outcome: str) -> float:
    known = [knee[outcome] for knee in knees if knee[outcome] is not None]
    return sum(value >= 1 for value in known) / len(known)
