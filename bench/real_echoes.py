"""Agreement between the echoes of one multi-echo series, each segmented as if it were alone.

    python bench/real_echoes.py FOLDER [--echoes 2 8] [--document docs/real-scan.md] [--keep echoes.npz]

The knee is the same in every echo, the contrast is not: what differs between the labels is the network's error.
Agreement does not prove that a label is right (an error can repeat in all echoes); disagreement proves one wrong.
Reference outlines are not needed. `--keep` writes the images and labels for `bench/real_gap.py`.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from real_tables import figure, show

from kneeline import markdown
from kneeline.errors import Refusal
from kneeline.ingest.run import Knee, load_knee
from kneeline.labels import BONES, MENISCI, Label
from kneeline.segment.predict import Segmentation, segment
from kneeline.validate.masks import dice

REFERENCE = 2  # the echo that looks like a clinical PD image
TARGETS = dict.fromkeys(BONES, 0.97) | dict.fromkeys(MENISCI.values(), 0.85)
STRUCTURES = tuple(label for label in Label if label)


def segment_echoes(knee: Knee, echoes: list[int]) -> dict[int, Segmentation | Refusal]:
    """Labels by echo (1 is the first); the side is found anew each time."""
    out = {}
    for echo in echoes:
        image = knee.image.with_array(np.ascontiguousarray(knee.echoes[..., echo - 1]))
        try:
            out[echo] = segment(image)
        except Refusal as refusal:
            out[echo] = refusal
    return out


def pairwise(maps: dict[int, np.ndarray], label: Label) -> dict[tuple[int, int], float]:
    """Dice of one structure for each pair of echoes that has it in at least one."""
    either = {pair: [maps[echo] == label for echo in pair] for pair in combinations(sorted(maps), 2)}
    return {pair: dice(*masks) for pair, masks in either.items() if any(mask.any() for mask in masks)}


def agreement_table(maps: dict[int, np.ndarray]) -> str:
    others = [echo for echo in maps if echo != REFERENCE]
    header = [
        "structure",
        "mean of pairs",
        "lowest pair",
        "target for the mean",
        *(f"{e} to {REFERENCE}" for e in others),
    ]
    rows = []
    for label in STRUCTURES:
        pairs = pairwise(maps, label)
        if not pairs:
            rows.append([label.label_name, *["n/a"] * (len(header) - 1)])
            continue
        mean, worst = float(np.mean(list(pairs.values()))), min(pairs, key=pairs.get)
        target = TARGETS.get(label)
        judged = "none set" if target is None else f"{target:.2f}: {'met' if mean >= target else 'missed'}"
        to_reference = [figure(pairs.get(tuple(sorted((e, REFERENCE)))), 3) for e in others]
        lowest = f"{pairs[worst]:.3f} (echoes {worst[0]} and {worst[1]})"
        rows.append([label.label_name, f"{mean:.3f}", lowest, judged, *to_reference])
    return markdown.table(header, rows)


def volume_table(results: dict[int, Segmentation | Refusal], times_ms: list[float], voxel_mm3: float) -> str:
    header = ["echo", "TE ms", "side", "verdict", *(label.label_name for label in STRUCTURES)]
    rows = []
    for echo, result in results.items():
        first = [str(echo), f"{times_ms[echo - 1]:.1f}"]
        if isinstance(result, Refusal):
            rows.append([*first, "n/a", f"refused: {result.code}", *["n/a"] * len(STRUCTURES)])
            continue
        millilitres = np.bincount(result.labels.array.ravel(), minlength=len(Label)) * voxel_mm3 / 1000
        verdict = f"{result.verdict}: {result.reason}" if result.reason else result.verdict
        rows.append([*first, result.laterality, verdict, *(f"{millilitres[label]:.1f}" for label in STRUCTURES)])
    return markdown.table(header, rows)


def report(results: dict[int, Segmentation | Refusal], times_ms: list[float], voxel_mm3: float) -> str:
    maps = {echo: r.labels.array for echo, r in results.items() if not isinstance(r, Refusal)}
    agreement, volumes = agreement_table(maps), volume_table(results, times_ms, voxel_mm3)
    return f"Dice between echoes:\n\n{agreement}\n\nWhat was found in each, in mL:\n\n{volumes}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a multi-echo series: DICOM files of one knee")
    parser.add_argument("--echoes", type=int, nargs="+", help="numbers from 1; default all")
    parser.add_argument("--document", type=Path, help="Markdown file with the block `echoes`, rewritten in place")
    parser.add_argument("--keep", type=Path, help="write echoes and their labels here (.npz)")
    arguments = parser.parse_args()
    knee = load_knee(arguments.folder)
    if knee.echoes is None or knee.echoes.shape[-1] < REFERENCE:
        raise SystemExit(f"{arguments.folder} holds no multi-echo series: between-echo agreement needs several echoes")
    n = knee.echoes.shape[-1]
    echoes = sorted(set(arguments.echoes or range(1, n + 1)))
    if echoes[0] < 1 or echoes[-1] > n:
        raise SystemExit(f"--echoes takes numbers from 1 to {n}")
    results = segment_echoes(knee, echoes)
    if arguments.keep:
        labels = np.zeros(knee.echoes.shape, np.uint8)
        for echo, result in results.items():
            if not isinstance(result, Refusal):
                labels[..., echo - 1] = result.labels.array
        np.savez_compressed(arguments.keep, echoes=knee.echoes, labels=labels, affine=knee.image.affine)
    show("echoes", report(results, knee.echo_times_ms, knee.image.voxel_mm3), arguments.document)


if __name__ == "__main__":
    main()
