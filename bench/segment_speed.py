"""Time and memory of segmenting one knee: python bench/segment_speed.py

Each image runs in a process of its own on one thread. CPU seconds are the best of three, after the network is loaded;
peak memory is the whole process, imports included. Targets: 3 CPU-seconds for 30 slices of 288 x 288, 1500 MB
for 160 x 384 x 384. The images are simulated, so that every branch of the clean-up runs.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

# slices, matrix, slice distance (mm), pixel (mm)
IMAGES = {
    "2-D 30x288x288": (30, 288, 3.4, 0.52),
    "2-D 24x256x256": (24, 256, 4.0, 0.625),
    "2-D 36x640x640": (36, 640, 3.0, 0.25),
    "3-D 160x384x384": (160, 384, 0.7, 0.365),
}
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", choices=IMAGES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.image:
        print(*_measure(asked.image))
        return
    print(f"{'image':18s}{'CPU s (best of 3)':>20s}{'wall s':>10s}{'peak MB':>10s}")
    for name in IMAGES:
        answer = subprocess.run(
            [sys.executable, __file__, "--image", name], check=True, capture_output=True, text=True
        ).stdout.split()
        print(f"{name:18s}{float(answer[0]):20.2f}{float(answer[1]):10.2f}{float(answer[2]):10.0f}")


def _measure(name: str) -> tuple[float, float, float]:
    """CPU seconds, wall seconds, peak megabytes."""
    from kneeline.segment.predict import segment
    from kneeline.simulate.run import simulate_knee

    n, matrix, spacing, pixel = IMAGES[name]
    image = simulate_knee(
        9000,
        "PDFS",
        laterality="R",
        spacing_mm=1.2,
        n_slices=n,
        matrix=matrix,
        pixel_mm=pixel,
        slice_thickness_mm=min(3.0, spacing),
        slice_gap_mm=max(spacing - 3.0, 0.0),
    ).image
    image = image.with_array(np.ascontiguousarray(image.array))
    best = (float("inf"), float("inf"))
    for _ in range(REPEATS):
        cpu, wall = time.process_time(), time.perf_counter()
        segment(image)
        best = min(best, (time.process_time() - cpu, time.perf_counter() - wall))
    return *best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
