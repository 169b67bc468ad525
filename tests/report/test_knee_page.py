"""A knee's page in a real browser, from a file, with and without WebGL: what is drawn lies where it was measured.

The knee is built voxel by voxel, the measurements lie where this file puts them, in the world of the scan.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tests.browser import Browser, find_browser, nameless, poor_contrast

from kneeline import grading, tables
from kneeline.labels import Label
from kneeline.report import knee_page, pictures
from kneeline.volume import Volume, write_array, write_volume

SPACING = (3.0, 0.5, 0.8)  # right, down, back
SHAPE = (12, 90, 70)
HOSTILE = '</script><img src=x onerror="window.broken = 1"><!-- {{ 7 * 7 }} & "quoted"'
FLUID, MENISCUS = np.s_[7, 10:30, 20:40], np.s_[3:5, 60:70, 30:45]
COMPONENT = np.s_[4, 62:65, 33:37]


def affine():
    out = np.zeros((4, 4))
    out[0, 0], out[2, 1], out[1, 2], out[3, 3] = SPACING[0], -SPACING[1], -SPACING[2], 1
    return out


def world(i, j, k):
    return [round(float(v), 3) for v in (affine() @ [i, j, k, 1])[:3]]


def scan_of(side, number=7):
    return f"sub-{number:03}_ses-01_knee-{side}"


def write_knee(folder: Path, side: str, number: int = 7, reason: str | None = None, flag: str | None = None) -> str:
    """Everything that the stages would have written of a knee; its id."""
    scan = scan_of(side, number)
    folder.mkdir(parents=True, exist_ok=True)
    keys = {"participant_id": f"sub-{number:03}", "session_id": "ses-01", "laterality": side}
    image = np.full(SHAPE, 300, np.int16)
    image[:, :, 60:] = 900
    labels, t2 = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
    labels[2:10, 40:55, 10:60] = Label.FEMUR
    labels[FLUID], labels[MENISCUS] = Label.JOINT_FLUID, Label.MEDIAL_MENISCUS
    t2[MENISCUS] = 0.020
    write_volume(folder / f"{scan}_image.nii.gz", Volume(image, affine()))
    write_volume(folder / f"{scan}_dseg.nii.gz", Volume(labels, affine()))
    write_array(folder / f"{scan}_T2map.nii.gz", t2, affine())
    row = {"volume_mm3": 400.0, "hyperintense_mm3": 0.0, "signal_extent_mm": 0.0, "surface_slices": 0, "t2_ms": 20.0}
    meniscus = [
        {**keys, "meniscus": m, "region": r, "signal_grade": 2 if (m, r) == ("medial", "body") else 0, "flags": flag}
        | row
        for m in grading.MENISCI
        for r in grading.REGIONS
    ]
    effusion = [{**keys, "fluid_ml": 5.0, "midline_depth_mm": 8.0, "effusion_grade": 2, "pouch_in_view": True}]
    tables.write_table(folder / f"{scan}_meniscus.tsv", meniscus, tables.MENISCUS)
    tables.write_table(folder / f"{scan}_effusion.tsv", effusion, tables.EFFUSION)
    cartilage = {**keys, "plate": "femoral_cartilage", "defect_area_mm2": 31.0, "defect_depth_pct": 60.0}
    tables.write_table(folder / f"{scan}_cartilage.tsv", [cartilage | {"cartilage_grade": 3}], tables.CARTILAGE)
    runs = [[4, j, 33, 4] for j in range(62, 65)]
    geometry = {
        "scan_id": scan,
        "laterality": side,
        "lines": [
            {"table": "effusion", "column": "midline_depth_mm", "rows": [{}], "length_mm": 8.0}
            | {"from_mm": world(7, 20, 25), "to_mm": world(7, 20, 35)},
        ],
        "components": [
            {"table": "meniscus", "column": "hyperintense_mm3", "rows": [{"meniscus": "medial", "region": "body"}]}
            | {"counted": True, "component_mm3": 14.4, "runs": runs},
        ],
    }
    defect = {"table": "cartilage", "column": "defect_area_mm2", "rows": [{"plate": "femoral_cartilage"}]}
    geometry["surfaces"] = [defect | {"points_mm": [world(8, 40, k) for k in range(20, 30, 2)]}]
    (folder / f"{scan}_geometry.json").write_text(json.dumps(geometry))
    status = {"scan_id": scan, **keys, "status": "ok", "verdict": "review" if reason else "ok", "reason": reason}
    tables.write_status(folder, status)
    return scan


def make_page(folder: Path, scan: str, **more) -> Path:
    pictures.picture_scan(scan, *[folder] * 3, folder / "report", **more)
    return folder / "report" / "knees" / f"{scan}.html"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("knees")
    return SimpleNamespace(
        folder=folder, **{side: make_page(folder, write_knee(folder, side)).as_uri() for side in "RL"}
    )


@pytest.fixture(scope="module", params=["", "--disable-software-rasterizer"], ids=["usual", "without WebGL"])
def browser(request, tmp_path_factory):
    running = Browser(find_browser(), tmp_path_factory.mktemp("browser"), *filter(None, [request.param]))
    yield running
    running.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """For what has nothing to do with drawing."""
    running = Browser(find_browser(), tmp_path_factory.mktemp("browser"), "--disable-software-rasterizer")
    yield running
    running.close()


def opened(browser, url, **size):
    tab = browser.profile().open(url, **size)
    tab.wait("document.body.dataset.shown")
    return tab


PIXEL = """(() => {{
  const v = kneeline.page.viewer;
  v.paint();
  const [x, y] = v.toScreen(v.at({column}, {row})).map((n) => Math.round(n));
  return [...v.canvas.getContext("2d").getImageData(x - 2, y - 2, 5, 5).data];
}})()"""


def colours(tab, row, column) -> np.ndarray:
    """Pixels around a voxel's centre on the screen, (25, 3)."""
    return np.array(tab.js(PIXEL.format(row=row, column=column))).reshape(-1, 4)[:, :3]


