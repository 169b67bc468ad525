"""Knee pages and the page of all knees: sizes, CPU seconds to make one, seconds until the browser shows it.

python bench/knee_page.py

Images are those of reading_page.py (noise as of a real scan), labels are twelve smooth regions, so that every slice has
long outlines. Headless Chromium without GPU; its CPU seconds count all its processes. "CPU ms a slice" is to paint one
with all outlines, whose paths are not yet known, and filled.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from reading_page import SHAPES, Browser, cpu_seconds, find_browser, make_image
from scipy import ndimage

from kneeline import grading, tables
from kneeline.report.gather import Results
from kneeline.report.index_page import write_index
from kneeline.report.pictures import picture_scan
from kneeline.volume import write_volume

SCAN, KNEE = "sub-1_ses-01_knee-R", {"participant_id": "sub-1", "session_id": "ses-01", "laterality": "R"}
COHORTS = (200, 2000, 10_000)


def write_knee(folder: Path, shape: tuple[int, int, int]) -> None:
    image = make_image(shape)
    coarse = np.random.default_rng(2).uniform(0, 11, (5, 6, 6))
    labels = np.rint(ndimage.zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1))
    write_volume(folder / f"{SCAN}_image.nii.gz", image)
    write_volume(folder / f"{SCAN}_dseg.nii.gz", image.with_array(labels.astype(np.uint8)))
    tables.write_status(folder, {"scan_id": SCAN, **KNEE, "status": "ok", "verdict": "ok"})


def knee_pages(browser: Browser, home: Path) -> None:
    heads = (("slices MB", 11), ("page, thumbnail, picture kB", 29), ("make CPU s", 12), ("ready CPU s", 13))
    heads = (*heads, ("ready s", 9), ("CPU ms a slice", 16))
    print(f"{'a knee':18s}" + "".join(f"{head:>{width}s}" for head, width in heads))
    for row, (title, shape) in enumerate(SHAPES.items()):
        folder = home / str(row)
        folder.mkdir()
        write_knee(folder, shape)
        start = time.process_time()
        picture_scan(SCAN, *[folder] * 3, folder / "report")
        made = time.process_time() - start
        knees = folder / "report" / "knees"
        size = {end: (knees / f"{SCAN}{end}").stat().st_size for end in (".html", "_thumbnail.png", "_pixels.js")}
        small = [size[".html"], size["_thumbnail.png"], (folder / "report" / f"{SCAN}_overlay.png").stat().st_size]
        tab, ready, wall = opened(browser, knees / f"{SCAN}.html")
        before = cpu_seconds(browser)
        tab.js(
            "(() => { const v = kneeline.page.viewer; v.fillShare = .3;"
            " for (let n = 0; n < 60; n++) { v.slice = n % v.count; v.paths.clear(); v.paint(); } })()"
        )
        a_slice = 1000 * (cpu_seconds(browser) - before) / 60
        kilobytes = ", ".join(f"{n / 1e3:.0f}" for n in small)
        print(
            f"{title:18s}{size['_pixels.js'] / 1e6:11.1f}{kilobytes:>29s}{made:12.1f}{ready:13.2f}{wall:9.2f}"
            f"{a_slice:16.0f}",
            flush=True,
        )


def opened(browser: Browser, page: Path):
    before, clock = cpu_seconds(browser), time.monotonic()
    tab = browser.profile().open(page.as_uri())
    tab.wait("document.body.dataset.shown", seconds=300)
    return tab, cpu_seconds(browser) - before, time.monotonic() - clock


def cohort(n: int) -> Results:
    chance = np.random.default_rng(3)
    rows: dict[str, list] = {table.name: [] for table in (tables.INGEST_SCANS, tables.MENISCUS, tables.EFFUSION)}
    for i in range(n):
        keys = KNEE | {"participant_id": f"sub-{i:05}"}
        scan = tables.scan_id(*keys.values())
        rows["ingest/scans"].append(
            {"scan_id": scan, **keys, "status": "ok", "verdict": "ok", "stage": None, "reason": None}
        )
        for m in grading.MENISCI:
            for r in grading.REGIONS:
                flags = "contact_one_slice,thick_slices" if chance.random() < 0.1 else None
                row = {"meniscus": m, "region": r, "signal_grade": int(chance.integers(4)), "flags": flags}
                rows[tables.MENISCUS.name].append(keys | row)
        fluid = {"fluid_ml": float(chance.gamma(2, 5)), "effusion_grade": int(chance.integers(4)), "flags": None}
        rows[tables.EFFUSION.name].append(keys | fluid)
    return Results(rows)


def index_pages(browser: Browser, home: Path) -> None:
    heads = (("list kB", 9), ("page kB", 9), ("make CPU s", 12), ("ready CPU s", 13), ("ready s", 9), ("filter ms", 11))
    print(f"\n{'all knees':18s}" + "".join(f"{head:>{width}s}" for head, width in heads))
    for n in COHORTS:
        found = cohort(n)
        folder = home / f"all-{n}"
        (folder / "knees").mkdir(parents=True)
        for row in found.good:
            (folder / "knees" / f"{row['scan_id']}.html").touch()
        start = time.process_time()
        page = write_index(found, folder)
        made = time.process_time() - start
        tab, ready, wall = opened(browser, page)
        filtered = tab.js(
            "(() => { const t = performance.now(); for (const q of ['s', 'su', 'sub-0', 'contact', ''])"
            " kneeline.page.change({ q }); return (performance.now() - t) / 5; })()"
        )
        listed = (folder / "knees.js").stat().st_size
        print(
            f"{n:<18d}{listed / 1e3:9.0f}{page.stat().st_size / 1e3:9.0f}{made:12.1f}{ready:13.2f}{wall:9.2f}"
            f"{filtered:11.0f}",
            flush=True,
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        browser = Browser(find_browser(), home / "browser", "--disable-software-rasterizer")
        try:
            knee_pages(browser, home)
            index_pages(browser, home)
        finally:
            browser.close()
    print("targets: at most 300 kB a knee beside its slices; 160 slices at most 8 MB and ready in 2 s")


if __name__ == "__main__":
    main()
