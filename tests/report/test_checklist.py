"""Checklists: complete by number, links that lead somewhere, and answers that follow the run."""

import re

import pytest

from kneeline import tables
from kneeline.report import checklist
from kneeline.report.checklist import ADD, HERE, NONE, PARTLY
from kneeline.report.gather import Results, gather

SHA = "0" * 64


@pytest.fixture(scope="module")
def found(results):
    folder, truth = results
    return gather(folder, folder / "report", truth)


def answers(found, config):
    """Items by (checklist's first word, number)."""
    return {
        (each.name.split()[0].strip(","), item.number if item.number != "-" else item.asks): item
        for each in checklist.checklists(found, config)
        for item in each.items
    }


def reread(found, *rows, **tables_more):
    return Results({**found.rows, tables.READINGS.name: list(rows), **tables_more})


def reading(rater, number, **more):
    row = {"rater_id": rater, "reading": number, "participant_id": "sub-001", "session_id": "ses-01", "laterality": "R"}
    return row | {"structure": "effusion", "region": None, "grade": 1} | more


def agreement(comparison, statistic="weighted_kappa_quadratic"):
    row = dict.fromkeys(tables.AGREEMENT.header)
    return row | {"comparison": comparison, "structure": "effusion", "statistic": statistic, "estimate": 0.8, "n": 9}


def test_the_items_are_those_of_the_checklists(found, made):
    strobe, claim, _ = checklist.checklists(found, made.CONFIG)
    assert [i.number for i in claim.items] == [str(n) for n in range(1, 45)]
    assert list(dict.fromkeys(re.match(r"\d+", i.number)[0] for i in strobe.items)) == [str(n) for n in range(1, 23)]
    letters = {"1": "ab", "12": "abcde", "13": "abc", "14": "ab", "16": "abc"}  # of a cross-sectional study
    expected = [n + letter for n in map(str, range(1, 23)) for letter in (letters.get(n) or [""])]
    assert [i.number for i in strobe.items] == expected
    for each in (strobe, claim):
        assert sum(each.counts.values()) == len(each.items)


def test_every_section_that_is_named_is_on_the_page(built, found, made):
    ids = set(re.findall(r'id="([^"]+)"', built[1]))
    for item in answers(found, made.CONFIG).values():
        assert item.state in checklist.STATES
        assert not item.section or item.section in checklist.SECTIONS
        assert not item.section or item.section in ids
        # What is said to be here can be found: a section or a page of the documentation.
        assert item.state != HERE or item.section or "docs/" in item.note


def test_documentation_that_is_named_exists(found, made):
    root = checklist.__file__.split("/src/")[0]
    pages = {
        name for item in answers(found, made.CONFIG).values() for name in re.findall(r"docs/[a-z-]+\.md", item.note)
    }
    assert len(pages) >= 5
    for name in pages:
        with open(f"{root}/{name}") as file:
            assert file.read(1)


def test_blinding_of_readers_is_what_the_table_shows(found, made):
    asks = ("What", "readers blind to exposure and to the machine")
    assert answers(found, made.CONFIG)[asks].state == NONE
    page = answers(reread(found, reading("anna", 1, package_sha256=SHA)), made.CONFIG)
    assert page[asks].state == HERE
    assert page["CLAIM", "17"].state == HERE
    by_hand = answers(reread(found, reading("anna", 1)), made.CONFIG)
    assert by_hand[asks].state == ADD
    assert by_hand["CLAIM", "17"].state == ADD


@pytest.mark.parametrize(
    ("comparisons", "state", "said"),
    [
        ((), ADD, "one reader, once"),
        (("anna reading 1 with ben reading 1",), PARTLY, "Not known: within a reader"),
        (("anna reading 1 with anna reading 2",), PARTLY, "Not known: between readers"),
        (
            ("anna reading 1 with ben reading 1", "anna reading 1 with anna reading 2"),
            HERE,
            "between readers, of a reader",
        ),
        (("machine with anna reading 1",), ADD, "one reader, once"),
    ],
)  # fmt: skip
def test_agreement_of_readers_is_present_or_not(found, made, comparisons, state, said):
    rows = [agreement(text) for text in comparisons]
    item = answers(reread(found, reading("anna", 1), **{tables.AGREEMENT.name: rows}), made.CONFIG)["CLAIM", "18"]
    assert item.state == state
    assert said in item.note


def test_external_tests_are_never_claimed_of_simulated_knees(found, made):
    rows = {tables.AGREEMENT.name: [agreement("machine with anna reading 1")]}
    read = reread(found, reading("anna", 1), **rows)
    assert answers(read, made.CONFIG)["CLAIM", "33"].state == ADD
    assert answers(read, {**made.CONFIG, "simulate": None})["CLAIM", "33"].state == PARTLY


def test_ethics_is_the_studys_unless_nobody_took_part(found, made):
    asks = ("What", "ethics approval and consent")
    assert answers(found, made.CONFIG)[asks].state == NONE
    assert answers(found, {**made.CONFIG, "simulate": None})[asks].state == ADD


def test_without_any_table_nothing_of_the_analysis_is_claimed(made):
    bare = answers(Results({}), {**made.CONFIG, "simulate": None})
    for number in ("12a", "12b", "12c", "12e", "14a", "14b", "15", "16a", "16c", "17"):
        assert bare["STROBE", number].state == ADD, number
    for number in ("14", "18", "33", "37", "38"):
        assert bare["CLAIM", number].state == ADD, number


def test_a_refused_interaction_is_not_reported_as_made(found, made):
    assert answers(found, made.CONFIG)["STROBE", "12b"].state == ADD  # the made-up run refuses it
    row = next(r for r in found[tables.ESTIMATES] if r["model"] == "cumulative_logit_interaction")
    made_one = Results({**found.rows, tables.ESTIMATES.name: [{**row, "status": "estimated", "estimate": 1.0}]})
    assert answers(made_one, made.CONFIG)["STROBE", "12b"].state == HERE
