"""A worker that lives long: memory and open files while it takes 1 000 scans, one after another, through all steps.

    python bench/soak.py [--knees 1000] [--workers 1]

Four simulated knees of different size and contrast, and every hundredth time a folder without an image, are listed in
turn under so many participants. Resident memory and open files are read from /proc (Linux) after each scan.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from kneeline import tables, workers

KINDS = (("PDFS", 144, 20), ("PD", 128, 24), ("T2", 160, 18), ("DESS", 112, 36))
SETTLED = 50  # scans after which everything has been imported and every size has been seen
SHOWN = 100


def write_knee(folder: Path, contrast: str, matrix: int, slices: int) -> None:
    from kneeline.simulate.dicom import write_series
    from kneeline.simulate.run import simulate_knee

    scan = simulate_knee(
        9001, contrast, laterality="R", fluid_ml=8.0, spacing_mm=1.5, matrix=matrix, pixel_mm=150 / matrix,
        n_slices=slices,
    )  # fmt: skip
    write_series(folder, scan.image, uid_seed=contrast, laterality="R")


def scans(folder: Path, knees: int) -> list[tables.Scan]:
    out = []
    for number in range(knees):
        who = f"sub-{number:05d}"
        path = folder / ("empty" if number % 100 == 99 else KINDS[number % len(KINDS)][0])
        out.append(tables.Scan(tables.scan_id(who, "ses-01", "R"), who, "ses-01", "R", (str(path),)))
    return out


def footprint() -> tuple[float, int]:
    """Resident MB of all workers together, and their open files."""
    megabytes, files = 0.0, 0
    for child in multiprocessing.active_children():
        pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
        megabytes += pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        files += len(os.listdir(f"/proc/{child.pid}/fd"))
    return megabytes, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knees", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            for contrast, matrix, slices in KINDS:
                pool.submit(write_knee, folder / contrast, contrast, matrix, slices).result()
        start, seen, counts = time.monotonic(), [], {"ok": 0, "set aside": 0, "lost": 0}
        print("| scans | resident MB | open files | minutes |\n| --- | --- | --- | --- |", flush=True)
        for _, outcome in workers.each(scans(folder, arguments.knees), folder / "results", arguments.workers):
            kind = "lost" if isinstance(outcome, str) else "ok" if outcome["status"] == "ok" else "set aside"
            counts[kind] += 1
            seen.append(footprint())
            if len(seen) == SETTLED or len(seen) % SHOWN == 0:
                print(f"| {len(seen)} | {seen[-1][0]:.0f} | {seen[-1][1]} | {(time.monotonic() - start) / 60:.1f} |",
                      flush=True)  # fmt: skip
    import numpy as np

    settled = np.array(seen[SETTLED:] or seen)
    slope = np.polyfit(np.arange(len(settled)), settled[:, 0], 1)[0] if len(settled) > 1 else np.nan
    print(f"\n{counts['ok']} scored, {counts['set aside']} set aside, {counts['lost']} lost")
    print(
        f"after the first {SETTLED}: {slope * 100:+.1f} MB per 100 scans, {settled[:, 0].min():.0f} to "
        f"{settled[:, 0].max():.0f} MB, {int(settled[:, 1].min())} to {int(settled[:, 1].max())} open files"
    )


if __name__ == "__main__":
    main()
