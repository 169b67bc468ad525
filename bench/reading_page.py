"""Reading page: size of a knee, rounding, CPU seconds to pack it, seconds until the browser shows it, ms a slice.

python bench/reading_page.py

Smooth anatomy-like blobs with Rician noise (bright tissue at 30 times the noise), headless Chromium without GPU. CPU
seconds count every process of the browser, from opening the file to the first slice, start of the browser excluded; on
a machine that does nothing else, wall seconds are about the same or less.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.browser import Browser, find_browser

from kneeline import tables
from kneeline.read.package import build_package
from kneeline.read.serve import read_index
from kneeline.volume import Volume, write_volume

SHAPES = {"24 x 256 x 256": (24, 256, 256), "32 x 384 x 384": (32, 384, 384), "160 x 384 x 384": (160, 384, 384)}
SCAN = "sub-1_ses-01_knee-R"
MOST_MB, MOST_SECONDS = 8.0, 2.0


def make_image(shape: tuple[int, int, int]) -> Volume:
    chance = np.random.default_rng(1)
    coarse = chance.uniform(0, 1400, (8, 10, 10))
    tissue = ndimage.zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1)
    tissue[:, :, : shape[2] // 4] = 0  # air
    noise = chance.normal(0, 45, (2, *shape))
    return Volume(
        np.hypot(tissue + noise[0], noise[1]).astype(np.int16), np.diag([3.0, -0.4, -0.4, 1])[:, [0, 2, 1, 3]]
    )


def cpu_seconds(browser: Browser) -> float:
    process = psutil.Process(browser.pid)
    return sum(sum(p.cpu_times()[:2]) for p in [process, *process.children(recursive=True)])


def main() -> None:
    heads = ("MB", 6), ("rounded %", 11), ("pack CPU s", 12), ("ready CPU s", 13), ("ready s", 9), ("ms a slice", 12)
    print(f"{'slices':18s}" + "".join(f"{head:>{width}s}" for head, width in heads))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        browser = Browser(find_browser(), home / "browser", "--disable-software-rasterizer")
        try:
            for row, (title, shape) in enumerate(SHAPES.items()):
                measure(browser, home / str(row), title, shape)
        finally:
            browser.close()
    print(f"targets: at most {MOST_MB:g} MB a knee, 160 slices ready in {MOST_SECONDS:g} s")


def measure(browser: Browser, folder: Path, title: str, shape: tuple[int, int, int]) -> None:
    (folder / "ingest").mkdir(parents=True)
    write_volume(folder / "ingest" / f"{SCAN}_image.nii.gz", make_image(shape))
    knee = {"scan_id": SCAN, "participant_id": "sub-1", "session_id": "ses-01", "laterality": "R", "status": "ok"}
    tables.write_table(folder / "ingest" / "scans.tsv", [knee], tables.INGEST_SCANS)
    start = time.process_time()
    built = build_package(folder, folder / "package", "bench", 1)
    packing = time.process_time() - start
    # The largest error of a pixel, in per cent of the first window.
    rounded = 100 * read_index(folder / "package")["cases"][0]["error"]
    profile = browser.profile()
    before, clock = cpu_seconds(browser), time.monotonic()
    tab = profile.open(built.page.as_uri())
    tab.wait("document.body.dataset.shown", seconds=300)
    ready, wall = cpu_seconds(browser) - before, time.monotonic() - clock
    a_slice = tab.js(
        "(() => { const v = kneeline.page.viewer, t = performance.now();"
        " for (let n = 0; n < 60; n++) { v.slice = n % v.count; v.paint(); } return (performance.now() - t) / 60; })()"
    )
    profile.close()
    size = built.largest_bytes / 1e6
    print(f"{title:18s}{size:6.1f}{rounded:11.2f}{packing:12.1f}{ready:13.2f}{wall:9.2f}{a_slice:12.1f}", flush=True)


if __name__ == "__main__":
    main()
