"""Dice of a network on simulated images of knees that it never saw.

    python -m kneeline.segment.training.evaluate --anatomies FOLDER/test [--network FILE]

Label maps of real knees that training left out, imaged by the training's world without deformation: each in every
contrast and kind of slices, its effusions in turn. Bones and cartilages are true; menisci and soft tissue too where
the map has them, else they are warped in from another knee; fluid is simulated. Every scan goes through
`kneeline.segment.predict.segment`, clean-up included. Simulated images are easier than real ones. For parametric knees
there is `kneeline validate`.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np

from kneeline import markdown
from kneeline.errors import Refusal
from kneeline.segment import engine
from kneeline.segment.classes import CLASS_BY_LABEL, Class
from kneeline.segment.predict import segment
from kneeline.segment.training import world
from kneeline.validate.masks import dice
from kneeline.volume import Volume

CONTRASTS = ("PD", "PDFS", "T2", "T2FS", "T1", "DESS")
# Thickness and distance of slices, mm.
SLICES = {"3-D 0.8 mm": (0.8, 0.8), "2-D 3 mm": (3.0, 3.3), "2-D 4 mm": (4.0, 4.4)}
_PIXEL_MM, _SIDE = 0.5, 288
LEAST_VOXELS = 30  # of a class in the truth, for its Dice to mean something


def image_of(anatomy: world.Anatomy, contrast: str, slices: str, seed: int) -> tuple[Volume, np.ndarray]:
    """One scan of a right knee, canonical orientation, and its true classes."""
    rng = np.random.default_rng(seed)
    thickness, spacing = SLICES[slices]
    n = int(round((anatomy.high_mm[0] - anatomy.low_mm[0] + 10) / spacing))
    middle = np.array([(anatomy.high_mm[0] + anatomy.low_mm[0]) / 2, -8.0, 0.0])
    image, truth = world.simulate_stack(
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
    return Volume(image.numpy(), affine), truth[:, 0].numpy()


def _dice(found: np.ndarray, truth: np.ndarray) -> float | None:
    return dice(found, truth) if np.count_nonzero(truth) > LEAST_VOXELS else None


def score(image: Volume, truth: np.ndarray, row: dict) -> dict:
    """`row` with verdict, side by the fibula, and the Dice of each class (None where it has no truth)."""
    try:
        result = segment(image, "R")
    except Refusal as refusal:
        return row | {"verdict": refusal.code} | {cls.name.lower(): 0.0 for cls in Class if cls}
    found = CLASS_BY_LABEL[result.labels.array]
    row |= {cls.name.lower(): _dice(found == cls, truth == cls) for cls in Class if cls}
    row |= {"verdict": result.verdict, "side": result.fibula_laterality}
    print(row, file=sys.stderr, flush=True)
    return row


def evaluate_maps(folder: Path) -> list[dict]:
    by_map: dict[str, list[world.Anatomy]] = {}
    for anatomy in world.load_anatomies(folder):
        by_map.setdefault(anatomy.name.partition("_effusion")[0], []).append(anatomy)
    rows = []
    for name, anatomies in by_map.items():
        for number, (contrast, kind) in enumerate(product(CONTRASTS, SLICES)):
            image, truth = image_of(anatomies[number % len(anatomies)], contrast, kind, seed=number)
            rows.append(score(image, truth, {"knee": name, "contrast": contrast, "slices": kind}))
    return rows


def table(rows: list[dict], by: str) -> str:
    """Mean Dice per class, a Markdown table with one line for each value of `by`."""
    names = [c.name.lower() for c in Class if c]
    lines = []
    for value in dict.fromkeys(r[by] for r in rows):
        group = [r for r in rows if r[by] == value]
        means = []
        for name in names:
            values = [r[name] for r in group if r.get(name) is not None]
            means.append(f"{np.mean(values):.3f}" if values else "-")
        lines.append([value, str(len(group)), *means])
    return markdown.table([by, "n", *names], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomies", type=Path, required=True, help="folder `test` that `prepare` wrote")
    parser.add_argument("--network", type=Path, default=engine.NETWORK, help="exported network; the shipped one if not")
    args = parser.parse_args()
    engine.NETWORK = args.network
    rows = evaluate_maps(args.anatomies)
    print(f"Label maps of real knees, {len(rows)} scans\n")
    for row in rows:
        row["all"] = "all"
    for by in ("all", "knee", "contrast", "slices", "verdict"):
        print(table(rows, by) + "\n")


if __name__ == "__main__":
    main()
