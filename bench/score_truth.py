"""Signal grades of simulated knees against what was built into them, with true labels or with the network's.

    python bench/score_truth.py --first 19998 --knees 18 --outlines truth network
    python bench/score_truth.py --first 19998 --knees 90 --contrasts PDFS-3 --outlines truth network

The knees are those of `kneeline.validate.plan`, by number: contrasts and slices take turns. What is wrong with true
labels is wrong in imaging and in `kneeline.score`; the difference to the network's is segmentation. Prints per kind of
outline the confusion matrix of the grade over all regions, then by region and by contrast, with quadratic-weighted
kappa, and how the fluid's volume came out. Ctrl-C ends it early.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np

from kneeline.errors import Refusal
from kneeline.grading import GRADES
from kneeline.score.run import Scores, score_knee
from kneeline.segment.predict import segment
from kneeline.simulate.run import SimulatedScan
from kneeline.validate.plan import Plan, plan, simulate

OUTLINES = ("truth", "network")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="number of the first knee of the plan")
    parser.add_argument("--knees", type=int, default=18)
    parser.add_argument("--contrasts", nargs="*", help="only these, such as PDFS-3 (mm)")
    parser.add_argument("--outlines", nargs="+", choices=OUTLINES, default=["truth"])
    arguments = parser.parse_args()
    grades, fluid, seconds, used = defaultdict(list), defaultdict(list), 0.0, []
    for number in range(arguments.first, arguments.first + arguments.knees):
        knee = plan(number)
        name = f"{knee.contrast}-{knee.slice_thickness_mm:g}"
        if arguments.contrasts and name not in arguments.contrasts:
            continue
        try:
            scan = simulate(knee)
            for outlines in arguments.outlines:
                labels = scan.labels if outlines == "truth" else segment(scan.image, knee.laterality).labels
                start = time.process_time()
                scores = score_knee(scan.image, labels, knee.laterality)
                seconds += time.process_time() - start
                grades[outlines] += compare_grades(scan, knee, f"{outlines}, {name}", scores)
                fluid[outlines].append((scan.knee.truth.fluid_ml, scores.effusion["fluid_ml"]))
        except (Refusal, ValueError) as error:
            print(f"knee {number} is left out: {error}")
        except KeyboardInterrupt:
            print(f"stopped before knee {number} was done; what follows is of the knees before it")
            break
        else:
            used.append(number)
    if not used:
        raise SystemExit("no knee was scored")
    each = seconds / len(grades) / len(used)
    print(f"{len(used)} knees, numbers {used[0]} to {used[-1]}, {each:.2f} CPU s to score one")
    for outlines in arguments.outlines:
        print(f"\n## outlines: {outlines}")
        print_grades(grades[outlines])
        error = np.diff(np.array(fluid[outlines]), axis=1).ravel()
        print(f"fluid mL: bias {error.mean():+.2f}, SD {error.std():.2f}, largest {np.abs(error).max():.2f}")


def compare_grades(scan: SimulatedScan, knee: Plan, contrast: str, scores: Scores) -> list[tuple]:
    """(contrast, region, true grade, found grade) of each region; wrong ones are printed."""
    rows = []
    for row in scores.meniscus:
        true, found = scan.knee.truth.grade(row["meniscus"], row["region"]), row["signal_grade"]
        rows.append((contrast, row["region"], true, found))
        if true != found:
            place = f"{knee.name}, {contrast.split(',')[0]}: {row['meniscus']} {row['region']}"
            print(f"{place} true {true} found {found}, flags {row['flags']}", flush=True)
    return rows


def quadratic_kappa(table: np.ndarray) -> float:
    """Quadratic-weighted kappa of a square table of counts; NaN where all are of one grade."""
    grade = np.arange(len(table))
    cost = (grade[:, None] - grade) ** 2
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    chance = (cost * expected).sum()
    return float(1 - (cost * table).sum() / chance) if chance else float("nan")


def print_grades(rows: list[tuple]) -> None:
    groups = {"all": rows}
    for column in (1, 0):
        for name in sorted({row[column] for row in rows}):
            groups[name] = [row for row in rows if row[column] == name]
    for name, chosen in groups.items():
        table = np.zeros((len(GRADES),) * 2, int)
        for *_, true, found in chosen:
            if found is not None:
                table[true, found] += 1
        missing, exact = len(chosen) - table.sum(), np.trace(table) / max(table.sum(), 1)
        print(f"{name}: {len(chosen)} regions, quadratic kappa {quadratic_kappa(table):.3f}, exact {exact:.3f}", end="")
        print(f", not graded {missing}" if missing else "")
        if name == "all":
            print("  true \\ found " + " ".join(f"{g:5d}" for g in GRADES))
            for true in GRADES:
                print(f"  {true:12d} " + " ".join(f"{n:5d}" for n in table[true]))


if __name__ == "__main__":
    main()
