"""What this many runners could have shown: the power of the crude strike contrast at this n, for stated odds ratios."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kneeline.cohort.design import by_runner
from kneeline.cohort.joint import sparse_cells
from kneeline.cohort.power import FORMULA, ordinal_power
from kneeline.cohort.settings import Settings
from kneeline.grading import strike_group
from kneeline.tables import Row

ODDS_RATIOS = (2, 3, 4)


def power_rows(knees: Sequence[Row], outcome: str, settings: Settings) -> list[Row]:
    """Rows of ESTIMATES, one an odds ratio; by runner, with the grades that were found."""
    runners = [row for row in by_runner(knees, outcome) if strike_group(row["strike_style"])]
    groups = [strike_group(row["strike_style"]) for row in runners]
    n1, n2 = groups.count("rearfoot"), groups.count("non_rearfoot")
    grades, counts = np.unique([row[outcome] for row in runners], return_counts=True)
    rows = []
    for ratio in ODDS_RATIOS:
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
            rows.append({**row, "estimate": power, "status": "estimated", "warnings": said})
    return rows
