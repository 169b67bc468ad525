"""The journal keeps every answer that was acknowledged, whatever kills its writer."""

import json
import os

import pytest

from kneeline.errors import UsageError
from kneeline.read.journal import Journal, check_answers

HEAD = {"package": "p", "rater": "anna"}


def answer(value, at, first=None):
    return {"value": value, "at": at, "first": at if first is None else first}


def reopen(path):
    journal = Journal(path, HEAD)
    answers = journal.answers
    journal.close()
    return answers


def test_answers_come_back_and_the_newer_counts(tmp_path):
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, HEAD)
    journal.keep("c1", {"acl": answer(1, 100)})
    journal.keep("c2", {"acl": answer("x", 50)})
    journal.keep("c1", {"acl": answer(2, 200, 100), "pcl": answer(0, 210)})
    journal.keep("c1", {"acl": answer(0, 150, 90)})  # late: an older answer
    journal.close()
    expected = {"c1": {"acl": answer(2, 200, 90), "pcl": answer(0, 210)}, "c2": {"acl": answer("x", 50)}}
    assert reopen(path) == expected
    assert oct(path.stat().st_mode)[-3:] == "600"


def test_a_line_cut_off_by_a_kill_is_dropped_and_nothing_else(tmp_path):
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, HEAD)
    journal.keep("c1", {"acl": answer(1, 100)})
    journal.keep("c1", {"acl": answer(2, 200)})
    journal.close()
    whole = path.read_bytes()
    cut = whole.index(b"\n", whole.index(b"100")) + 1
    for end in range(cut, len(whole)):  # killed after any byte of the last line
        path.write_bytes(whole[:end])
        journal = Journal(path, HEAD)
        assert journal.answers["c1"]["acl"]["value"] == 1
        journal.keep("c1", {"acl": answer(3, 300)})
        journal.close()
        assert reopen(path)["c1"]["acl"]["value"] == 3


def test_a_full_disk_keeps_the_journal_whole(tmp_path, monkeypatch):
    path = tmp_path / "answers.jsonl"
    journal = Journal(path, HEAD)
    journal.keep("c1", {"acl": answer(1, 100)})
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        with pytest.raises(OSError, match="full"):
            journal.keep("c1", {"acl": answer(2, 200)})
    journal.keep("c1", {"acl": answer(0, 300)})
    journal.close()
    assert reopen(path)["c1"]["acl"]["value"] == 0
    assert len(path.read_bytes().splitlines()) == 3


def test_one_server_a_journal(tmp_path):
    journal = Journal(tmp_path / "answers.jsonl", HEAD)
    with pytest.raises(UsageError, match="another server"):
        Journal(tmp_path / "answers.jsonl", HEAD)
    journal.close()


@pytest.mark.parametrize("other", [{"package": "q", "rater": "anna"}, {"package": "p", "rater": "ben"}])
def test_the_journal_of_another_package_or_reader_is_refused(tmp_path, other):
    Journal(tmp_path / "answers.jsonl", HEAD).close()
    with pytest.raises(UsageError, match="another package or reader"):
        Journal(tmp_path / "answers.jsonl", other)


def test_a_damaged_journal_is_refused_not_emptied(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(json.dumps(HEAD).encode() + b"\n{half a\n" + b'{"case":"c1","answers":{}}\n')
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is damaged"):
        Journal(path, HEAD)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "sent",
    [
        [], {"acl": 1}, {"acl": {"value": 1}}, {"acl": answer(3, 1)}, {"acl": answer(True, 1)}, {"acl": answer(1.0, 1)},
        {"acl": answer(1, -1)}, {"acl": answer(1, 2**60)}, {"spleen": answer(1, 1)}, {"confidence": answer("x", 1)},
        {"comment": answer("y" * 501, 1)}, {"comment": answer(7, 1)}, {"acl": answer("1", 1)},
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(sent):
    with pytest.raises(ValueError, match="answer|times|no such"):
        check_answers(sent)


def test_answers_are_taken():
    sent = {"acl": answer("x", 5), "marrow/femur": answer(2, 5), "confidence": answer(3, 5), "comment": answer("a", 5)}
    assert check_answers(sent | {"pcl": answer(None, 5)})
