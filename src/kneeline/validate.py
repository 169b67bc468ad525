"""Accuracy on simulated knees that the network never saw: every stage against truth by construction.

Training uses the parametric knees of seeds below `FIRST_SEED`; the knees here are of seeds from it on. The anatomy is
of the same parametric family that the network learned from, so these figures say how well the machine does on its own
kind of knee; real knees differ (docs/model-card.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kneeline import grading
from kneeline.agreement import kappa
from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.score.run import score_knee
from kneeline.segment.predict import segment
from kneeline.simulate.knee import Lesion
from kneeline.simulate.run import SimulatedScan, simulate_knee, truth_row

FIRST_SEED = 9000
PLANS = (("PDFS", 3.0), ("PD", 3.0), ("T2FS", 3.0), ("PDFS", 2.0), ("T1", 3.0), ("PDFS", 4.0), ("DESS", 0.7))
STRUCTURES = tuple(label for label in Label if label)


@dataclass(frozen=True)
class Case:
    """What was built and what came out. `dice` holds only structures that the truth has."""

    seed: int
    contrast: str
    slice_thickness_mm: float
    dice: dict[Label, float]
    fluid_ml: tuple[float, float | None]  # true, predicted
    grades: list[tuple[int, int | None]]  # per region: true, predicted from image to grade
    grades_on_true_labels: list[tuple[int, int | None]]
    refused: str | None = None


def validate(knees: int) -> str:
    """Simulate, segment and score `knees` knees; a Markdown page of what came out, failures and all."""
    return page([measure(number) for number in range(knees)])


def measure(number: int) -> Case:
    """One knee: contrast, thickness, lesions and fluid follow from its number."""
    contrast, thickness = PLANS[number % len(PLANS)]
    seed = FIRST_SEED + number
    rng = np.random.default_rng((seed, 1))
    lesions = [
        Lesion(meniscus, region, int(grade))
        for meniscus in grading.MENISCI
        for region in grading.REGIONS
        if (grade := rng.choice(4, p=(0.55, 0.15, 0.15, 0.15)))
    ]
    scan = simulate_knee(
        seed,
        contrast,
        laterality="LR"[number % 2],
        lesions=lesions,
        fluid_ml=float(np.exp(rng.uniform(np.log(1.0), np.log(40.0)))),
        slice_thickness_mm=thickness,
    )
    return compare(scan, seed)


def compare(scan: SimulatedScan, seed: int) -> Case:
    """Segment and score one simulated scan and set the answers beside its truth."""
    side = scan.knee.parameters.laterality
    keys = {"scan_id": None, "participant_id": None, "session_id": None, "laterality": side}
    truth = truth_row(scan, keys)
    with_true_labels = score_knee(scan.image, scan.labels, side)
    shared = {
        "seed": seed,
        "contrast": truth["contrast"],
        "slice_thickness_mm": truth["slice_thickness_mm"],
        "grades_on_true_labels": _grade_pairs(truth, with_true_labels.meniscus),
    }
    try:
        labels = segment(scan.image, side).labels
    except Refusal as refusal:
        return Case(**shared, dice={}, fluid_ml=(truth["fluid_ml"], None), grades=[], refused=refusal.code)
    scores = score_knee(scan.image, labels, side)
    return Case(
        **shared,
        dice={s: dice(scan.labels.array == s, labels.array == s) for s in STRUCTURES if (scan.labels.array == s).any()},
        fluid_ml=(truth["fluid_ml"], scores.effusion["fluid_ml"]),
        grades=_grade_pairs(truth, scores.meniscus),
    )


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Overlap of two masks, 2 |A and B| / (|A| + |B|); 1 when both are empty.

    >>> cube = np.zeros((12, 12, 12), bool); cube[:10, :10, :10] = True
    >>> round(dice(cube, np.roll(cube, 1, 0)), 6)
    0.9
    """
    total = int(one.sum()) + int(two.sum())
    return 2 * int((one & two).sum()) / total if total else 1.0


