"""Readings with the machine's results in view are told apart: nothing that measures agreement takes them."""

import pytest
from tests.cohort.test_outlines import knee

from kneeline import tables
from kneeline.cohort.agreement import compare_raters
from kneeline.cohort.assisted import NOTE, compare_assisted
from kneeline.cohort.input_checks import reading_faults
from kneeline.cohort.readings import key_of, of_phase
from kneeline.statistics.agreement import kappa
from kneeline.statistics.resampled import Resampling

NONE = Resampling(0, 1)
MACHINE = [0, 1, 2, 3, 0, 1, 2, 3]
BLIND = [0, 0, 2, 2, 0, 1, 1, 3]
ASSISTED = [0, 1, 2, 3, 0, 1, 1, 3]  # two of three differences given up
KNEES = [knee(n, grade) for n, grade in enumerate(MACHINE)]


def rows(grades, phase, rater="anna"):
    return [
        {name: row[name] for name in tables.KNEE_KEYS}
        | {"rater_id": rater, "reading": 1, "structure": "effusion", "region": None, "grade": grade, "phase": phase}
        for row, grade in zip(KNEES, grades, strict=True)
    ]


def crossed(one, two):
    table = [[0] * 4 for _ in range(4)]
    for a, b in zip(one, two, strict=True):
        table[a][b] += 1
    return table


def test_each_phase_is_compared_with_the_other_and_with_the_machine():
    agreement, confusion = compare_assisted(KNEES, rows(BLIND, "blind"), rows(ASSISTED, "assisted"), (), (), NONE)
    assert agreement[0]["note"] == NOTE
    for comparison, one, two in (
        ("assisted: anna blind with anna assisted", BLIND, ASSISTED),
        ("assisted: machine with anna blind", MACHINE, BLIND),
        ("assisted: machine with anna assisted", MACHINE, ASSISTED),
    ):
        found = {row["statistic"]: row for row in agreement if row["comparison"] == comparison}
        expected = kappa(crossed(one, two), "quadratic").estimate
        assert found["weighted_kappa_quadratic"]["estimate"] == pytest.approx(expected)
        cells = {(r["grade_a"], r["grade_b"]): r["n"] for r in confusion if r["comparison"] == comparison}
        assert cells == {(a, b): crossed(one, two)[a][b] for a in range(4) for b in range(4)}
    assert all(row["comparison"].startswith("assisted") for row in agreement)
    tables.format_table(agreement, tables.AGREEMENT)


def test_only_knees_of_both_phases_are_compared():
    agreement, _ = compare_assisted(KNEES, rows(BLIND, "blind"), rows(ASSISTED, "assisted")[:6], (), (), NONE)
    assert {row["n"] for row in agreement if row.get("n")} == {6}


def test_without_assisted_readings_there_is_nothing():
    assert compare_assisted(KNEES, rows(BLIND, "blind"), [], (), (), NONE) == ([], [])


def test_the_stage_takes_the_blind_ones_for_agreement_and_totals(fabricate, analyse):
    runners = [fabricate.runner(i) for i in range(1, 9)]
    knees = [fabricate.knee(i, "L", 0, MACHINE[i - 1]) for i in range(1, 9)]

    def read(grades, phase):
        return [row | {"participant_id": f"sub-{i:03d}"} for i, row in enumerate(rows(grades, phase), start=1)]

    none = {"n_imputations": 0, "n_bootstrap": 0}
    alone = analyse(runners, knees, config=none, readings=read(BLIND, None), out="alone")
    both = analyse(runners, knees, config=none, readings=read(BLIND, "blind") + read(ASSISTED, "assisted"), out="both")
    for name in ("knees", "machine_error", "runners"):
        assert getattr(both, name) == getattr(alone, name)
    apart = [row for row in both.agreement if row["comparison"].startswith("assisted")]
    assert [row for row in both.agreement if row not in apart] == alone.agreement
    assert {row["comparison"] for row in apart} >= {"assisted: anna blind with anna assisted", "assisted readings"}


def test_both_phases_of_one_reading_are_not_the_same_thing_named_twice():
    both = rows(BLIND, "blind") + rows(ASSISTED, "assisted")
    scanned, runners = [key_of(row) for row in KNEES], {row["participant_id"] for row in KNEES}
    assert reading_faults(both, scanned, runners) == []
    assert len(reading_faults(both + rows(BLIND, "blind"), scanned, runners)) == len(KNEES)
    assert len(of_phase(both, assisted=True)) == len(of_phase(both, assisted=False)) == len(KNEES)
    agreement, _ = compare_raters(KNEES, of_phase(both, assisted=False), (), (), NONE)
    assert {row["n"] for row in agreement if row["comparison"] == "machine with anna reading 1"} == {len(KNEES)}
