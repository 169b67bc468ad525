"""Dice of the shipped network on simulated images of knees that it never saw.

    python -m kneeline.segment.training.evaluate --anatomies FOLDER/test --parametric 4

Knees: parametric ones with seeds from 9000 on, and label maps of two real knees that training left out (bones and
cartilages are theirs; their menisci and soft tissue are warped in from another knee, fluid is simulated). Each is imaged
in each contrast and slice thickness, undeformed, and goes through `kneeline.segment.predict.segment`, clean-up included.
Images come from this package's own world: real images are harder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from kneeline.errors import Refusal
from kneeline.labels import Label
from kneeline.segment.classes import CLASS_OF, Class
from kneeline.segment.predict import segment
from kneeline.segment.training import prepare, world
from kneeline.volume import SAGITTAL, Volume, reorient

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


def evaluate(anatomies: list[world.Anatomy], contrasts=CONTRASTS, slices=tuple(SLICES)) -> list[dict]:
    """One row a scan: knee, contrast, slices, verdict and the Dice of each class (None where it has no truth)."""
    rows = []
    for number, anatomy in enumerate(anatomies):
        for c, contrast in enumerate(contrasts):
            for s, stack in enumerate(slices):
                image, truth = image_of(anatomy, contrast, stack, 1000 * number + 10 * c + s)
                row = {"knee": anatomy.name, "contrast": contrast, "slices": stack}
                try:
                    result = segment(image, "R")
                except Refusal as refusal:
                    rows.append(row | {"verdict": refusal.code} | {cls.name.lower(): 0.0 for cls in Class if cls})
                    continue
                found = _CLASS[reorient(result.labels, SAGITTAL).array]
                row["verdict"] = result.verdict
                row |= {cls.name.lower(): dice(found, truth, cls) for cls in Class if cls}
                row["side"] = result.fibula_laterality
                rows.append(row)
                print(rows[-1], flush=True)
    return rows


def parametric(seeds: range, folder: Path) -> list[world.Anatomy]:
    prepare.prepare_parametric(seeds, folder)
    return [a for a in world.load_anatomies(folder) if a.name in {f"parametric-{s:04d}" for s in seeds}]


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
    parser.add_argument("--anatomies", type=Path, required=True, help="folder written by `prepare --maps test`")
    parser.add_argument("--parametric", type=int, default=4, help="parametric knees, seeds 9000, 9001, ...")
    parser.add_argument("--contrasts", nargs="+", default=list(CONTRASTS), choices=CONTRASTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    first = prepare.TEST_SEED
    made = parametric(range(first, first + args.parametric), args.anatomies)
    maps = [a for a in world.load_anatomies(args.anatomies) if not a.name.startswith("parametric")]
    for title, knees in (("Parametric knees", made), ("Label maps of real knees", maps)):
        rows = evaluate(knees, args.contrasts)
        print(f"\n{title}, {len(rows)} scans\n")
        for by in ("contrast", "slices", "knee", "verdict"):
            print(table(rows, by) + "\n")


if __name__ == "__main__":
    main()
