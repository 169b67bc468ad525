"""Time and memory of reading tables of a million rows: python bench/sheet_speed.py

Each table is read in a process of its own; CPU seconds and peak memory are counted from the end of the imports.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kneeline import tables

ROWS = 1_000_000
_RUNNER = "{age:.1f} {sex} {bmi:.2f} rearfoot video {km} gps 6 4 5.5 30 none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        print(*_measure(asked.read))
        return
    print(f"| {'table':12s} | rows | file, MB | CPU s | MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, table in (
            ("scans", tables.SCANS),
            ("participants", tables.PARTICIPANTS),
            ("readings", tables.READINGS),
        ):
            path = Path(folder, f"{name}.tsv")
            with open(path, "w", encoding="utf-8") as out:
                out.write("\t".join(c.name for c in table.columns if not c.optional) + "\n")
                out.writelines(_line(name, n) for n in range(ROWS))
            command = [sys.executable, __file__, "--read", str(path)]
            rows, seconds, memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            assert int(rows) == ROWS
            print(f"| {name} | {rows} | {path.stat().st_size / 1e6:.0f} | {float(seconds):.1f} | {float(memory):.0f} |")


def _line(name: str, n: int) -> str:
    who, side = f"sub-{n:07d}", "LR"[n % 2]
    if name == "scans":
        return f"{who}\tses-01\t{side}\tarchive/2026/study{n:07d}\n"
    if name == "readings":
        return f"r{n % 3}\t1\t{who}\tses-01\t{side}\tmedial_meniscus\tbody\t{n % 4}\n"
    facts = _RUNNER.format(age=18 + n % 500 / 10, sex="FM"[n % 2], bmi=18 + n % 1500 / 100, km=n % 120)
    return "\t".join([who, *facts.split()]) + "\n"


def _measure(path: Path) -> tuple[int, float, float]:
    table = {"scans": tables.SCANS, "participants": tables.PARTICIPANTS, "readings": tables.READINGS}[path.stem]
    memory, seconds = _peak_mb(), time.process_time()
    rows = tables.read_table(path, table)
    return len(rows), time.process_time() - seconds, _peak_mb() - memory


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