def near(pixels, ink, within=40) -> bool:
    return bool((np.abs(pixels - np.array(ink)).max(1) <= within).any())


CYAN, PINK, YELLOW = (0x5C, 0xF2, 0xFF), (0xFF, 0x5C, 0xE1), (0xF0, 0xE4, 0x42)


def slice_of(tab) -> int:
    return tab.js("kneeline.page.viewer.slice")


@pytest.mark.parametrize("side", ["R", "L"])
def test_measurements_and_outlines_lie_where_they_were_made(browser, pages, side):
    """Slices run from lateral to medial: index i of the file is slice 11 - i of a right knee, i of a left one."""
    tab = opened(browser, pages.__dict__[side])
    place = lambda i: 11 - i if side == "R" else i  # noqa: E731
    tab.js(f"kneeline.page.viewer.go({place(7)})")
    assert near(colours(tab, 20, 30), CYAN)  # on the depth line
    assert near(colours(tab, 10, 19.5), YELLOW)  # the outline runs between the last voxel outside and the first inside
    assert not near(colours(tab, 25, 30), YELLOW)
    tab.js(f"kneeline.page.viewer.go({place(4)})")
    assert near(colours(tab, 63, 32.5), PINK)
    assert not near(colours(tab, 20, 30), CYAN)
    tab.js(f"kneeline.page.viewer.go({place(5)})")  # one slice on there is neither
    assert not near(colours(tab, 63, 32.5), PINK)
    assert tab.complaints() == [
        "Failed to load resource: net::ERR_FILE_NOT_FOUND"
    ]  # the list of knees, which is not there


def test_scrolling_by_wheel_and_by_keys(browser, pages):
    tab = opened(browser, pages.R)
    tab.key("Home")
    assert slice_of(tab) == 0
    tab.keys("ArrowDown", "ArrowRight", "ArrowUp")
    assert slice_of(tab) == 1
    left, top, width, height = tab.box("#canvas")
    tab.mouse("mouseWheel", left + width / 2, top + height / 2, deltaX=0, deltaY=120)
    tab.wait("kneeline.page.viewer.slice === 2")
    tab.wait("document.getElementById('where').textContent.startsWith('sagittal 3 / 12')")
    tab.keys("PageDown", "PageDown", "PageDown")
    assert slice_of(tab) == 11
    low, high = tab.js("[kneeline.page.viewer.low, kneeline.page.viewer.high]")
    tab.key("ArrowRight", 8)  # with Shift: wider
    assert tab.js("kneeline.page.viewer.high - kneeline.page.viewer.low") > high - low
    assert slice_of(tab) == 11


