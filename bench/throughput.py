"""Knees per hour of the whole chain, what dominates it, and what the workflow costs on top, at each granularity.

    python bench/throughput.py [--knees 8] [--small] [--cores 1 2] [--granularity scan chunk] [--footprint]
                               [--refused 0]

One simulated knee is written as DICOM and listed under so many participants. `one process` takes them through the
chain one after another and gives the CPU seconds of each step without imports: the pure work. The runs are `kneeline
run` up to the last scan, all their processes together. Overhead is their CPU seconds over the pure work, and, beside
it, over what the steps themselves spent in that very run (as the scans' records say), which also holds on a machine
that does other things meanwhile. `--small` takes 20 x 144 x 144 voxels instead of a 2-D protocol's. Peak memory is that
of the largest process. `--refused` adds scans of which nothing is there: jobs without work, for what a run of very many
costs on top. `--footprint` (Linux) tells memory and open files of the run's processes as it goes on.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from kneeline import chain, status, tables

SMALL = {"spacing_mm": 1.5, "matrix": 144, "pixel_mm": 1.05, "n_slices": 20}
CHUNK = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--knees", type=int, default=8)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--granularity", nargs="*", default=["scan", "chunk"])
    parser.add_argument("--refused", type=int, default=0)
    parser.add_argument("--footprint", action="store_true")
    arguments = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        knee = Path(folder) / "knee"
        shape = in_another_process(write_knee, knee, SMALL if arguments.small else {})
        print(f"{arguments.knees} knees of {' x '.join(map(str, shape))} voxels\n")
        pure = in_another_process(_one_process, knee, Path(folder) / "pure", min(arguments.knees, 6))
        print("| granularity | cores | wall s | CPU s | knees an hour | overhead % | over its steps % | peak MB |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for granularity in arguments.granularity:
            for cores in arguments.cores:
                study = Path(folder) / f"{granularity}-{cores}"
                number = arguments.knees + arguments.refused
                write_study(study, knee, arguments.knees, granularity, max(number // CHUNK, cores), arguments.refused)
                wall, cpu, peak = _run(study, number, granularity, cores, arguments.footprint)
                its_own = sum(status.standing(study / "results").cpu_seconds().values())
                over = (100 * (cpu / (work * arguments.knees) - 1) for work in (pure, its_own))
                print(
                    f"| {granularity} | {cores} | {wall:.0f} | {cpu:.0f} | {3600 * arguments.knees / wall:.0f} | "
                    f"{' | '.join(f'{percent:.1f}' for percent in over)} | {peak:.0f} |",
                    flush=True,
                )


def in_another_process(work, *arguments):
    """So that its imports and its memory are not ours."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def write_knee(folder: Path, options: dict) -> tuple[int, ...]:
    from kneeline.simulate.dicom import Protocol, write_series
    from kneeline.simulate.knee import Lesion
    from kneeline.simulate.run import simulate_knee

    lesions = [Lesion("medial", "posterior_horn", 3)]
    scan = simulate_knee(9001, "PDFS", laterality="R", lesions=lesions, fluid_ml=8.0, **options)
    sequence = scan.acquisition.sequence
    protocol = Protocol(
        repetition_time_ms=sequence.repetition_time_ms,
        echo_times_ms=(sequence.echo_time_ms,),
        slice_thickness_mm=scan.acquisition.slice_thickness_mm,
    )
    write_series(folder, scan.image, uid_seed="bench", laterality="R", protocol=protocol)
    return scan.image.shape


def _scan(number: int, knee: Path) -> tables.Scan:
    who = f"sub-{number:05d}"
    return tables.Scan(tables.scan_id(who, "ses-01", "R"), who, "ses-01", "R", (str(knee),))


def _one_process(knee: Path, results: Path, knees: int) -> float:
    """Print CPU seconds of each step, the first knee (which imports) left out; return their sum."""
    spent = dict.fromkeys(chain.STEPS, 0.0)
    for number in range(knees + 1):
        for step in chain.STEPS:
            start = time.process_time()
            chain.run_step(step, _scan(number, knee), results)
            if number:
                spent[step] += (time.process_time() - start) / knees
    total = sum(spent.values())
    print("| step | CPU s a knee | share % |\n| --- | --- | --- |")
    for step, seconds in spent.items():
        print(f"| {step} | {seconds:.2f} | {100 * seconds / total:.0f} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| all | {total:.2f} | |\n\none process, {knees + 1} knees: {peak:.0f} MB at the peak\n", flush=True)
    return total


def write_study(study: Path, knee: Path, knees: int, granularity: str, chunks: int, absent: int = 0) -> None:
    """Sheets and config of a study of so many participants with this one knee, and so many whose scan is not there."""
    rows = [
        {"participant_id": s.participant_id, "session_id": "ses-01", "laterality": "R", "path": s.paths[0]}
        for s in (_scan(number, knee if number < knees else Path("absent")) for number in range(knees + absent))
    ]
    tables.write_table(study / "config/scans.tsv", rows, tables.SCANS)
    tables.write_table(study / "config/participants.tsv", [], tables.PARTICIPANTS)
    tables.write_text(
        study / "config/config.yaml",
        "participants: config/participants.tsv\nscans: config/scans.tsv\n"
        f"granularity: {granularity}\nchunks: {chunks}\n",
    )


def _run(study: Path, scans: int, granularity: str, cores: int, footprint: bool) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds of all processes, peak MB of the largest."""
    rule = {"step": "picture"}.get(granularity, f"process_{granularity}")
    command = [
        sys.executable, "-m", "kneeline", "run", "--directory", str(study), "--cores", str(cores),
        "--", "--until", rule,
    ]  # fmt: skip
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )  # fmt: skip
    if footprint:
        threading.Thread(target=_show_footprint, args=(process.pid, study / "results", scans), daemon=True).start()
    told = process.stderr.read()
    _, code, used = os.wait4(process.pid, 0)
    if code:
        raise SystemExit(told.decode())
    return time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _show_footprint(session: int, results: Path, scans: int) -> None:
    """Print the most that a process of each kind held, tenth by tenth of the scans, while the session lives."""
    most: dict[str, tuple[float, int]] = {}
    tenth, began = 0, time.monotonic()
    print("| scans done | minutes | jobs MB, files | Snakemake MB, files | `kneeline run` MB, files |", file=sys.stderr)
    print("| --- | --- | --- | --- | --- |", file=sys.stderr, flush=True)
    while os.path.exists(f"/proc/{session}"):
        for kind, megabytes, files in _processes(session):
            held = most.get(kind, (0.0, 0))
            most[kind] = max(held[0], megabytes), max(held[1], files)
        done = sum(1 for _ in (results / "report").glob("*_picture.json"))
        if 10 * done // scans > tenth:
            tenth = 10 * done // scans
            cells = (f"{most.get(kind, (0, 0))[0]:.0f}, {most.get(kind, (0, 0))[1]}" for kind in _KINDS)
            print(f"| {done} | {(time.monotonic() - began) / 60:.1f} | {' | '.join(cells)} |", file=sys.stderr)
            most = {}
        time.sleep(2)


_KINDS = ("job", "snakemake", "run")


def _processes(session: int):
    """Kind, resident MB and open files of each process of a session."""
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdecimal() or os.getsid(int(entry.name)) != session:
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            megabytes = int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
            files = len(os.listdir(entry / "fd"))
        except OSError:  # it has ended
            continue
        yield "snakemake" if "snakemake" in words else "run" if "run" in words else "job", megabytes, files


if __name__ == "__main__":
    main()
