"""A participant withdraws: their knee leaves a reading package, and readings of the others are still taken back."""

import fcntl
import json
import shutil

import pytest

from kneeline import cli
from kneeline.errors import UsageError
from kneeline.read import withdraw
from kneeline.read.gather import gather
from kneeline.read.keys import read_key
from kneeline.read.serve import journal_path, read_index

GONE = "sub-901"


@pytest.fixture
def study(made, results, tmp_path, monkeypatch):
    """A study with two packages, one in its results, and answers to all cases of the first."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "config").mkdir()
    for name in ("scans", "participants"):
        (tmp_path / f"config/{name}.tsv").write_text("participant_id\n")
    (tmp_path / "config/config.yaml").write_text("participants: config/participants.tsv\nscans: config/scans.tsv\n")
    package = made.package(tmp_path / "results", tmp_path / "results/reading", "anna", 3)
    made.package(tmp_path / "results", tmp_path / "bert", "bert", 4)
    answers = [json.dumps({"case": row["case_id"], "answers": {}}) for row in package.key]
    journal_path(package.folder).write_text("\n".join(['{"token": "x"}', *answers]) + "\n")
    return package


def rows_of(package, person):
    return [row for row in package.key if row["participant_id"] == person]


def test_page_pixels_answers_and_key_lose_the_knee_and_keep_the_others(study, made, tmp_path_factory, capsys):
    gone, kept = rows_of(study, GONE), [row for row in study.key if row["participant_id"] != GONE]
    early = tmp_path_factory.mktemp("mail") / "readings_anna.tsv"  # the reader sent it before
    early.write_text(made.export(study.key, {(row["case_id"], "acl", None): 1 for row in study.key}))
    assert cli.main(["forget", GONE]) == 0
    assert "out of the reading package of" in capsys.readouterr().out
    left = [case["id"] for case in read_index(study.folder)["cases"]]
    assert left == [row["case_id"] for row in kept]
    assert sorted(path.stem for path in (study.folder / "cases").iterdir()) == sorted(left)
    lines = journal_path(study.folder).read_text().splitlines()
    assert lines[0] == '{"token": "x"}'
    assert [json.loads(line)["case"] for line in lines[1:]] == left
    for path in study.folder.parent.parent.rglob("*"):
        told = b"" if path.is_dir() or path.suffix == ".gz" else path.read_bytes()
        assert GONE.encode() not in str(path).encode() + told, path
    assert read_key(study.built.key) == [
        row | dict.fromkeys(withdraw.FORGOTTEN) if row in gone else row for row in study.key
    ]
    taken = gather([study.built.key, early])
    assert {row["participant_id"] for row in taken} == {row["participant_id"] for row in kept}


def test_a_package_that_is_served_is_left_whole(study):
    cases = set((study.folder / "cases").iterdir())
    with open(journal_path(study.folder)) as served:
        fcntl.flock(served, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="stop it, then try again"):
            withdraw.withdraw(GONE, study.built.key)
    assert set((study.folder / "cases").iterdir()) == cases
    assert withdraw.keys_of(GONE, study.folder.parent.parent) == [
        study.built.key.parent.parent / "bert_key.tsv",
        study.built.key,
    ]


def test_a_package_of_nobody_else_goes(study):
    for number in range(1, 7):
        withdraw.withdraw(f"sub-90{number}", study.built.key)
    assert not study.folder.exists()
