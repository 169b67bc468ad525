"""CPU time and memory of scoring one labelled knee, at the sizes of a 2-D protocol and of a 3-D scan.

    python bench/score_speed.py

Targets: 30 x 288 x 288 in 3 CPU s, 160 x 384 x 384 in 8 CPU s. Imports are shown apart.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace


def main() -> None:
    start = time.process_time()
    import numpy as np

    from kneeline.score.run import score_knee
    from kneeline.simulate.acquire import PROTOCOLS, acquire
    from kneeline.simulate.knee import Lesion, build_knee, sample_parameters

    print(f"imports {time.process_time() - start:.2f} CPU s")
    lesions = [Lesion("medial", "posterior_horn", 3), Lesion("lateral", "posterior_horn", 2)]
    knee = build_knee(sample_parameters(np.random.default_rng(1), "R"), lesions, fluid_ml=10.0)
    flat = replace(PROTOCOLS["PDFS"], n_slices=30, matrix=288)
    deep = replace(PROTOCOLS["DESS"], n_slices=160, matrix=384, pixel_mm=0.365)
    for name, protocol, target in (("2-D", flat, 3), ("3-D", deep, 8)):
        acquired = acquire(knee, protocol, seed=1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for turn in ("first", "again"):
            start = time.process_time()
            score_knee(acquired.image, acquired.labels, "R")
            seconds = time.process_time() - start
            print(f"{name} {acquired.image.shape} {turn}: {seconds:.2f} CPU s (target {target})")
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f"{name} peak memory grew by {max(grown, 0):.0f} MB")


if __name__ == "__main__":
    main()
