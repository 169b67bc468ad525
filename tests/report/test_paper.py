"""The page on paper: a PDF by the browser that is there, nothing cut off, no trace of the screen's darkness."""

import os
import re

import pytest
from tests.browser import Browser, find_browser, poor_contrast

from kneeline import cli
from kneeline.errors import UsageError
from kneeline.report import paper

PAPER_PX = 680  # of A4 less its margins


@pytest.fixture(scope="module")
def page(built, tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "report.html"
    path.write_text(built[1], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tab(page, tmp_path_factory):
    browser = Browser(find_browser(), tmp_path_factory.mktemp("browser"))
    yield browser.profile().open(page.as_uri())
    browser.close()


def test_the_pdf_has_numbered_pages_an_outline_and_the_same_bytes_twice(page, tmp_path, monkeypatch):
    monkeypatch.setenv(paper.VARIABLE, find_browser())
    one, two = (paper.print_page(page, tmp_path / name).read_bytes() for name in ("one.pdf", "two.pdf"))
    assert one.startswith(b"%PDF-")
    assert b"%%EOF" in one[-32:]
    assert one == two
    assert len(re.findall(rb"/Type */Page\b", one)) > 5
    assert {
        tuple(map(round, map(float, box))) for box in re.findall(rb"/MediaBox *\[0 0 ([\d.]+) ([\d.]+)\]", one)
    } == {(595, 842)}
    assert b"/Outlines" in one
    assert not re.search(rb"\(D:\d", one)
    assert os.fsencode(tmp_path) not in one


def media(tab, **features):
    given = [{"name": f"prefers-{name}", "value": value} for name, value in features.items()]
    tab.call("Emulation.setEmulatedMedia", media="print", features=given)
    tab.call("Emulation.setDeviceMetricsOverride", width=PAPER_PX, height=1000, deviceScaleFactor=1, mobile=False)


def test_nothing_is_cut_off_on_paper(tab):
    media(tab)
    wide = tab.js(
        "[...document.querySelectorAll('.scroll, table, svg, img, pre')].filter(e => e.getClientRects().length)"
        f".filter(e => e.getBoundingClientRect().right > {PAPER_PX} + 1 || e.scrollWidth > e.clientWidth + 1 &&"
        " e.matches('.scroll, pre')).map(e => [e.tagName, e.getBoundingClientRect().right, e.textContent.slice(0, 60)])"
    )
    assert wide == []
    split = tab.js(
        "[...document.querySelectorAll('figure, tr, .knee')].filter(e => e.getClientRects().length &&"
        " getComputedStyle(e).breakInside !== 'avoid').length"
    )
    assert split == 0


def test_paper_is_white_whatever_the_screen_is(tab):
    media(tab, **{"color-scheme": "dark"})
    colours = tab.js("['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name])")
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    assert tab.js("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_what_is_folded_and_belongs_to_the_record_is_printed(tab):
    media(tab)
    shown = "e => e.getClientRects().length > 0 && e.checkVisibility()"
    assert tab.js(f"[...document.querySelectorAll('details.on-paper table, details.on-paper pre')].every({shown})")
    assert not tab.js(f"[...document.querySelectorAll('details:not(.on-paper)')].some({shown})")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_on_the_screen_can_be_read(tab, scheme):
    tab.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.call("Emulation.setDeviceMetricsOverride", width=1366, height=768, deviceScaleFactor=1, mobile=False)
    assert poor_contrast(tab) == []


def test_without_a_browser_the_way_out_is_named(monkeypatch, tmp_path, page):
    monkeypatch.delenv(paper.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(paper, "_candidates", lambda: paper.NAMES)
    with pytest.raises(UsageError, match=r"none was found.*KNEELINE_BROWSER.*print it to a PDF"):
        paper.find_browser()
    monkeypatch.setenv(paper.VARIABLE, "/no/such/browser")
    with pytest.raises(UsageError, match="'/no/such/browser', which cannot be run"):
        paper.find_browser()


def test_a_browser_that_prints_nothing_leaves_no_file(tmp_path, page):
    """Any program that does not make a PDF, and says something on its way out."""
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(UsageError, match=r"made no PDF \(no display\)"):
        paper.print_page(page, tmp_path / "out.pdf", str(program))
    assert not (tmp_path / "out.pdf").exists()


def test_the_command_asks_for_the_browser_before_it_works(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(paper.VARIABLE, "/no/such/browser")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "--pdf"]) == cli.BAD_USAGE
    assert "'/no/such/browser', which cannot be run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