def test_structures_can_be_hidden_and_faded(browser, pages):
    tab = opened(browser, pages.R)
    tab.js("kneeline.page.viewer.go(4)")
    assert near(colours(tab, 10, 19.5), YELLOW)
    tab.key("1")
    assert not near(colours(tab, 10, 19.5), YELLOW)
    assert tab.js("[...document.querySelectorAll('#structures input')].map(b => b.checked)") == [False, True, True]
    tab.key("1")
    tab.click("#structures input")
    assert not near(colours(tab, 10, 19.5), YELLOW)
    tab.click("#structures input")
    strong = colours(tab, 10, 19.5).max(0).astype(int)
    tab.keys("[", "[", "[", "[")
    faded = colours(tab, 10, 19.5).max(0).astype(int)
    assert strong[1] > 200 > 100 > faded[1] > 40
    tab.key("o")
    assert not near(colours(tab, 10, 19.5), YELLOW, within=110)
    assert near(colours(tab, 20, 30), CYAN)  # measurements have a switch of their own
    tab.key("k")
    assert not near(colours(tab, 20, 30), CYAN)
    tab.keys("l")
    filled = colours(tab, 25, 30)[12]
    assert filled[0] > filled[2] + 40  # yellow over grey


def test_what_is_under_the_pointer_is_named_and_its_line_lit(browser, pages):
    tab = opened(browser, pages.R)
    tab.js("kneeline.page.viewer.go(7)")
    left, top, *_ = tab.box("#canvas")

    def hover(row, column):
        tab.js("kneeline.page.viewer.paint()")
        x, y = tab.js(f"kneeline.page.viewer.toScreen(kneeline.page.viewer.at({column}, {row}))")
        tab.mouse("mouseMoved", left + x, top + y)
        tab.wait("!document.getElementById('point').hidden")
        return tab.js("document.getElementById('point').innerText")

    assert hover(68, 40).split("\n") == ["medial meniscus", "signal 300, T2 20.0 ms"]
    assert "bright signal, 14.4 mm³, grade 2" in hover(63, 34)
    assert tab.js("document.querySelector('tr.lit').id") == "meniscus-medial-body"
    assert hover(45, 30).split("\n") == ["femur", "signal 300"]
    assert hover(80, 65) == "signal 900"
    assert tab.js("document.querySelector('tr.lit')") is None
    tab.mouse("mouseMoved", left - 5, 5)
    tab.wait("document.getElementById('point').hidden")


def test_a_line_of_the_findings_leads_to_its_place(browser, pages):
    tab = opened(browser, pages.R)
    assert slice_of(tab) == 7  # the page opens at a finding
    tab.click("#effusion-midline_depth_mm button")
    assert slice_of(tab) == 4
    assert tab.js("document.querySelector('tr[aria-current]').id") == "effusion-midline_depth_mm"
    tab.key("z")
    tab.js("kneeline.page.viewer.paint()")
    x, y = tab.js("kneeline.page.viewer.toScreen(kneeline.page.viewer.at(30, 20))")
    _, _, width, height = tab.box("#canvas")
    assert (x, y) == (pytest.approx(width / 2, abs=2), pytest.approx(height / 2, abs=2))  # in the middle, and nearer
    assert tab.js("kneeline.page.viewer.zoom") == 4
    tab.key("z")
    tab.key(",")
    assert slice_of(tab) == 7
    assert tab.js("document.querySelector('tr[aria-current]').id") == "meniscus-medial-body"
    tab.key("Escape")
    assert tab.js("document.querySelector('tr[aria-current]')") is None
    linked = tab.js("[...document.querySelectorAll('tr[id]:has(button)')].map(r => r.id)")
    # No line pretends to have a place.
    assert linked == ["meniscus-medial-body", "effusion-midline_depth_mm", "cartilage-femoral_cartilage"]


def test_what_is_experimental_is_drawn_when_it_is_asked_for(browser, pages):
    tab = opened(browser, pages.R)
    tab.js("kneeline.page.viewer.go(3)")
    assert not near(colours(tab, 40, 24), PINK)
    tab.key(",")  # the last of the places
    assert slice_of(tab) == 3
    assert tab.js("document.getElementById('experimental').open") is True
    assert near(colours(tab, 40, 24), PINK)
    assert "31 mm², 60 % deep" in tab.js("kneeline.page.viewer.chosen.words")
    tab.key("Escape")
    assert not near(colours(tab, 40, 24), PINK)


def test_t2_has_its_colours_and_their_bar(browser, pages):
    tab = opened(browser, pages.R)
    assert tab.js("document.getElementById('t2-bar').hidden") is True
    tab.keys("t", "o", "k")
    tab.js("kneeline.page.viewer.t2Share = 1")
    assert tab.js("document.getElementById('t2-bar').hidden") is False
    found = colours(tab, 67, 40)[12]
    assert list(found) == tab.js("kneeline.t2Colour(20 / 80)")
    assert not near(colours(tab, 45, 30), found)  # none in bone


