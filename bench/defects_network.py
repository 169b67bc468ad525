"""Planted cartilage defects and marrow lesions on simulated PD-FS images, read by true labels and by the network's.

    python bench/defects_network.py --knees 4

Every knee is read intact and with a pit in each plate that has room and a lesion in femur, tibia and patella.
"""

from __future__ import annotations

import argparse

import numpy as np

from kneeline.labels import CARTILAGES, Label
from kneeline.score.cartilage import measure_cartilage
from kneeline.score.frame import canonical
from kneeline.score.marrow import BONES, measure_marrow
from kneeline.segment.predict import segment
from kneeline.simulate.acquire import PROTOCOLS, acquire
from kneeline.simulate.defects import CartilageDefect, carve_defects
from kneeline.simulate.knee import build_knee, sample_parameters
from kneeline.simulate.marrow import MarrowLesion, add_marrow_lesions

DEPTHS, RADII_MM, BALLS_MM = (1.0, 0.65), (5.5, 4.5), (5.0, 8.0, 3.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=4)
    parser.add_argument("--seed", type=int, default=800)
    parser.add_argument("--contrast", choices=("PDFS", "T2FS"), default="PDFS")
    arguments = parser.parse_args()
    for number in range(arguments.knees):
        rng = np.random.default_rng([arguments.seed, number])
        whole = build_knee(sample_parameters(rng, "R"), fluid_ml=float(rng.uniform(3, 15)), spacing_mm=0.7)
        ball = BALLS_MM[number % len(BALLS_MM)]
        sick, volumes = add_marrow_lesions(whole, [MarrowLesion(bone, ball, float(rng.random())) for bone in BONES])
        depth, radius = DEPTHS[number % 2], RADII_MM[number // 2 % 2]
        pits = []
        for plate in CARTILAGES:
            try:
                sick = carve_defects(sick, [CartilageDefect(plate, radius, depth, place=float(rng.random()))], 4.0)
                pits.append(plate.label_name)
            except ValueError:
                continue
        for name, knee in (("intact", whole), ("sick", sick)):
            acquired = acquire(knee, PROTOCOLS[arguments.contrast], seed=number)
            outlines = {"true": acquired.labels, "network": segment(acquired.image, "R").labels}
            for source, labels in outlines.items():
                show(number, name, source, canonical(acquired.image, labels, "R"), arguments.contrast)
        print(f"{number} planted: pits of {radius} mm and {100 * depth:.0f} % in {', '.join(pits)}; marrow lesions of")
        print("    " + ", ".join(f"{Label(bone).label_name} {volume:.0f} mm3" for bone, volume in volumes.items()))


def show(number: int, name: str, source: str, knee, contrast: str) -> None:
    plates = " ".join(
        f"{row['plate'].removesuffix('_cartilage')}={row['cartilage_grade']}"
        f"({row['defect_area_mm2']:.0f}mm2,{row['defect_depth_pct']:.0f}%,mean {row['thickness_mean_mm']:.2f})"
        for row in measure_cartilage(knee, contrast)
        if row["defect_area_mm2"] is not None
    )
    bones = " ".join(
        f"{row['bone']}={row['marrow_grade']}({row['hyperintense_mm3'] or 0:.0f}mm3)"
        for row in measure_marrow(knee, contrast)
    )
    print(f"{number} {name:6s} {source:7s} {plates} | {bones}", flush=True)


if __name__ == "__main__":
    main()
