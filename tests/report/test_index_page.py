"""The page of all knees in a real browser, from a file: filtered, sorted and opened by keyboard; 2 000 knees."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.browser import Browser, find_browser, nameless, poor_contrast

from kneeline import grading, tables
from kneeline.report.gather import Results
from kneeline.report.index_page import COLUMNS, list_script, write_index

HOSTILE = '</script><img src=x onerror="window.broken = 1"> & "quoted" \u2028'


def results_of(n: int) -> Results:
    """Every third knee flagged, every tenth for review, every twentieth set aside; grades and fluid by number."""
    rows = {table.name: [] for table in (tables.INGEST_SCANS, tables.MENISCUS, tables.EFFUSION, tables.CARTILAGE)}
    for i in range(n):
        keys = {"participant_id": f"sub-{i:04}", "session_id": "ses-01", "laterality": "LR"[i % 2]}
        status = {"scan_id": tables.scan_id(*keys.values()), **keys, "status": "ok", "stage": None, "reason": None}
        status["verdict"] = "review" if i % 10 == 0 else "ok"
        if i % 20 == 7:
            status |= {"status": "quarantined", "stage": "ingest", "verdict": None, "reason": HOSTILE}
        rows[tables.INGEST_SCANS.name].append(status)
        if status["status"] != "ok":
            continue
        for m in grading.MENISCI:
            for r in grading.REGIONS:
                grade = i % 4 if (m, r) == ("lateral", "body") else 0
                flags = f"contact_one_slice,{HOSTILE.replace(',', ' ')}" if i % 3 == 0 and m == "medial" else None
                row = {**keys, "meniscus": m, "region": r, "signal_grade": grade, "flags": flags}
                rows[tables.MENISCUS.name].append(row)
        known = None if i % 9 == 0 else i % 3
        fluid = {**keys, "fluid_ml": float(i % 50), "effusion_grade": known, "flags": None}
        rows[tables.EFFUSION.name].append(fluid)
        plate = {**keys, "plate": "femoral_cartilage", "cartilage_grade": 2, "flags": "experimental"}
        rows[tables.CARTILAGE.name].append(plate)
    return Results(rows)


def written(folder: Path, n: int) -> Path:
    found = results_of(n)
    (folder / "knees").mkdir(parents=True)
    for row in found.good:
        (folder / "knees" / f"{row['scan_id']}.html").write_text("<title>a knee</title>")
    return write_index(found, folder)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return written(tmp_path_factory.mktemp("forty"), 40)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    running = Browser(find_browser(), tmp_path_factory.mktemp("browser"), "--disable-software-rasterizer")
    yield running
    running.close()


def opened(browser, page, more="", **size):
    tab = browser.profile().open(page.as_uri() + more, **size)
    tab.wait("document.body.dataset.shown")
    return tab


def ids(tab) -> list[str]:
    return tab.js("[...document.querySelectorAll('#rows tr')].map(r => r.dataset.id)")


def number(scan: str) -> int:
    return int(scan[4:8])


def parsed(script: str) -> dict:
    return json.loads(script.removeprefix("kneelineKnees(").removesuffix(");\n"))


def test_the_list_holds_what_the_tables_hold():
    found = results_of(20)
    told = parsed(list_script(found, frozenset({found.scans[1]["scan_id"]})))
    rows = [dict(zip(told["columns"], row, strict=True)) for row in told["rows"]]
    assert told["columns"] == list(COLUMNS)
    assert [row["id"] for row in rows] == [row["scan_id"] for row in found.scans]
    assert [row["page"] for row in rows] == [0, 1, *[0] * 18]
    assert rows[6]["grades"] == [0, 0, 0, 0, 2, 0]
    assert (rows[6]["signal"], rows[6]["effusion"], rows[6]["ml"], rows[6]["cartilage"]) == (2, 0, 6.0, 2)
    assert [told["flags"][k] for k in rows[6]["flags"]][-1] == "contact one slice"
    assert rows[9]["effusion"] is None  # not graded is not 0
    assert (rows[7]["status"], rows[7]["signal"]) == ("quarantined", None)
    assert list_script(found, frozenset()) == list_script(results_of(20), frozenset())


def test_filter_by_keyboard_open_a_knee_and_go_on_in_that_order(browser, page):
    tab = opened(browser, page)
    assert len(ids(tab)) == 40
    tab.key("/")
    for letter in "contact":
        tab.key(letter)
    tab.wait("document.querySelectorAll('#rows tr').length < 40")
    expected = [i for i in range(40) if i % 3 == 0 and i % 20 != 7]
    assert list(map(number, ids(tab))) == expected
    assert tab.js("document.getElementById('count').textContent") == f"{len(expected)} of 40"
    tab.key("Escape")
    tab.keys("ArrowDown", "ArrowDown")
    here = tab.js("document.activeElement.closest('tr').dataset.id")
    assert number(here) == expected[2]
    tab.js("document.activeElement.click()")
    tab.wait("document.title === 'a knee'")
    address = unquote(tab.js("location.href"))
    assert address.endswith(f"knees/{here}.html#q=contact")


def test_numbers_sort_as_numbers_and_what_is_missing_comes_last(browser, page):
    tab = opened(browser, page)
    for times, order in ((1, -1), (2, 1)):
        tab.click("th[data-sort='-ml'] button")
        good = sorted((i for i in range(40) if i % 20 != 7), key=lambda i: order * i)
        assert list(map(number, ids(tab))) == [*good, 7, 27], times
    direction = "document.querySelector('th[data-sort=\"-ml\"]').getAttribute('aria-sort')"
    assert tab.js(direction) == "ascending"
    tab.click("th[data-sort='-effusion'] button")
    missing = [i for i in range(40) if i % 9 == 0 or i % 20 == 7]
    assert list(map(number, ids(tab)))[-len(missing) :] == missing
    tab.reload()  # the order stands in the address
    tab.wait("document.body.dataset.shown")
    assert list(map(number, ids(tab)))[-len(missing) :] == missing


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("show", "look", lambda i: i % 20 == 7 or i % 10 == 0 or i % 3 == 0),
        ("show", "aside", lambda i: i % 20 == 7),
        ("side", "R", lambda i: i % 2 == 1),
        ("signal", "2", lambda i: i % 4 >= 2 and i % 20 != 7),
        ("effusion", "na", lambda i: i % 9 == 0 or i % 20 == 7),
    ],
)
def test_each_filter_keeps_what_it_names(browser, page, name, value, wanted):
    tab = opened(browser, page, f"#{name}={value}")
    assert list(map(number, ids(tab))) == [i for i in range(40) if wanted(i)]
    assert tab.js(f"document.getElementById('{name}').value") == value
    tab.key("x")
    assert len(ids(tab)) == 40


def test_hostile_texts_stay_texts(browser, page):
    tab = opened(browser, page)
    assert tab.js("window.broken") is None
    assert HOSTILE in tab.js("document.querySelector('tr[data-id*=sub-0007] .flags').textContent")
    assert tab.js("document.querySelectorAll('#rows img:not([src*=_thumbnail])').length") == 0
    assert any(
        HOSTILE in text for text in tab.js("[...document.querySelectorAll('#flag option')].map(o => o.textContent)")
    )


def test_two_thousand_knees_come_as_they_are_looked_at(browser, tmp_path):
    page = written(tmp_path / "many", 2000)
    assert (page.parent / "knees.js").stat().st_size < 400_000
    assert page.stat().st_size < 60_000
    tab = opened(browser, page)
    assert tab.js("document.querySelectorAll('#rows tr').length") < 300
    tab.key("End")
    assert number(tab.js("document.activeElement.closest('tr').dataset.id")) == 1999
    box = tab.js("(() => { const r = document.activeElement.getBoundingClientRect(); return [r.top, r.bottom]; })()")
    assert 0 < box[0] < box[1] < 768
    tab.key("/")
    for letter in "sub-1234":
        tab.key(letter)
    tab.wait("document.querySelectorAll('#rows tr').length === 1")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_can_be_read_and_operated_by_everyone(browser, page, scheme):
    tab = opened(browser, page)
    tab.scheme(scheme)
    assert poor_contrast(tab) == []
    assert nameless(tab) == []
    tab.key("g")
    assert tab.js("document.body.className") == "gallery"
    assert poor_contrast(tab) == []
    tab.key("ArrowRight")
    assert number(tab.js("document.activeElement.closest('tr').dataset.id")) == 1
    assert tab.js("document.documentElement.scrollWidth <= 1366 && document.documentElement.scrollHeight <= 768")
    assert tab.js("document.getElementById('list').scrollWidth <= document.getElementById('list').clientWidth")
