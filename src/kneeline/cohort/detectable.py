"""What these knees could have shown: the power of the crude strike contrast at this n, for stated odds ratios."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeline.cohort.joint import sparse_cells
from kneeline.cohort.settings import Settings
from kneeline.grading import STRIKE_GROUPS, strike_group
from kneeline.statistics.power import FORMULA, clustered_power, design_effect, ridit_icc
from kneeline.tables import Row

ODDS_RATIOS = (2, 3, 4)


def power_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES, one an odds ratio; by knee, with the grades and the likeness of two knees that were found."""
    known = [row for row in knees if row[outcome] is not None and strike_group(row["strike_style"])]
    runners = {row["participant_id"]: strike_group(row["strike_style"]) for row in known}
    sizes = {group: list(runners.values()).count(group) for group in STRIKE_GROUPS}
    grades, counts = np.unique([row[outcome] for row in known], return_counts=True)
    few = sparse_cells(sizes, settings.min_joint_cell)
    reason = f"sparse: {few}" if few else "one_level: every knee has the same grade" if len(grades) < 2 else None
    rows = []
    for ratio in ODDS_RATIOS:
        row: Row = {"model": "power_crude_strike", "outcome": outcome, "term": f"if the odds ratio were {ratio}"}
        row |= {"scale": "other", "n_participants": len(runners), "n_knees": len(known)}
        row["method"] = f"{FORMULA}, knees divided by 1 + (knees a runner - 1) x correlation of two knees"
        if reason:
            rows.append({**row, "status": "refused", "reason": reason})
            continue
        effect, words = _effect([row[outcome] for row in known], [row["participant_id"] for row in known])
        in_group = [sum(strike_group(row["strike_style"]) == group for row in known) for group in STRIKE_GROUPS]
        power = clustered_power(counts / counts.sum(), ratio, *in_group, effect)
        mix = ", ".join(f"grade {g}: {c}" for g, c in zip(grades, counts, strict=True))
        said = (
            f"probability of p < 0.05 with {sizes['rearfoot']} rearfoot and {sizes['non_rearfoot']} other runners and "
            f"this grade mix ({mix}); {words}"
        )
        rows.append({**row, "estimate": power, "status": "estimated", "warnings": said})
    return rows


def _effect(grades: Sequence[int], runners: Sequence[str]) -> tuple[float, str]:
    """Design effect of knees in runners, and how it came about."""
    count = np.unique(runners, return_counts=True)[1]
    icc = ridit_icc(grades, runners)
    if icc is None:
        return 1.0, "one knee a runner"
    effect = design_effect(float((count**2).sum() / count.sum()), icc)
    return (
        effect,
        f"two knees of a runner correlate by {icc:.2f}: {len(grades)} knees count as {len(grades) / effect:.1f}",
    )
