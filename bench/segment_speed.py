"""Time and memory of segmenting one knee, image file in and labels file out: python bench/segment_speed.py

Each row is `kneeline segment IMAGE -o LABELS` in a process of its own: start, imports, reading, network, clean-up and
writing are all in it. Targets on two cores: 5 s for 30 x 512 x 512, 12 s for 160 x 384 x 384, 1 GB. The images are
simulated knees, so that every branch of the clean-up runs.

`share of peak` is the arithmetic of the network (its convolutions, counted from the graph as it runs on these
slices) over its CPU seconds, against a large float32 matrix product measured beside it on one thread. CPU seconds, not
wall time, because the machine may have other work; where it has, wall time tells little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# slices, matrix, slice distance (mm), pixel (mm)
IMAGES = {
    "30x512x512": (30, 512, 3.4, 0.3),
    "160x384x384": (160, 384, 0.7, 0.365),
    "30x288x288": (30, 288, 3.4, 0.52),
    "36x640x640": (36, 640, 3.0, 0.25),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", choices=IMAGES, default=list(IMAGES)[:2])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=1, help="the best is printed (default: 1)")
    asked = parser.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    peak = matrix_product()
    print(f"float32 matrix product, one thread: {peak / 1e9:.0f} GFLOP per CPU second\n")
    print(f"{'image':14s}{'threads':>8s}{'wall s':>9s}{'CPU s':>9s}{'peak MB':>9s}")
    with tempfile.TemporaryDirectory() as folder:
        shares = []
        for name in asked.images:
            image = Path(folder) / f"{name}.nii.gz"
            write_image(name, image)
            for threads in asked.threads:
                runs = [whole_process(image, threads) for _ in range(asked.repeats)]
                wall, cpu, memory = min(runs, key=lambda run: run[1])
                print(f"{name:14s}{threads:8d}{wall:9.1f}{cpu:9.1f}{memory:9.0f}", flush=True)
            shares.append((name, *network_alone(image)))
    print(f"\n{'network':14s}{'slices':>8s}{'GFLOP':>9s}{'CPU s':>9s}{'share of peak':>16s}")
    for name, slices, flops, cpu in shares:
        print(f"{name:14s}{slices:8d}{flops / 1e9:9.0f}{cpu:9.2f}{flops / cpu / peak:16.0%}")


def write_image(name: str, path: Path) -> None:
    from kneeline.simulate.run import simulate_knee
    from kneeline.volume import write_volume

    n, matrix, spacing, pixel = IMAGES[name]
    knee = simulate_knee(
        9000,
        "PDFS",
        laterality="R",
        spacing_mm=1.2,
        n_slices=n,
        matrix=matrix,
        pixel_mm=pixel,
        slice_thickness_mm=min(3.0, spacing),
        slice_gap_mm=max(spacing - 3.0, 0.0),
    )
    write_volume(path, knee.image)


def whole_process(image: Path, threads: int) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak megabytes of the command."""
    command = [sys.executable, "-m", "kneeline", "segment", str(image), "-o", str(image.with_name("labels.nii.gz"))]
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "KNEELINE_THREADS": str(threads)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def network_alone(image: Path) -> tuple[int, float, float]:
    """Slices, the network's floating-point operations on them, its CPU seconds on one thread."""
    from kneeline.segment import engine
    from kneeline.segment.preprocess import prepare
    from kneeline.volume import read_volume

    slices = prepare(read_volume(image))
    n = len(slices.array)
    run = engine.load(engine.chosen_name(), 1).run
    run(slices.inputs(0, 1))
    started = time.process_time()
    for i in range(n):
        run(slices.inputs(i, i + 1))
    return n, n * flops_of_a_slice(slices.inputs(0, 1)), time.process_time() - started


def flops_of_a_slice(array: np.ndarray) -> float:
    """Multiplications and additions in the convolutions of the graph, by the shapes that ONNX Runtime reports."""
    import onnxruntime

    from kneeline.segment.engine import NETWORK

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "trace")
        session = onnxruntime.InferenceSession(str(NETWORK), options, providers=["CPUExecutionProvider"])
        session.run(None, {"slices": array})
        events = json.loads(Path(session.end_profiling()).read_text())
    total = 0.0
    for event in events:
        if event.get("args", {}).get("op_name") == "Conv" and event["name"].endswith("kernel_time"):
            _, weight, *_ = (next(iter(shape.values())) for shape in event["args"]["input_type_shape"])
            (out,) = (next(iter(shape.values())) for shape in event["args"]["output_type_shape"])
            total += 2 * np.prod(out, dtype=float) * np.prod(weight[1:])
    return total


def matrix_product(size: int = 2048) -> float:
    """Floating-point operations a CPU second of NumPy's matrix product on one thread: the best of five."""
    code = (
        "import numpy, time\n"
        f"a = numpy.random.default_rng(0).random(({size}, {size}), numpy.float32)\n"
        "best = 1e9\n"
        "for _ in range(6):\n"
        "    t = time.process_time(); a @ a; best = min(best, time.process_time() - t)\n"
        "print(best)"
    )
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    answer = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **one}, check=True, capture_output=True, text=True
    )
    return 2 * size**3 / float(answer.stdout)


if __name__ == "__main__":
    main()
