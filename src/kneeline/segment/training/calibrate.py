"""Fit the table of calibration that goes with the shipped network (torch is not needed).

    python -m kneeline.segment.training.calibrate [--check]

Simulated knees of seeds from 8000 on, which neither training nor validation uses, in the simulator's contrasts,
thin and thick, sharp and noisy, are segmented as any image is. For each class the voxels that were given it are
counted by the network's probability and by whether they were right; two parameters turn the one into the other. Each
scan weighs the same. `--check` says how well the shipped table holds on other knees (seeds from 8200 on) and changes
nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kneeline import grading, markdown
from kneeline.segment import calibration, cleanup, engine
from kneeline.segment.classes import CLASS_BY_LABEL, Class
from kneeline.segment.preprocess import fine_classes, prepare
from kneeline.simulate.acquire import PROTOCOLS
from kneeline.simulate.knee import Lesion
from kneeline.simulate.run import SimulatedScan, simulate_knee
from kneeline.steps import network_digest
from kneeline.tables import write_text
from kneeline.volume import SAGITTAL, reorient

FIT_SEED, FIT_SCANS = 8000, 14
CHECK_SEED, CHECK_SCANS = 8200, 7
_CONTRASTS = ("PDFS", "PD", "T2FS", "DESS", "T2", "T1", "PDFS")
_SIMULATED_MM = 0.9  # fine grid of the knees
_BINS = 400  # of log-odds
_SPAN = 8.0  # log-odds of the calibration's least probability, rounded up
_PRIOR = 2e-4  # weight of "leave it as it is", in scans: what decides for a class that is hardly ever found


def scan_of(seed: int, number: int) -> SimulatedScan:
    """A scan whose contrast, thickness, noise, blur, ghosts, lesions, fluid and rare shapes follow from its number."""
    rng = np.random.default_rng((seed, 2))
    protocol = _CONTRASTS[number % len(_CONTRASTS)]
    lesions = [
        Lesion(meniscus, region, int(rng.integers(1, 4)))
        for meniscus in grading.MENISCI
        for region in grading.REGIONS
        if rng.random() < 0.25
    ]
    planned = {
        "snr": PROTOCOLS[protocol].snr * rng.uniform(0.35, 1.1),
        "blur_px": rng.uniform(0.4, 1.3),
        "bias": rng.uniform(0.05, 0.4),
        "ghost": rng.uniform(0.05, 0.25) if number % 4 == 3 else 0.0,  # beyond it nothing is right
    }
    if protocol == "DESS":  # 3-D, of which half the slices tell as much
        planned |= {"n_slices": 72, "slice_thickness_mm": 1.5}
    else:
        planned["slice_thickness_mm"] = (3.0, 4.0, 2.5, 3.5)[number % 4]
    unusual = (
        {},
        {"medial_body_width_mm": rng.uniform(4, 8), "medial_posterior_width_mm": rng.uniform(6, 11)},
        {},
        {"medial_extrusion_mm": rng.uniform(2.5, 5.0), "medial_thinning": rng.uniform(0.3, 0.8)},
        {"fat_mm": rng.uniform(2, 22), "muscle_bulk": rng.uniform(0.75, 1.2)},
    )[number % 5]
    planned |= {
        "laterality": "RL"[number % 2],
        "fluid_ml": float(np.exp(rng.uniform(np.log(1), np.log(40)))),
        "spacing_mm": _SIMULATED_MM,
        "parameters": unusual,
    }
    try:
        return simulate_knee(seed, protocol, lesions=lesions, **planned)
    except ValueError:  # menisci too thin for their lesions
        return simulate_knee(seed, protocol, **planned)


@dataclass(frozen=True)
class Counts:
    """Share of a scan's voxels of a class by bin of log-odds, (classes, bins), and the right ones among them."""

    given: np.ndarray
    right: np.ndarray


_EDGES = np.linspace(-_SPAN, _SPAN, _BINS + 1)
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2


def count(scan: SimulatedScan) -> Counts:
    """Segment a scan and count. Both arrays sum to at most 1 over the bins of a class."""
    slices = prepare(scan.image)
    probability, raw = engine.predict(slices, None)
    classes = cleanup.clean(raw, slices.spacing_mm)
    fine = fine_classes(slices, probability, classes, classes != raw)
    own = np.clip(calibration.probability_of_given(slices, probability, fine), 1e-6, 1 - 1e-6)
    truth = CLASS_BY_LABEL[reorient(scan.labels, SAGITTAL).array]
    bins = np.clip(((np.log(own / (1 - own)) + _SPAN) / (2 * _SPAN) * _BINS).astype(int), 0, _BINS - 1)
    key = fine.astype(int) * _BINS + bins
    given, right = (
        np.bincount(values.ravel(), minlength=len(Class) * _BINS).reshape(len(Class), _BINS).astype(float)
        for values in (key, key[fine == truth])
    )
    total = np.maximum(given.sum(1, keepdims=True), 1)
    return Counts(given / total, right / total)


