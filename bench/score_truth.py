"""Scores of simulated knees with their true labels against what was built into them.

    python bench/score_truth.py --knees 24 --contrast PDFS

What is wrong here is wrong in `kneeline.score` alone: the labels are true. Prints the confusion matrix of the signal
grade by region with quadratic-weighted kappa, volumes, and fluid.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from kneeline.grading import GRADES, MENISCI, REGIONS
from kneeline.score.run import Scores, score_knee
from kneeline.simulate.acquire import PROTOCOLS, Acquired, acquire
from kneeline.simulate.knee import Lesion, Truth, build_knee, sample_parameters


def simulated_knees(n: int, contrast: str, seed: int) -> Iterator[tuple[str, Acquired, Truth]]:
    """Side, images and truth of `n` knees: each region is grade 0 in half of them, else 1 to 3; fluid 1 to 45 mL."""
    k, made = 0, 0
    while made < n:
        rng = np.random.default_rng([seed, k])
        k += 1
        side = "LR"[made % 2]
        lesions = [
            Lesion(meniscus, region, int(grade))
            for meniscus in MENISCI
            for region in REGIONS
            if (grade := rng.choice(GRADES, p=[0.4, 0.2, 0.2, 0.2]))
        ]
        fluid_ml = float(np.exp(rng.uniform(np.log(1), np.log(45))))
        try:
            knee = build_knee(sample_parameters(rng, side), lesions, fluid_ml=fluid_ml, spacing_mm=0.7)
        except ValueError:  # this knee's meniscus is too thin for that lesion, or its joint for that much fluid
            continue
        made += 1
        yield side, acquire(knee, PROTOCOLS[contrast], seed=seed + k), knee.truth


def quadratic_kappa(table: np.ndarray) -> float:
    """Quadratic-weighted kappa of a square table of counts."""
    grade = np.arange(len(table))
    cost = (grade[:, None] - grade) ** 2
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(1 - (cost * table).sum() / (cost * expected).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=24)
    parser.add_argument("--contrast", choices=list(PROTOCOLS), default="PDFS")
    parser.add_argument("--seed", type=int, default=100)
    arguments = parser.parse_args()
    pairs, fluid, seconds = [], [], 0.0
    for side, acquired, truth in simulated_knees(arguments.knees, arguments.contrast, arguments.seed):
        start = time.process_time()
        scores = score_knee(acquired.image, acquired.labels, side)
        seconds += time.process_time() - start
        pairs += compare_grades(scores, truth)
        effusion = scores.effusion
        fluid.append((truth.fluid_ml, effusion["fluid_ml"], truth.suprapatellar_ml, effusion["suprapatellar_ml"]))
    print(f"{arguments.knees} knees, {arguments.contrast}, true labels, {seconds / arguments.knees:.2f} CPU s a knee\n")
    print_grades(pairs)
    print_fluid(np.array(fluid))


def compare_grades(scores: Scores, truth: Truth) -> list[tuple]:
    """(region, true grade, row) of each region."""
    return [(row["region"], truth.grade(row["meniscus"], row["region"]), row) for row in scores.meniscus]


def print_grades(pairs: list[tuple]) -> None:
    for name in ("all", *REGIONS):
        chosen = [(true, row["signal_grade"]) for region, true, row in pairs if name in ("all", region)]
        graded = [(t, g) for t, g in chosen if g is not None]
        table = np.zeros((4, 4), int)
        for true, grade in graded:
            table[true, grade] += 1
        exact, missing = np.trace(table) / max(table.sum(), 1), len(chosen) - len(graded)
        print(f"{name}: quadratic kappa {quadratic_kappa(table):.3f}, exact {exact:.3f}, missing {missing}")
        if name == "all":
            print("  true \\ found " + " ".join(f"{g:5d}" for g in GRADES))
            for true in GRADES:
                print(f"  {true:12d} " + " ".join(f"{n:5d}" for n in table[true]))


def print_fluid(fluid: np.ndarray) -> None:
    for name, true, found in (("fluid", *fluid[:, :2].T), ("suprapatellar", *fluid[:, 2:].T)):
        error = found - true
        print(
            f"{name} mL: bias {error.mean():+.2f}, SD {error.std(ddof=1):.2f}, "
            f"largest {np.abs(error).max():.2f}, r {np.corrcoef(true, found)[0, 1]:.4f}"
        )


if __name__ == "__main__":
    main()
