"""Exports become a readings table that `kneeline cohort` takes as it is; what does not fit is refused by name."""

import pytest

from kneeline import tables
from kneeline.cli import main
from kneeline.errors import UsageError
from kneeline.read.form import ITEMS
from kneeline.read.gather import GATHERED, gather


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


def test_cases_become_knees_again(anna, made, write, tmp_path):
    answers = {}
    for at, row in enumerate(anna.key):
        answers |= made.all_items(row["case_id"], grade=at % 3)
        answers[row["case_id"], "effusion", None] = "x"
    answers[anna.key[0]["case_id"], "comment", None] = "ganglion, see slice 4"
    answers[anna.key[1]["case_id"], "acl", None] = None
    export = write("readings_anna.tsv", made.export(anna.key, answers))
    out = tmp_path / "readings.tsv"
    assert main(["read", "import", str(anna.built.key), str(export), "-o", str(out)]) == 0
    for table in (tables.READINGS, GATHERED):
        rows = tables.read_table(out, table)
        assert len(rows) == len(anna.key) * len(ITEMS) - 1
    for row in rows:
        at, key = next((at, key) for at, key in enumerate(anna.key) if key["case_id"] == row["case_id"])
        same = ("rater_id", "reading", *tables.KNEE_KEYS, "scan_id", "position", "image_sha256")
        assert {name: row[name] for name in same} == {name: key[name] for name in same}
        readable = row["structure"] != "effusion"
        assert row["grade"] == (at % 3 if readable else None)
        assert row["status"] == ("graded" if readable else "not_readable")
        assert row["confidence"] == 2
        assert row["comment"] == ("ganglion, see slice 4" if at == 0 else None)
    assert not [r for r in rows if r["structure"] == "acl" and r["case_id"] == anna.key[1]["case_id"]]


def test_of_two_exports_the_later_answer_counts(anna, made, write):
    case = anna.key[0]["case_id"]
    early = write("a.tsv", made.export(anna.key, {(case, "effusion", None): 3, (case, "pcl", None): 1}))
    late = {(case, "effusion", None): 1, (case, "acl", None): 0}
    late = write("b.tsv", made.export(anna.key, late, at="2026-11-21T08:00:00.000Z"))
    for files in ([early, late, anna.built.key], [anna.built.key, late, early]):
        assert {row["structure"]: row["grade"] for row in gather(files)} == {"effusion": 1, "pcl": 1, "acl": 0}


def test_two_readers_in_one_table(anna, results, made, write, tmp_path):
    ben = made.package(results, tmp_path / "ben", "ben", 5)
    files = [anna.built.key, ben.built.key]
    for package in (anna, ben):
        answers = made.all_items(package.key[0]["case_id"])
        files.append(write(f"{package.key[0]['rater_id']}.tsv", made.export(package.key, answers)))
    assert {row["rater_id"] for row in gather(files)} == {"anna", "ben"}
    assert len(gather(files)) == 2 * len(ITEMS)
    with pytest.raises(UsageError, match="is of package .* the keys given are of"):
        gather([anna.built.key, files[3]])


def test_the_same_knee_in_two_packages_is_refused(anna, results, made, write, tmp_path):
    second = made.package(results, tmp_path / "second", "anna", 4)
    scan = anna.key[0]["scan_id"]
    files = [anna.built.key, second.built.key]
    for n, package in enumerate((anna, second)):
        case = next(row["case_id"] for row in package.key if row["scan_id"] == scan and row["reading"] == 1)
        files.append(write(f"{n}.tsv", made.export(package.key, {(case, "acl", None): 1})))
    with pytest.raises(UsageError, match="in two packages"):
        gather(files)


def other(cells, at, value):
    return [*cells[:at], value, *cells[at + 1 :]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda cells: other(cells, 1, "ben"), "line 2 is of reader ben, the key .* is of anna"),
        (lambda cells: other(cells, 3, "0" * 64), "was read on images that .* does not know"),
        (lambda cells: other(cells, 2, "ffffffff"), "case ffffffff was read on images"),
        (lambda cells: other(cells, 6, "7"), "effusion takes 0, 1, 2, 3, got '7'"),
        (lambda cells: other(cells, 4, "spleen"), "the form has no spleen"),
        (lambda cells: other(cells, 12, "12"), "12 rows were exported, the file has 1"),
        (lambda cells: other(cells, 11, "assisted"), "line 2 is of the assisted phase, the key .* is not"),
        (lambda cells: other(cells, 0, "0" * 64), "is of package 00000000"),
        (lambda cells: other(cells, 9, "20.11.2026 10:00"), "changed_at: expected when"),
    ],
)
def test_an_export_that_does_not_fit_is_refused_by_name(anna, made, write, change, why):
    """The checksum is right each time: other checks must find it."""
    text = made.export(anna.key, {(anna.key[0]["case_id"], "effusion", None): 2}, change=change)
    with pytest.raises(UsageError, match=why) as caught:
        gather([anna.built.key, write("odd.tsv", text)])
    assert "odd.tsv" in str(caught.value)


def test_a_changed_grade_is_noticed(anna, made, write):
    text = made.export(anna.key, {(anna.key[0]["case_id"], "effusion", None): 2})
    with pytest.raises(UsageError, match="line 2 was changed after the export"):
        gather([anna.built.key, write("changed.tsv", text.replace("\t2\tgiven", "\t3\tgiven"))])


def test_a_file_cut_off_is_noticed(anna, made, write):
    text = made.export(anna.key, made.all_items(anna.key[0]["case_id"]))
    with pytest.raises(UsageError, match="19 rows were exported, the file has 12"):
        gather([anna.built.key, write("cut.tsv", "".join(text.splitlines(keepends=True)[:13]))])


@pytest.mark.parametrize("files", [["key"], ["export"], ["key", "other"], ["key", "key", "export"]])
def test_keys_and_exports_must_both_be_there_once(anna, made, write, files):
    paths = {
        "key": anna.built.key,
        "export": write("e.tsv", made.export(anna.key, {(anna.key[0]["case_id"], "acl", None): 0})),
        "other": write("o.tsv", "a\tb\n1\t2\n"),
    }
    with pytest.raises(UsageError, match="no export|no key|neither a key|keys of the same package"):
        gather(paths[name] for name in files)
