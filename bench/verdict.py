"""What the verdict catches: simulated knees, whole and damaged, outlined, scored and judged.

    python bench/verdict.py [--fit | --check] [--knees 14] [--jobs 1]

The knees are of seeds from 8400 on (`--fit`, on which bounds are chosen) or from 8600 on (`--check`, the default, on
which they are not), in all contrasts, thin and thick slices, as calibration draws them. Each is judged as it is and
damaged: smoothed in plane by a Gaussian, moved during the scan (lines of k-space from another position), drowned in
noise. An outline is poor if a structure's Dice against the truth is below what `POOR` says; a knee can be read if its
regions' grades are mostly those of the undamaged scan.

1. By damage: verdicts, Dice, share of regions graded as in truth.
2. By structure: how well its confidence tells poor outlines, and the bound that `--fit` would choose.
3. Verdict against poor outlines: what is caught, what is called for nothing.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kneeline import grading, markdown
from kneeline.labels import Label
from kneeline.segment import verdict
from kneeline.segment.training.calibrate import scan_of
from kneeline.simulate.damage import blur, drown, move
from kneeline.volume import SAGITTAL, reorient

FIT_SEED, CHECK_SEED = 8400, 8600
# Dice below which an outline is poor: bones far below the worst of validation, the rest below the level at which what
# is measured in them is no longer the knee's.
POOR = {
    Label.FEMUR: 0.95,
    Label.TIBIA: 0.95,
    Label.FEMORAL_CARTILAGE: 0.75,
    Label.MEDIAL_TIBIAL_CARTILAGE: 0.70,
    Label.LATERAL_TIBIAL_CARTILAGE: 0.70,
    Label.PATELLAR_CARTILAGE: 0.70,
    Label.MEDIAL_MENISCUS: 0.70,
    Label.LATERAL_MENISCUS: 0.70,
    Label.JOINT_FLUID: 0.60,
}
FLUID_ML = 5.0  # less fluid is films: no outline of them is asked for


DAMAGES = {
    "none": lambda image: image,
    "blur, SD 0.8 mm": lambda image: blur(image, 0.8),
    "blur, SD 1.6 mm": lambda image: blur(image, 1.6),
    "blur, SD 2.5 mm": lambda image: blur(image, 2.5),
    "moved by up to 2 mm": lambda image: move(image, 2.0),
    "moved by up to 6 mm": lambda image: move(image, 6.0),
    "noise, 0.15 of bright tissue": lambda image: drown(image, 0.15),
    "noise, 0.4 of bright tissue": lambda image: drown(image, 0.4),
}


@dataclass(frozen=True)
class Case:
    seed: int
    contrast: str
    damage: str
    verdict: str
    reason: str | None
    edge_mm: float | None
    dice: dict[Label, float]
    confidence: dict[Label, float]
    graded: list[tuple[int, int | None]]  # true and machine's signal grade of each region


def judge(job: tuple[int, int]) -> list[Case]:
    """All damages of one knee."""
    from kneeline.errors import Refusal
    from kneeline.score.run import score_knee
    from kneeline.segment.predict import segment
    from kneeline.validate.masks import dice

    first, number = job
    scan = scan_of(first + number, number)
    truth = reorient(scan.labels, SAGITTAL).array
    side = scan.knee.parameters.laterality
    fluid_ml = np.count_nonzero(truth == Label.JOINT_FLUID) * scan.labels.voxel_mm3 / 1000
    cases = []
    for name, damage in DAMAGES.items():
        known = first + number, scan.acquisition.sequence.name, name
        image = reorient(damage(scan.image), SAGITTAL)
        try:
            found = segment(image, side)
        except Refusal as refusal:
            cases.append(Case(*known, "refused", refusal.code, None, {}, {}, []))
            continue
        labels = reorient(found.labels, SAGITTAL).array
        dices = {
            label: dice(labels == label, truth == label)
            for label in POOR
            if label != Label.JOINT_FLUID or fluid_ml > FLUID_ML
        }
        scores = score_knee(image, found.labels, side)
        graded = [
            (scan.knee.truth.grade(row["meniscus"], row["region"]), row["signal_grade"])
            for row in scores.meniscus
            if row["region"] in grading.REGIONS
        ]
        confidence = {label: found.confidence.get(label, 0.0) for label in POOR}
        cases.append(Case(*known, found.verdict, found.reason, found.edge_width_mm, dices, confidence, graded))
    return cases


def poor(case: Case) -> list[Label]:
    return [label for label, value in case.dice.items() if value < POOR[label]]


def right_share(cases: list[Case]) -> float:
    pairs = [pair for case in cases for pair in case.graded]
    return float(np.mean([true == machine for true, machine in pairs])) if pairs else np.nan


def by_damage(cases: list[Case]) -> str:
    rows = []
    for damage in DAMAGES:
        own = [case for case in cases if case.damage == damage]
        count = {word: sum(case.verdict == word for case in own) for word in ("ok", "review", "unusable", "refused")}
        widths = [case.edge_mm for case in own if case.edge_mm is not None]
        menisci = [case.dice[label] for case in own if case.dice for label in case.dice if "MENISCUS" in label.name]
        rows.append([
            damage, str(len(own)), *(str(n) for n in count.values()),
            f"{np.median(widths):.1f} ({min(widths):.1f} to {max(widths):.1f})" if widths else "n/a",
            f"{np.mean(menisci):.2f}", str(sum(bool(poor(case)) for case in own)), f"{right_share(own):.2f}",
        ])  # fmt: skip
    header = [
        "damage", "scans", "ok", "review", "unusable", "refused", "edges (mm)", "menisci, mean Dice", "poor outlines",
        "regions graded as in truth",
    ]  # fmt: skip
    return markdown.table(header, rows)


def bound(confidence: np.ndarray, is_poor: np.ndarray) -> float:
    """Where poor outlines are told from others best (sensitivity plus specificity), midway to the next value."""
    values = np.unique(confidence)
    cuts = np.concatenate([[values[0] - 0.01], (values[1:] + values[:-1]) / 2, [values[-1] + 0.01]])
    score = [np.mean(confidence[is_poor] < c) + np.mean(confidence[~is_poor] >= c) for c in cuts]
    return float(cuts[int(np.argmax(score))])


def by_structure(cases: list[Case]) -> str:
    rows = []
    for label in POOR:
        own = [case for case in cases if label in case.dice]
        dice = np.array([case.dice[label] for case in own])
        confidence = np.array([case.confidence[label] for case in own])
        bad = dice < POOR[label]
        shipped = verdict.LEAST_CONFIDENCE.get(label)
        below = confidence < (shipped or 0)
        rows.append([
            label.words, f"{POOR[label]:.2f}", f"{bad.sum()} of {bad.size}",
            f"{stats.spearmanr(confidence, dice).statistic:.2f}",
            f"{bound(confidence, bad):.2f}" if 0 < bad.sum() < bad.size else "n/a",
            "none" if shipped is None else f"{shipped:.2f}",
            f"{below[bad].sum()} of {bad.sum()}", f"{below[~bad].sum()} of {(~bad).sum()}",
        ])  # fmt: skip
    header = [
        "structure", "poor below Dice", "poor", "rank correlation", "best bound here", "shipped bound",
        "poor ones below it", "others below it",
    ]  # fmt: skip
    return markdown.table(header, rows)


def whole(cases: list[Case]) -> str:
    rows = []
    for word in ("ok", "review", "unusable", "refused"):
        own = [case for case in cases if case.verdict == word]
        bad = [case for case in own if word == "refused" or poor(case)]
        rows.append([word, str(len(own)), str(len(bad)), f"{right_share(own):.2f}" if own else "n/a"])
    return markdown.table(["verdict", "scans", "of these with a poor outline", "regions graded as in truth"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fit", action="store_true", help="the knees on which bounds are chosen")
    which.add_argument("--check", action="store_true", help="other knees (the default)")
    parser.add_argument("--knees", type=int, default=14)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--details", action="store_true", help="each scan's verdict and reason")
    arguments = parser.parse_args()
    first = FIT_SEED if arguments.fit else CHECK_SEED
    with ProcessPoolExecutor(arguments.jobs) as pool:
        parts = list(pool.map(judge, [(first, k) for k in range(arguments.knees)]))
    cases = [case for part in parts for case in part]
    print(f"{arguments.knees} knees, seeds {first} to {first + arguments.knees - 1}\n")
    for text in (by_damage(cases), by_structure(cases), whole(cases)):
        print(text + "\n")
    if arguments.details:
        for case in cases:
            words = ", ".join(f"{label.words} {case.dice[label]:.2f}" for label in poor(case))
            print(
                f"{case.seed} {case.contrast}, {case.damage}: {case.verdict} ({case.reason}); poor: {words or 'none'}"
            )


if __name__ == "__main__":
    main()