def counts(first_seed: int, number: int) -> Iterator[Counts]:
    for k in range(number):
        yield count(scan_of(first_seed + k, k))


def total(parts: list[Counts]) -> Counts:
    return Counts(sum(p.given for p in parts), sum(p.right for p in parts))


def platt(log_odds: np.ndarray, given: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the logistic regression of `right` out of `given` on log-odds, by Newton's method.

    >>> x = np.linspace(-4, 4, 81)
    >>> [round(v, 3) for v in platt(x, np.ones(81), 1 / (1 + np.exp(-(0.7 * x - 0.4))))]
    [0.7, -0.4]
    """
    # The prior: every bin holds a little that behaves as the network says.
    prior = _PRIOR / len(log_odds)
    right = right + prior / (1 + np.exp(-log_odds))
    given = given + prior
    design = np.stack([log_odds, np.ones_like(log_odds)], 1)
    at = np.array([1.0, 0.0])
    for _ in range(100):
        expected = 1 / (1 + np.exp(-design @ at))
        gradient = design.T @ (right - given * expected)
        hessian = (design * (given * expected * (1 - expected))[:, None]).T @ design
        step = np.linalg.solve(hessian, gradient)
        at = at + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(at[0]), float(at[1])


def fit(observed: Counts, network_sha256: str) -> calibration.Calibration:
    x = np.clip(_CENTRES, *calibration.LOG_ODDS_RANGE)
    pairs = np.array([platt(x, *of_class) for of_class in zip(observed.given, observed.right, strict=True)])
    return calibration.Calibration(network_sha256, pairs[:, 0], pairs[:, 1])


def as_text(fitted: calibration.Calibration, scans: int, first_seed: int) -> str:
    content = {
        "network_sha256": fitted.network_sha256,
        "fitted_on": f"{scans} simulated knees, seeds {first_seed} to {first_seed + scans - 1}",
        "classes": {
            cls.name.lower(): [round(float(fitted.slope[cls]), 4), round(float(fitted.offset[cls]), 4)] for cls in Class
        },
    }
    return json.dumps(content, indent=1) + "\n"


# --- how well it holds ------------------------------------------------------------------------------------------------


def error(claimed: np.ndarray, given: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: mean distance of claimed and true share, over bins of equal width of the claim."""
    where = np.minimum((claimed * bins).astype(int), bins - 1)
    sums = [np.bincount(where, values, bins) for values in (given * claimed, right)]
    return float(np.abs(sums[0] - sums[1]).sum() / given.sum())


def report(table: calibration.Calibration, parts: list[Counts]) -> str:
    """Markdown: for each class the share that is right, the share that was claimed, and errors before and after."""
    seen = total(parts)
    p = 1 / (1 + np.exp(-_CENTRES))
    header = [
        "class", "right", "network says", "calibrated says", "error of the network", "error calibrated", "worst knee"
    ]  # fmt: skip
    rows = []
    for cls in Class:
        given, right = seen.given[cls], seen.right[cls]
        if not given.sum():
            continue
        says = table.apply(p, cls)
        worst = max(abs((c.given[cls] @ says) - c.right[cls].sum()) for c in parts if c.given[cls].sum())
        cells = [right.sum() / given.sum(), given @ p / given.sum(), given @ says / given.sum()]
        cells += [error(p, given, right), error(says, given, right), worst]
        rows.append([cls.name.lower().replace("_", " "), *(f"{v:.3f}" for v in cells)])
    return markdown.table(header, rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say how well the table holds on other knees")
    if parser.parse_args().check:
        print(report(calibration.shipped(), list(counts(CHECK_SEED, CHECK_SCANS))), end="")
        return
    parts = list(counts(FIT_SEED, FIT_SCANS))
    fitted = fit(total(parts), network_digest())
    write_text(calibration.TABLE, as_text(fitted, FIT_SCANS, FIT_SEED))
    print(report(fitted, parts), end="")


if __name__ == "__main__":
    main()
