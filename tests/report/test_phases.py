"""What was read with the machine's results in view is not told as blind."""

from kneeline import tables
from kneeline.report.gather import Results
from kneeline.report.methods import methods, reading


def rows(phase, *participants):
    base = {"rater_id": "anna", "reading": 1, "session_id": "ses-01", "laterality": "L", "structure": "effusion"}
    base |= {"region": None, "grade": 1, "phase": phase, "package_sha256": "0" * 64}
    return [base | {"participant_id": who} for who in participants]


def readers(found, config):
    return dict(methods(Results({tables.READINGS.name: found}), config).paragraphs)["Readers"]


def test_an_assisted_reading_is_counted_apart(made):
    blind, aided = rows("blind", "sub-1", "sub-2", "sub-3"), rows("assisted", "sub-1", "sub-2")
    text = readers(blind + aided, made.CONFIG)
    assert "1 reader graded 3 knees." in text
    assert "2 knees were graded again with the machine's results in view" in text
    assert "in view" not in readers(blind, made.CONFIG)


def test_an_assisted_reading_alone_is_none(made):
    aided = rows("assisted", "sub-1")
    assert reading(Results({tables.READINGS.name: aided})) is None
    assert "No reader graded these knees without the machine's results in view" in readers(aided, made.CONFIG)
