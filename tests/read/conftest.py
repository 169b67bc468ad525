"""Six small knees whose pixels tell where they are, a results folder around them, and a browser."""

import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.browser import Browser, find_browser

from kneeline import tables
from kneeline.read.form import ITEMS
from kneeline.read.gather import EXPORT
from kneeline.read.keys import read_key
from kneeline.read.package import build_package
from kneeline.volume import Volume, write_volume

SHAPE, SPACING_MM = (7, 30, 24), (3.5, 0.6, 0.75)
# What must not reach the page, planted where a package maker might pick it up.
SECRETS = ("rearfoot", "heelstrike77", "sub-9", "ses-0", "knee-L", "knee-R", "Anonyma")


def make_volume(number: int, laterality: str) -> Volume:
    """Whole numbers that grow with x (hundreds), z (tens) and y (ones); the array's axes are L, S, A."""
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    affine = np.diag([-SPACING_MM[0], SPACING_MM[2], SPACING_MM[1], 1.0])[:, [0, 2, 1, 3]]
    return Volume((1000 + 400 * (SHAPE[0] - i) + 10 * j + k + number).astype(np.int16), affine)


def make_results(folder: Path, n: int = 6) -> Path:
    rows = []
    for number in range(1, n + 1):
        side = "LR"[number % 2]
        keys = {"participant_id": f"sub-9{number:02}", "session_id": "ses-01", "laterality": side}
        scan = tables.scan_id(*keys.values())
        rows.append({"scan_id": scan, **keys, "status": "ok", "verdict": "review", "reason": "Anonyma"})
        (folder / "ingest").mkdir(parents=True, exist_ok=True)
        write_volume(folder / "ingest" / f"{scan}_image.nii.gz", make_volume(number, side))
        for stage, what in (("ingest", "image.json"), ("segment", "structures.tsv"), ("score", "meniscus.tsv")):
            tables.write_text(folder / stage / f"{scan}_{what}", "rearfoot heelstrike77 Anonyma")
    rows.append(
        {"scan_id": "sub-999_ses-01_knee-L", "participant_id": "sub-999", "session_id": "ses-01", "laterality": "L"}
        | {"status": "quarantined", "stage": "ingest", "reason_code": "missing_slice", "reason": "a slice is missing"}
    )
    tables.write_table(folder / "ingest" / "scans.tsv", rows, tables.INGEST_SCANS)
    return folder


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("run") / "results")


@pytest.fixture(scope="session")
def anna(results, tmp_path_factory):
    """A package of six knees, one of them twice, for reader anna: `built`, and `key` rows by case."""
    return make_package(results, tmp_path_factory.mktemp("anna") / "package", "anna", 3)


def make_package(results, folder, rater, seed, **more):
    built = build_package(results, folder, rater, seed, **more)
    key = read_key(built.key)
    return SimpleNamespace(built=built, folder=folder, url=built.page.as_uri(), key=key)


def index_of(page: Path) -> dict:
    """What the page knows: its index."""
    line = next(line for line in page.read_text().splitlines() if line.startswith("kneeline.index = {"))
    return json.loads(line.removeprefix("kneeline.index = ").removesuffix(";"))


def export_text(key, answers, at="2026-11-20T10:00:00.000Z", change=None, phase="blind") -> str:
    """An export as the page would write it: `answers` {(case, structure, region): grade, "x" or None (taken back)}."""
    images = {row["case_id"]: row["image_sha256"] for row in key}
    lines = ["\t".join(EXPORT.header)]
    for (case, structure, region), answer in answers.items():
        status = "taken_back" if answer is None else "not_readable" if answer == "x" else "given"
        cells = [
            key[0]["package_sha256"], key[0]["rater_id"], case, images[case], structure, region or "n/a",
            str(answer) if status == "given" else "n/a", status, at, at, "0.1.0", phase, str(len(answers)),
        ]  # fmt: skip
        if change:
            cells = change(cells)
        lines.append("\t".join([*cells, f"{zlib.crc32(chr(9).join(cells).encode()):08x}"]))
    return "\n".join(lines) + "\n"


def all_items(case, grade=0):
    return {(case, item.structure, item.region): grade for item in ITEMS} | {(case, "confidence", None): 2}


@pytest.fixture(scope="session")
def made():
    """What the tests need of this file, without importing it."""
    return SimpleNamespace(
        SHAPE=SHAPE, SPACING_MM=SPACING_MM, SECRETS=SECRETS, volume=make_volume, results=make_results,
        package=make_package, index=index_of, export=export_text, all_items=all_items,
    )  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium without GPU and without its software stand-in, as on a remote desktop."""
    running = Browser(find_browser(), tmp_path_factory.mktemp("browser"), "--disable-software-rasterizer")
    yield running
    running.close()


@pytest.fixture
def profile(browser):
    """A computer nobody has used."""
    fresh = browser.profile()
    yield fresh
    fresh.close()
