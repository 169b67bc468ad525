"""Time and memory of the whole cohort stage on 10 000 knees, part by part, without and with bootstrap.

    python bench/cohort_speed.py [--runners 5000] [--bootstrap 0 2000] [--profile]

5 000 simulated runners with two knees each, score tables as the stage before would have left them, a tenth of the knees
read by a radiologist twice, one covariate in twenty missing. Targets: 60 s without bootstrap, 600 s with 2 000 cluster
bootstrap samples (imputation in both), 2 GB. Each run has a process of its own, whose peak memory holds the imports.
`--profile` prints instead where the run without bootstrap spends its time.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import pstats
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from kneeline import grading, tables
from kneeline.simulate.cohort import Cohort, draw_cohort

TARGETS_S, TARGET_MB = {0: 60.0, 2000: 600.0}, 2048
SEED = 2006
# Functions of `cohort.run` that are timed; what they call is in their time.
PARTS = (
    "read_cohort",
    "add_totals",
    "relate",
    "dose_response",
    "adjust_p_values",
    "compare_raters",
    "machine_error_rows",
    "prevalence",
    "joint_rows",
    "table_one",
    "model_flow",
    "published",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runners", type=int, default=5000)
    parser.add_argument("--bootstrap", type=int, nargs="*", choices=list(TARGETS_S), default=list(TARGETS_S))
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_inputs(Path(folder), draw_cohort(arguments.runners, SEED, knees_per_runner=2))
        if arguments.profile:
            profiler = cProfile.Profile()
            profiler.runcall(analyse, paths, Path(folder) / "out", 0)
            pstats.Stats(profiler).sort_stats("cumulative").print_stats("kneeline", 60)
            return
        print(f"{2 * arguments.runners} knees\n")
        print("| bootstrap samples | part | wall s | CPU s |")
        print("| --- | --- | --- | --- |")
        lines = []
        for n_bootstrap in arguments.bootstrap:
            seconds, wall, cpu, peak = in_own_process(analyse, paths, Path(folder) / f"out-{n_bootstrap}", n_bootstrap)
            for part, (part_wall, part_cpu) in seconds.items():
                print(f"| {n_bootstrap} | {part} | {part_wall:.1f} | {part_cpu:.1f} |", flush=True)
            lines.append(
                f"{n_bootstrap} bootstrap samples: {wall:.0f} s wall, {cpu:.0f} s CPU "
                f"(target {TARGETS_S[n_bootstrap]:.0f} s), {peak:.0f} MB at the peak (target {TARGET_MB})"
            )
        print("\n" + "\n".join(lines))


def write_inputs(folder: Path, cohort: Cohort) -> dict[str, Path]:
    """Sheets and score tables; the arguments of `run_cohort`."""
    rng = np.random.default_rng(SEED)
    for row in cohort.participants:
        for name in ("bmi_kg_m2", "running_years"):
            row[name] = None if rng.random() < 0.05 else row[name]
    scores: dict[str, list] = defaultdict(list)
    for knee in cohort.truth:
        keys = {name: knee[name] for name in tables.KNEE_KEYS}
        scores["scans"].append({**keys, "scan_id": knee["scan_id"], "status": "ok", "verdict": "ok"})
        for meniscus in grading.MENISCI:
            for region in grading.REGIONS:
                grade = knee[f"{meniscus}_{region}_signal_grade"]
                scores["meniscus"].append({**keys, "meniscus": meniscus, "region": region, "signal_grade": grade})
        effusion = int(np.searchsorted((6, 12, 25), knee["fluid_ml"]))
        fluid = {"fluid_ml": knee["fluid_ml"], "effusion_grade": effusion, "pouch_in_view": True}
        scores["effusion"].append(keys | fluid)
        for plate in tables.CARTILAGE["plate"].allowed:
            scores["cartilage"].append({**keys, "plate": plate, "cartilage_grade": int(rng.integers(0, 4))})
        for bone in tables.MARROW["bone"].allowed:
            scores["marrow"].append({**keys, "bone": bone, "marrow_grade": int(rng.integers(0, 3))})
        if rng.random() < 0.1:
            for reading in (1, 2):
                read = {**keys, "rater_id": "anna", "reading": reading}
                seen = int(np.clip(effusion + rng.integers(-1, 2), 0, 3))
                scores["readings"].append({**read, "structure": "effusion", "grade": seen})
                for meniscus in grading.MENISCI:
                    true = max(knee[f"{meniscus}_{region}_signal_grade"] for region in grading.REGIONS)
                    seen = int(np.clip(true + rng.choice([-1, 0, 0, 0, 1]), 0, 3))
                    scores["readings"].append({**read, "structure": f"{meniscus}_meniscus", "grade": seen})
    paths = {"participants": folder / "participants.tsv", "scans": folder / "scans.tsv"}
    tables.write_table(paths["participants"], cohort.participants, tables.PARTICIPANTS)
    tables.write_table(paths["scans"], scores["scans"], tables.INGEST_SCANS)
    for name, table in (("meniscus", tables.MENISCUS), ("effusion", tables.EFFUSION),
                        ("cartilage", tables.CARTILAGE), ("marrow", tables.MARROW)):  # fmt: skip
        tables.write_table(folder / "score" / f"{name}.tsv", scores[name], table)
    tables.write_table(folder / "readings.tsv", scores["readings"], tables.READINGS)
    return paths | {"score_dir": folder / "score", "readings": folder / "readings.tsv"}


def analyse(paths: dict[str, Path], out: Path, n_bootstrap: int) -> dict[str, tuple[float, float]]:
    """Run the stage; wall and CPU seconds of each part."""
    from kneeline.cohort import run

    seconds: dict[str, tuple[float, float]] = {}
    for part in PARTS:
        if hasattr(run, part):
            setattr(run, part, _timed(part, getattr(run, part), seconds))
    config = {"n_bootstrap": n_bootstrap, "total_experimental": True, "total_structures": ["menisci", "effusion"]}
    wall, cpu = time.perf_counter(), _cpu()
    run.run_cohort(**paths, out=out, config=config)
    rest = (time.perf_counter() - wall - sum(w for w, _ in seconds.values()),
            _cpu() - cpu - sum(c for _, c in seconds.values()))  # fmt: skip
    return seconds | {"reading and writing the rest": rest}


def _timed(part: str, work: Callable, seconds: dict[str, tuple[float, float]]) -> Callable:
    def call(*args, **kwargs):
        wall, cpu = time.perf_counter(), _cpu()
        try:
            return work(*args, **kwargs)
        finally:
            before = seconds.get(part, (0.0, 0.0))
            seconds[part] = (before[0] + time.perf_counter() - wall, before[1] + _cpu() - cpu)

    return call


def _cpu() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def in_own_process(work: Callable, *args) -> tuple[dict[str, tuple[float, float]], float, float, float]:
    """What `work` returns, wall s, CPU s and peak MB, in a fresh interpreter."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_work, work, args).result()


def _work(work: Callable, args: tuple) -> tuple[dict[str, tuple[float, float]], float, float, float]:
    wall, cpu = time.perf_counter(), _cpu()
    found = work(*args)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    return found, time.perf_counter() - wall, _cpu() - cpu, peak


if __name__ == "__main__":
    main()
