"""Contrast classes of protocols that exist (OAI, clinical routine, UCSF); times in ms."""

import pytest

from kneeline.ingest.contrast import classify
from kneeline.ingest.words import words_in

PROTOCOLS = [
    # name, TE, TR, spin echo, fat suppressed by a tag -> class
    ("SAG IW TSE FS", 30, 3200, True, False, "PDFS"),
    ("COR IW TSE", 29, 3700, True, False, "PD"),
    ("SAG 3D DESS WE", 4.7, 16.3, False, False, "DESS"),
    ("COR T1 3D FLASH WE", 7.6, 20, False, False, "T1"),
    ("pd_tse_fs_sag", 31, 2800, True, True, "PDFS"),
    ("T2 SAG FatSat", 85, 4000, True, False, "T2FS"),
    ("T2 SAG", 85, 4000, True, False, "T2"),
    ("T1 SAG", 12, 600, True, False, "T1"),
    ("SAG CUBE", 26.7, 1500, True, False, "PD"),
    ("STIR sag", 45, 4500, True, True, "PDFS"),
    ("MESE T2 map", 18.9, 2450, True, False, "PD"),  # physics before words
    ("sag", None, None, False, False, "other"),
    ("PD SPAIR sag", None, None, False, False, "PDFS"),
    ("PD and T2 sag", None, None, False, False, "other"),  # two names, no physics: no guess
    ("3D SPGR", 3, 10, False, False, "T1"),
]


@pytest.mark.parametrize(("name", "te", "tr", "spin", "fat", "expected"), PROTOCOLS, ids=[p[0] for p in PROTOCOLS])
def test_class(name, te, tr, spin, fat, expected):
    words = set(words_in(name))
    got = classify(words, echo_time_ms=te, repetition_time_ms=tr, spin_echo=spin, fat_suppressed=fat)
    assert got.name == expected
