"""Dice of the shipped network on simulated images of knees that it never saw.

    python -m kneeline.segment.training.evaluate --anatomies FOLDER/test

Two sets. Parametric knees (seeds from 9000 on), imaged by `kneeline.simulate`: an imaging chain that training did not
use, each knee in every protocol of its own. And label maps of two real knees that training left out, imaged by the
training's world without deformation: their bones and cartilages are true, menisci and soft tissue are warped in from
another knee, fluid is simulated, and slice kinds take turns over contrasts. Every scan goes through
`kneeline.segment.predict.segment`, clean-up included. Simulated images are easier than real ones.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment.classes import CLASS_OF, Class
from kneeline.segment.predict import segment
from kneeline.segment.training import prepare, world
from kneeline.simulate.acquire import PROTOCOLS
from kneeline.simulate.run import simulate_knee
from kneeline.volume import Volume

CONTRASTS = ("PD", "PDFS", "T2", "T2FS", "T1", "DESS")
# Thickness and distance of slices, mm.
SLICES = {"3-D 0.8 mm": (0.8, 0.8), "2-D 3 mm": (3.0, 3.3), "2-D 4 mm": (4.0, 4.4)}
_PIXEL_MM, _SIDE = 0.5, 288

_CLASS = np.zeros(len(Label), np.uint8)
for _label, _cls in CLASS_OF.items():
    _CLASS[_label] = _cls


def image_of(anatomy: world.Anatomy, contrast: str, slices: str, seed: int) -> tuple[Volume, np.ndarray]:
    """One scan of a right knee, canonical orientation, and its true classes."""
    rng = np.random.default_rng(seed)
    thickness, spacing = SLICES[slices]
    n = int(round((anatomy.high_mm[0] - anatomy.low_mm[0] + 10) / spacing))
    middle = np.array([(anatomy.high_mm[0] + anatomy.low_mm[0]) / 2, -8.0, 0.0])
    image, classes = world.simulate_stack(
        anatomy,
        world.Acquisition(n, spacing, thickness, contrast),
        rng,
        world.noise_bank(),
        side=_SIDE,
        centre_mm=middle,
        strength=0.0,
        mirrored=False,
        pixel_mm=_PIXEL_MM,
        cropped=False,
    )
    affine = np.diag([spacing, -_PIXEL_MM, -_PIXEL_MM, 1.0])[:, [0, 2, 1, 3]]  # array axes: x, z, y
    return Volume(image.numpy(), affine), classes.numpy()


def dice(found: np.ndarray, truth: np.ndarray, cls: Class) -> float | None:
    a, b = found == cls, truth == cls
    total = a.sum() + b.sum()
    return float(2 * (a & b).sum() / total) if b.sum() > 30 else None


def score(image: Volume, truth: np.ndarray, row: dict) -> dict:
    """`row` with verdict, side by the fibula, and the Dice of each class (None where it has no truth)."""
    try:
        result = segment(image, "R")
    except Refusal as refusal:
        return row | {"verdict": refusal.code} | {cls.name.lower(): 0.0 for cls in Class if cls}
    found = _CLASS[result.labels.array]
    row |= {cls.name.lower(): dice(found, truth, cls) for cls in Class if cls}
    row |= {"verdict": result.verdict, "side": result.fibula_laterality}
    print(row, file=sys.stderr, flush=True)
    return row


def evaluate_parametric(seeds: range) -> list[dict]:
    """Right knees, effusions from 2 to 30 mL."""
    rows = []
    for seed in seeds:
        for number, protocol in enumerate(PROTOCOLS):
            fluid_ml = (2.0, 8.0, 30.0)[(seed + number) % 3]
            scan = simulate_knee(seed, protocol, laterality="R", fluid_ml=fluid_ml, spacing_mm=0.8)
            thick = f"{scan.acquisition.slice_thickness_mm:g} mm"
            row = {"knee": f"parametric {seed}", "contrast": protocol, "slices": thick}
            rows.append(score(scan.image, _CLASS[scan.labels.array], row))
    return rows


def evaluate_maps(folder: Path, contrasts=CONTRASTS) -> list[dict]:
    rows = []
    for map_number, name in enumerate(("mskt_right", "mskt_left_iso")):
        anatomies = [a for a in world.load_anatomies(folder) if a.name.startswith(name)]
        for number, contrast in enumerate(contrasts):
            anatomy = anatomies[number % len(anatomies)]
            kind = tuple(SLICES)[(number + map_number) % len(SLICES)]
            image, truth = image_of(anatomy, contrast, kind, 100 * map_number + number)
            rows.append(score(image, truth, {"knee": name, "contrast": contrast, "slices": kind}))
    return rows


def table(rows: list[dict], by: str) -> str:
    """Mean Dice per class, a Markdown table with one line for each value of `by`."""
    names = [c.name.lower() for c in Class if c]
    lines = [f"| {by} | n | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for value in dict.fromkeys(r[by] for r in rows):
        group = [r for r in rows if r[by] == value]
        means = []
        for name in names:
            values = [r[name] for r in group if r.get(name) is not None]
            means.append(f"{np.mean(values):.3f}" if values else "-")
        lines.append(f"| {value} | {len(group)} | " + " | ".join(means) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--anatomies", type=Path, help="folder written by `prepare --maps test`; without it no label maps"
    )
    parser.add_argument("--parametric", type=int, default=3, help="parametric knees, seeds 9000, 9001, ...")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sets = {}
    if args.parametric:
        sets["Parametric knees"] = evaluate_parametric(range(prepare.TEST_SEED, prepare.TEST_SEED + args.parametric))
    if args.anatomies:
        sets["Label maps of real knees"] = evaluate_maps(args.anatomies)
    for title, rows in sets.items():
        print(f"{title}, {len(rows)} scans\n")
        for row in rows:
            row["all"] = "all"
        for by in ("all", "contrast", "slices", "verdict"):
            print(table(rows, by) + "\n")


if __name__ == "__main__":
    main()
