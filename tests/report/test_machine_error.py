"""Naive beside corrected on the page, from rows as the cohort stage writes them."""

from dataclasses import replace

import pytest
from tests.cohort.test_machine_error import SETTINGS, _cohort

from kneeline.cohort.machine_error import machine_error_rows
from kneeline.report import machine_error
from kneeline.tables import MACHINE_ERROR


@pytest.fixture(scope="module")
def rows():
    """Effusion read in 120 knees of 60 runners; the signal grade, which no knee has, is refused."""
    knees, readings, _ = _cohort(150, 60, seed=1)
    settings = replace(SETTINGS, n_bootstrap=40, n_imputations=0)
    return [dict.fromkeys(MACHINE_ERROR.header) | row for row in machine_error_rows(knees, readings, settings)]


def _lines(view):
    names = [cell.text for cell in view.headings]
    return [dict(zip(names, (cell.text for cell in line), strict=True)) for line in view.rows]


def test_prevalences_stand_beside_each_other(rows):
    lines = _lines(machine_error.prevalence_view(rows))
    assert [line["what"] for line in lines[:3]] == [f"grade {grade} or more" for grade in (1, 2, 3)]
    first = next(row for row in rows if row["quantity"] == "prevalence of grade 1 or more")
    assert lines[0]["naive"].startswith(f"{100 * first['naive']:.0f}\xa0% (")
    assert lines[0]["corrected"].startswith(f"{100 * first['estimate']:.0f}\xa0% (")
    assert (lines[0]["knees"], lines[0]["read"], lines[0]["how"]) == ("300", "120", "matrix method")


def test_odds_ratios_say_what_was_refused(rows):
    lines = _lines(machine_error.odds_ratio_view(rows))
    assert lines[0]["what"] == "crude strike: rearfoot"
    assert " to " in lines[0]["naive"]
    assert " to " in lines[0]["corrected"]
    refused = [row for row in rows if row["scale"] == "odds_ratio" and row["status"] == "refused"]
    assert [line["corrected"] for line in lines].count("refused") == len(refused)
    assert all(line["note"] for line in lines)
    assert not any("for the truth" in line["note"] for line in lines)  # the page says it once


def test_differences_name_exposure_and_p(rows):
    lines = _lines(machine_error.difference_view(rows))
    assert lines[0]["what"] == "machine's grade at equal reader's grade, rearfoot"
    assert lines[-1]["what"].endswith("distance per 10 km")
    assert all(line["read knees"] != "n/a" for line in lines)


def test_an_outcome_that_nobody_read_is_a_note(rows):
    (note,) = machine_error.notes(rows)
    assert note.startswith("meniscal signal grade: 0 knees of 0 runners")


def test_every_row_is_shown_once_but_the_confusion(rows):
    views = (machine_error.prevalence_view, machine_error.odds_ratio_view, machine_error.difference_view)
    shown = sum(len(view(rows).rows) for view in views) + len(machine_error.notes(rows))
    assert len(rows) - shown == sum(row["quantity"].startswith("machine grade") for row in rows)
