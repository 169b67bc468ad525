"""How often the 95 % intervals of agreement hold the true coefficient; writes a Markdown table.

Two raters see a latent finding of each knee with errors of their own; two knees of a runner are alike. The true
coefficient is that of a million such knees. `python bench/agreement_coverage.py [STUDIES]` (300: a minute).
"""

from __future__ import annotations

import sys

import numpy as np

from kneeline.cohort.agreement import Compared, pair_rows
from kneeline.markdown import table
from kneeline.statistics.resampled import Resampling

NAMES = ("weighted_kappa_quadratic", "gwet_ac2_quadratic", "krippendorff_alpha_ordinal", "icc_a1")
CUTS = np.array([0.0, 0.9, 1.7])


def draw(runners: int, rng: np.random.Generator) -> np.ndarray:
    """Grades (knees, 2 raters) of two knees a runner."""
    latent = np.repeat(rng.normal(0, 0.7, runners), 2) + rng.normal(0, 0.7, 2 * runners)
    seen = latent[:, None] + rng.normal(0, 0.5, (2 * runners, 2))
    return (seen[:, :, None] > CUTS).sum(axis=2).astype(float)


def found(runners: int, rng: np.random.Generator, resamples: int) -> dict[str, dict]:
    ids = [f"{i:07d}" for i in np.repeat(np.arange(runners), 2)]
    rows = pair_rows(("effusion", None), Compared(draw(runners, rng), ids, Resampling(resamples)))
    return {row["statistic"]: row for row in rows}


def main(studies: int) -> None:
    truth = found(500_000, np.random.default_rng(0), 0)
    lines = []
    for runners in (15, 30, 100):
        rng = np.random.default_rng(runners)
        held = {name: [] for name in NAMES}
        for _ in range(studies):
            rows = found(runners, rng, 1000)
            for name in NAMES:
                low, high = rows[name].get("ci_low"), rows[name].get("ci_high")
                held[name].append(None if low is None else low <= truth[name]["estimate"] <= high)
        for name, hits in held.items():
            known = [hit for hit in hits if hit is not None]
            lines.append(
                [str(runners), name, f"{truth[name]['estimate']:.3f}", f"{100 * np.mean(known):.1f} %",
                 str(len(hits) - len(known))]
            )  # fmt: skip
    print(table(["runners", "coefficient", "true", "interval holds it", "no interval"], lines))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
