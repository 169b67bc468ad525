"""Sides from texts: read with suspicion."""

import pytest

from kneeline.errors import Refusal
from kneeline.ingest.laterality import resolve_side, side_in_text

SAID = {
    "SAG PD FS LEFT": "L",
    "MRT Knie links": "L",
    "knee_lt": "L",
    "L KNEE": "L",
    "LKNEE": "L",
    "Knie Li.": "L",
    "genou gauche": "L",
    "rodilla derecha": "R",
    "RIGHT KNEE SAG": "R",
    "t2_tse_sag_RE_Knie": "R",
    "KNEE^RT": "R",
    "genou DROIT": "R",
    "Kniegelenk rechts": "R",
}
SILENT = [
    "SAG PD FS",
    "RT",  # also radiotherapy, real time, respiratory trigger
    "SAG RT",
    "PD L-SPINE",
    "phase R>L KNEE",
    "BOTH KNEES LEFT AND RIGHT",
    "KNEE L/R",
    "KNEE",
    "ALIGHTING LEFTOVER BRIGHT",
    "RECHTSVENTRIKEL",
    "",
    None,
    "RE: KNEE L or R",
]


@pytest.mark.parametrize("text", SAID)
def test_a_text_that_names_one_side(text):
    assert side_in_text(text) == SAID[text]
    assert side_in_text(text.lower()) == SAID[text]


@pytest.mark.parametrize("text", SILENT)
def test_a_text_that_names_none_or_both(text):
    assert side_in_text(text) is None


def test_the_first_source_decides_and_all_are_kept():
    side = resolve_side("R", {"text": "R", "tag": "R"})
    assert (side.laterality, side.source, side.sources) == ("R", "table", "table=R,tag=R,text=R")
    side = resolve_side(None, {"text": "L"})
    assert (side.laterality, side.source, side.sources) == ("L", "text", "text=L")
    side = resolve_side(None, {})
    assert (side.laterality, side.source, side.sources) == (None, None, None)


def test_sources_that_differ_are_named_in_plain_words():
    with pytest.raises(Refusal, match="scans table says L, the header's laterality tag says R") as refusal:
        resolve_side("L", {"tag": "R"})
    assert refusal.value.code == "laterality_conflict"
