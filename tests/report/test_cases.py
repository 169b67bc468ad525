"""Which knees stand for a grade: by the stated rule, the same whatever the order of rows, nobody else's choice."""

import random

from kneeline import tables
from kneeline.report.cases import choose_cases, chosen
from kneeline.report.gather import Results


def run(knees):
    """knees: name -> (signal grade, verdict, confidence of the less certain meniscus, outlined by)."""
    rows = {tables.INGEST_SCANS.name: [], tables.KNEES.name: [], tables.SEGMENT.name: []}
    for name, (grade, verdict, confidence, by) in knees.items():
        keys = {"participant_id": name, "session_id": "ses-01", "laterality": "L"}
        scan = f"{name}_ses-01_knee-L"
        rows[tables.INGEST_SCANS.name].append(
            {"scan_id": scan, **keys, "status": "ok", "verdict": verdict, "outlined_by": by}
        )
        knee = {"signal_grade": grade, "effusion_grade": None, "verdict": verdict, "analysed": verdict != "unusable"}
        rows[tables.KNEES.name].append(keys | knee)
        for structure, value in (("medial_meniscus", confidence), ("lateral_meniscus", 0.99)):
            rows[tables.SEGMENT.name].append({"scan_id": scan, "structure": structure, "confidence": value})
    return Results(rows)


KNEES = {
    "sub-a": (1, "ok", 0.95, "machine"),
    "sub-b": (1, "ok", 0.90, "machine"),
    "sub-c": (1, "ok", 0.85, "machine"),
    "sub-d": (1, "review", 0.99, "machine"),
    "sub-e": (1, "ok", 0.10, "edited by anna"),
    "sub-f": (1, "unusable", 0.20, "machine"),
    "sub-g": (2, "ok", 0.70, "machine"),
    "sub-h": (3, "ok", None, "machine"),
    "sub-i": (3, "ok", 0.80, "machine"),
}


def names(case):
    return tuple(scan and scan.split("_")[0] for scan in (case.typical, case.worst))


def test_the_middle_and_the_least_trusted_stand_for_a_grade():
    none, one, two, three = choose_cases(run(KNEES))[:4]
    # Edited outlines have no confidence of the network, unusable ones enter no analysis.
    assert one.n == 4
    assert names(one) == ("sub-b", "sub-d")  # the verdict comes before the confidence
    assert one.worst_confidence == 0.99
    assert (two.n, *names(two)) == (1, "sub-g", None)
    assert names(three) == ("sub-i", "sub-h")  # nothing known is trusted least
    assert (none.n, *names(none)) == (0, None, None)


def test_order_of_rows_changes_nothing():
    first = choose_cases(run(KNEES))
    for seed in range(5):
        items = list(KNEES.items())
        random.Random(seed).shuffle(items)
        assert choose_cases(run(dict(items))) == first


def test_equal_confidence_goes_by_name():
    case = choose_cases(run(dict.fromkeys(("sub-z", "sub-y", "sub-x"), (0, "ok", 0.9, "machine"))))[0]
    assert names(case) == ("sub-y", "sub-z")


def test_a_knee_that_stands_for_two_is_listed_once():
    knees = run(KNEES)
    for row in knees[tables.KNEES]:
        row["effusion_grade"] = 0
    roles = chosen(choose_cases(knees))
    assert len(roles) == len(set(roles))
    assert max(len(said) for said in roles.values()) >= 2