def test_without_a_viewer_the_page_shows_the_picture_and_no_slices(plain, tmp_path):
    scan = write_knee(tmp_path, "R")
    make_page(tmp_path, scan)
    page = make_page(tmp_path, scan, viewer=False)
    assert not (page.parent / f"{scan}_pixels.js").exists()
    tab = opened(plain, page.as_uri())
    assert tab.js("getComputedStyle(document.getElementById('viewer')).display") == "none"
    assert tab.js("document.querySelector('#picture img').naturalWidth") > 500
    assert tab.js("document.querySelectorAll('#menisci tr[id]').length") == 8


def test_files_of_another_run_or_none_are_told(plain, tmp_path):
    scan = write_knee(tmp_path, "R")
    page = make_page(tmp_path, scan)
    pixels = page.parent / f"{scan}_pixels.js"
    whole = pixels.read_bytes()
    for content, said in (
        (whole.replace(whole[17:20], b"000", 1), "another run"),
        (whole[:99], "damaged"),
        (None, "missing"),
    ):
        pixels.write_bytes(content) if content else pixels.unlink()
        tab = plain.profile().open(page.as_uri())
        tab.wait("document.getElementById('loading').textContent.startsWith('The slices cannot')")
        assert said in tab.js("document.getElementById('loading').textContent")


def test_hostile_texts_stay_texts(plain, tmp_path):
    page = make_page(tmp_path, write_knee(tmp_path, "R", reason=HOSTILE, flag=HOSTILE))
    tab = opened(plain, page.as_uri())
    assert tab.js("window.broken") is None
    assert tab.js("document.querySelector('.note').textContent") == HOSTILE
    assert HOSTILE in tab.js("document.querySelector('.flags').textContent")
    assert tab.js("document.querySelectorAll('img').length") == 1


def test_nothing_of_exposure_and_no_outside_address_is_on_a_page(plain, pages):
    exposures = {c.name for c in tables.PARTICIPANTS.columns} - {"participant_id", "notes"}
    for path in (pages.folder / "report").rglob("*.*"):
        text = path.read_text(encoding="latin-1").replace("http-equiv", "")
        if path.suffix in (".html", ".js", ".css") and not path.name.endswith("_pixels.js"):
            assert "http" not in text
            assert not [name for name in exposures if name in text], path.name
    tab = opened(plain, pages.R)
    asked = tab.asked("document.body.dataset.shown")
    assert len(asked) >= 4  # page, style, script, slices
    assert all(address.startswith("file:///") for address in asked)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_can_be_read_and_operated_by_everyone(plain, pages, scheme):
    tab = opened(plain, pages.R)
    tab.scheme(scheme)
    tab.js("document.querySelectorAll('details').forEach(d => d.open = true)")
    tab.click("#effusion-midline_depth_mm button")
    assert poor_contrast(tab) == []
    assert nameless(tab) == []
    tab.key("h")
    assert poor_contrast(tab) == []
    tab.key("Escape")
    tab.js("document.getElementById('help').focus({focusVisible: true})")
    assert tab.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (1920, 1080)])
def test_it_fits_the_screen(plain, pages, width, height):
    tab = opened(plain, pages.L, width=width, height=height)
    assert tab.js("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [width, height]
    assert (
        tab.js("(() => { const p = document.getElementById('panel'); return p.scrollWidth - p.clientWidth; })()") == 0
    )
    lowest = tab.js("document.getElementById('effusion-midline_depth_mm').getBoundingClientRect().bottom")
    assert lowest < height  # all findings without scrolling


def test_an_older_page_keeps_its_own_script(tmp_path, monkeypatch):
    """A knee that is made again by a newer version does not break the pages that are not."""
    page = make_page(tmp_path, write_knee(tmp_path, "R"))
    before = {p.name for p in page.parent.glob("page-*")}
    monkeypatch.setattr(knee_page, "shared_files", lambda: {"page-1.css": b"p {}", "page-1.js": b"1"})
    newer = make_page(tmp_path, write_knee(tmp_path, "L"))
    assert {p.name for p in page.parent.glob("page-*")} == before | {"page-1.css", "page-1.js"}
    assert all(name in page.read_text() for name in before)
    assert "page-1.js" in newer.read_text()
