"""Time and memory of reading one series, beside SimpleITK: python bench/ingest_speed.py

Each reader runs in a process of its own on the same files (written once, then read once to warm the disk's cache).
CPU seconds and peak memory are counted from the end of the imports; SimpleITK does no checks, kneeline does all of
them and measures quality. The target for 160 x 384 x 384: 1 CPU-second and 250 MB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SERIES = {
    "3-D 160x384x384": ((160, 384, 384), (0.7, 0.365, 0.365)),
    "2-D 30x512x512": ((30, 512, 512), (3.3, 0.3, 0.3)),
}
READERS = ("kneeline", "SimpleITK")
REPEATS = 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.reader:
        print(*_measure(asked.reader, asked.folder))
        return
    print(f"{'series':18s}{'reader':12s}{'CPU s (best of 3)':>20s}{'MB beyond imports':>20s}")
    with tempfile.TemporaryDirectory() as root:
        for name, (shape, spacing) in SERIES.items():
            folder = Path(root) / name.split()[1]
            _write(folder, shape, spacing)
            for reader in READERS:
                runs = [_in_a_process(reader, folder) for _ in range(REPEATS)]
                print(f"{name:18s}{reader:12s}{min(r[0] for r in runs):20.2f}{min(r[1] for r in runs):20.0f}")


def _write(folder: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> None:
    from kneeline.simulate.dicom import write_series
    from kneeline.volume import Volume

    affine = np.eye(4)
    affine[:3, :3] = np.array([[1.0, 0, 0], [0, 0, -1], [0, -1, 0]]) * spacing
    array = np.random.default_rng(0).integers(100, 1000, shape).astype(np.uint16)
    write_series(folder, Volume(array, affine), uid_seed="bench", laterality="R")


def _in_a_process(reader: str, folder: Path) -> tuple[float, float]:
    command = [sys.executable, __file__, "--reader", reader, "--folder", str(folder)]
    seconds, megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(megabytes)


def _measure(reader: str, folder: str) -> tuple[float, float]:
    if reader == "kneeline":
        import pydicom.filereader
        import pydicom.pixels  # noqa: F401

        from kneeline.ingest.run import load_knee

        def read():
            return load_knee(folder).image.array
    else:
        import SimpleITK as sitk

        def read():
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(folder)
            return sitk.GetArrayFromImage(sitk.ReadImage(names))

    memory, seconds = _peak_mb(), time.process_time()
    array = read()
    assert array.any()
    return time.process_time() - seconds, _peak_mb() - memory


def _peak_mb() -> float:
    # Linux only. getrusage would do elsewhere, but there a child inherits the peak of its parent.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
