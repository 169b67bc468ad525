"""CPU time and memory of scoring one labelled knee, part by part, at the sizes of a 2-D protocol and of a 3-D scan.

    python bench/score_speed.py [--profile PART]

Each part is measured in a process of its own (`fork`), so that its peak memory is its own: what it adds to image and
labels, which are there before. `whole` is `score_knee`, all parts in one process, with one thread and with two. Targets
for the 3-D scan: 4 s of wall time on two cores and 1 GB for the whole process. Wall times say something only where
nothing else runs: the load is printed. `--profile` prints instead where a part spends its CPU time there.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import os
import pstats
import resource
import time
from collections.abc import Callable
from dataclasses import replace

TARGET_S, TARGET_MB = 4.0, 1024
N_ECHOES, SPACING_MS = 8, 6.3
T2_VOXELS = 100_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--profile", metavar="PART", help="a part of the table")
    profile = arguments.parse_args().profile
    start = time.process_time()
    import kneeline.score.run  # noqa: F401  what a scoring process loads

    load = f", load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else ""
    print(f"imports: {time.process_time() - start:.2f} CPU s, {_resident_mb():.0f} MB{load}")
    print("| scan | part | CPU s | wall s | MB added at the peak |")
    print("| --- | --- | --- | --- | --- |")
    flat, deep = _knees()
    if profile:
        return _print_profile(_parts(deep)[profile])
    for name, acquired in (("2-D", flat), ("3-D", deep)):
        parts = _parts(acquired)
        for part, work in parts.items():
            cpu, wall, grown, total = _measured(work)
            size = "x".join(map(str, acquired.image.shape))
            print(f"| {name} {size} | {part} | {cpu:.2f} | {wall:.2f} | {grown:.0f} |", flush=True)
            if part == "whole, 2 threads" and name == "3-D":
                print(
                    f"\n3-D, whole process: {wall:.1f} s wall (target {TARGET_S:g}), "
                    f"{total:.0f} MB at the peak (target {TARGET_MB})"
                )
    print(_t2_line())


def _knees():
    """The same simulated knee as a 2-D protocol and a 3-D scan see it."""
    import numpy as np

    from kneeline.simulate.acquire import PROTOCOLS, acquire
    from kneeline.simulate.knee import Lesion, build_knee, sample_parameters

    lesions = [Lesion("medial", "posterior_horn", 3), Lesion("lateral", "posterior_horn", 2)]
    knee = build_knee(sample_parameters(np.random.default_rng(1), "R"), lesions, fluid_ml=10.0)
    return (
        acquire(knee, replace(PROTOCOLS["PDFS"], n_slices=30, matrix=288), seed=1),
        acquire(knee, replace(PROTOCOLS["DESS"], n_slices=160, matrix=384, pixel_mm=0.365), seed=1),
    )


def _parts(acquired) -> dict[str, Callable[[], object]]:
    """What is measured: each part on the canonical knee, and the whole from image and labels as they come."""
    from kneeline.score import cartilage, effusion, extrusion, frame, marrow, meniscus
    from kneeline.score.run import score_knee

    knee = frame.canonical(acquired.image, acquired.labels, "R")
    regions = meniscus.measure_menisci(knee)
    return {
        "frame": lambda: frame.canonical(acquired.image, acquired.labels, "R"),
        "menisci": lambda: meniscus.measure_menisci(knee),
        "extrusion": lambda: extrusion.measure_extrusion(knee, regions),
        "effusion": lambda: effusion.measure_effusion(knee),
        "cartilage": lambda: cartilage.measure_cartilage(knee, "PDFS"),
        "marrow": lambda: marrow.measure_marrow(knee, "PDFS"),
        "whole": lambda: score_knee(acquired.image, acquired.labels, "R", contrast="PDFS", threads=1),
        "whole, 2 threads": lambda: score_knee(acquired.image, acquired.labels, "R", contrast="PDFS", threads=2),
    }


def _measured(work: Callable[[], object]) -> tuple[float, float, float, float]:
    """CPU s, wall s, MB added at the peak and MB of the whole process at the peak, in a fresh copy of this process."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=_work, args=(work, queue))
    process.start()
    answer = queue.get()
    process.join()
    return answer


def _work(work: Callable[[], object], queue) -> None:
    before = _resident_mb()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put((cpu, wall, peak - before, peak))


def _resident_mb() -> float:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def _print_profile(work: Callable[[], object]) -> None:
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(work)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(14)


def _t2_line() -> str:
    """Voxels a second of both T2 fits, on noisy trains like those of menisci."""
    import numpy as np

    from kneeline.score.stimulated import echo_trains, fit_stimulated
    from kneeline.score.t2 import fit_t2

    rng = np.random.default_rng(0)
    clean = 900 * echo_trains(rng.uniform(6, 40, T2_VOXELS), 155.0, SPACING_MS, N_ECHOES)
    signal = np.hypot(clean + rng.normal(0, 25, clean.shape), rng.normal(0, 25, clean.shape))
    times = SPACING_MS * np.arange(1, N_ECHOES + 1)
    rates = []
    for fit in (lambda: fit_t2(signal, times, 25.0), lambda: fit_stimulated(signal, times, 155.0, 25.0)):
        start = time.process_time()
        fit()
        rates.append(T2_VOXELS / (time.process_time() - start))
    return (
        f"T2 of {N_ECHOES} echoes, voxels per CPU second (target 100000): mono-exponential {rates[0]:.0f}, "
        f"with stimulated echoes {rates[1]:.0f}"
    )


if __name__ == "__main__":
    main()