def _grade_pairs(truth, rows) -> list[tuple[int, int | None]]:
    return [(truth[f"{row['meniscus']}_{row['region']}_signal_grade"], row["signal_grade"]) for row in rows]


# --- the page ---------------------------------------------------------------------------------------------------------


def page(cases: list[Case]) -> str:
    """Markdown of all cases."""
    done = [case for case in cases if case.refused is None]
    kinds = sorted({(c.contrast, c.slice_thickness_mm) for c in cases})
    groups = [("all", done)] + [
        (
            f"{contrast}, {thickness:g} mm",
            [c for c in done if (c.contrast, c.slice_thickness_mm) == (contrast, thickness)],
        )
        for contrast, thickness in kinds
    ]
    parts = [
        "# Accuracy on simulated knees\n\n"
        f"Made by `kneeline validate --knees {len(cases)} -o docs/validation.md`. {len(cases)} parametric knees of "
        "seeds that training never used, with planted intrameniscal signal and fluid; contrast and slice thickness as "
        "named. The knees are of the family that the network was trained on: expect less on real ones. `n/a` means "
        "nothing to measure.",
        "## Dice per structure: mean (lowest)\n\n" + _dice_table(groups),
        "## Fluid volume\n\n" + _fluid_table(groups),
        "## Signal grade per meniscal region, from image to grade\n\n"
        + _grade_table([pair for case in done for pair in case.grades]),
        "## Signal grade per meniscal region, scored on the true labels\n\n"
        "What is lost here is lost by scoring and imaging, not by segmentation.\n\n"
        + _grade_table([pair for case in cases for pair in case.grades_on_true_labels]),
        "## Refused\n\n"
        + ("\n".join(f"- seed {c.seed}, {c.contrast}: {c.refused}" for c in cases if c.refused) or "None."),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _dice_table(groups) -> str:
    def cell(cases, structure):
        values = [case.dice[structure] for case in cases if structure in case.dice]
        return f"{np.mean(values):.3f} ({min(values):.3f})" if values else "n/a"

    rows = [[s.label_name.replace("_", " "), *(cell(cases, s) for _, cases in groups)] for s in STRUCTURES]
    return _markdown(["structure", *(f"{name} (n={len(cases)})" for name, cases in groups)], rows)


def _fluid_table(groups) -> str:
    rows = []
    for name, cases in groups:
        pairs = np.array([c.fluid_ml for c in cases if c.fluid_ml[1] is not None], float).reshape(-1, 2)
        difference = pairs[:, 1] - pairs[:, 0]
        if len(pairs):
            spread = 1.96 * difference.std(ddof=1) if len(pairs) > 1 else np.nan
            limits = (
                f"{difference.mean() - spread:.1f} to {difference.mean() + spread:.1f}" if len(pairs) > 1 else "n/a"
            )
            cells = [
                f"{pairs[:, 0].mean():.1f}",
                f"{difference.mean():+.1f}",
                limits,
                f"{np.abs(difference).mean():.1f}",
            ]
        else:
            cells = ["n/a"] * 4
        rows.append([name, str(len(pairs)), *cells])
    return _markdown(
        ["", "knees", "mean truth (mL)", "bias (mL)", "limits of agreement (mL)", "mean absolute error (mL)"], rows
    )


def _grade_table(pairs: list[tuple[int, int | None]]) -> str:
    counts = np.zeros((4, 4), int)
    for true, predicted in pairs:
        if predicted is not None:
            counts[true, predicted] += 1
    missing = sum(predicted is None for _, predicted in pairs)
    rows = [[f"true {g}", *map(str, counts[g])] for g in grading.GRADES]
    agreement = kappa(counts, "quadratic") if counts.sum() else None
    kappa_text = f"{agreement.estimate:.2f}" if agreement else "n/a"
    exact = counts.trace() / counts.sum() if counts.sum() else float("nan")
    return (
        _markdown(["", *(f"graded {g}" for g in grading.GRADES)], rows)
        + f"\n\nExact agreement {exact:.2f}, quadratic weighted kappa {kappa_text}, "
        f"{counts.sum()} regions, {missing} not graded."
    )
