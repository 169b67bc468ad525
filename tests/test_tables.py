import math
import os

import numpy as np
import pytest

from kneeline import tables
from kneeline.errors import UsageError
from kneeline.tables import Column, Table
from kneeline.volume import Volume, write_volume

SMALL = Table(
    "small",
    "things",
    (
        Column("name", "text", "its name", needed=True, pattern="[a-z]+"),
        Column("size_mm", "float", "its size", low=0, high=10),
        Column("count", "int", "how many"),
        Column("kind", "text", "which kind", allowed=("a", "b")),
        Column("seen", "bool", "was it seen"),
        Column("extra", "text", "anything", optional=True),
    ),
    key=("name",),
)
HEADER = "name\tsize_mm\tcount\tkind\tseen\n"


def write(tmp_path, text, name="t.tsv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_round_trip_keeps_values_and_missing_is_not_zero(tmp_path):
    rows = [
        {"name": "x", "size_mm": 1.25, "count": 3, "kind": "a", "seen": True, "extra": "tab\tand\nline"},
        {"name": "y", "size_mm": None, "count": None, "kind": None, "seen": None, "extra": None},
        {"name": "z", "size_mm": math.nan, "count": 0, "kind": "b", "seen": False, "extra": "0"},
    ]
    tables.write_table(tmp_path / "t.tsv", rows, SMALL)
    back = tables.read_table(tmp_path / "t.tsv", SMALL)
    assert back[0] == {**rows[0], "extra": "tab and line"}
    assert back[1] == rows[1]
    assert back[2] == {**rows[2], "size_mm": None}


def test_bom_crlf_and_blank_lines_are_read(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbf" + HEADER.replace("\n", "\r\n").encode() + b"x\t1\t2\ta\ttrue\r\n\r\n")
    assert tables.read_table(path, SMALL)[0]["count"] == 2


def test_csv_by_its_name(tmp_path):
    path = write(tmp_path, HEADER.replace("\t", ",") + "x,1,2,a,true\n", "t.csv")
    assert tables.read_table(path, SMALL)[0]["size_mm"] == 1


def test_all_faults_are_told_at_once_with_line_and_column(tmp_path):
    path = write(tmp_path, HEADER + "X1\t1,5\tmany\tc\tmaybe\n\t11\t1\ta\ttrue\nx\t1\n")
    with pytest.raises(UsageError) as told:
        tables.read_table(path, SMALL)
    text = str(told.value)
    for expected in (
        "line 2, column name",
        "decimals need a point",
        "line 2, column count: expected a whole number, got 'many'",
        "expected one of a, b, got 'c'",
        "expected true or false",
        "line 3, column name: may not be empty",
        "from 0 to 10, got '11'",
        "line 4: 2 cells, the header has 5",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name\tname\tsize_mm\tcount\tkind\tseen\n", "'name' twice"),
        ("name\tcount\n", "missing column(s) size_mm, kind, seen"),
        ("name,size_mm,count,kind,seen\nx,1,2,a,true\n", "looks comma-separated"),
        ("", "found nothing"),
        (HEADER + "x\t1\t2\ta\ttrue\nx\t1\t2\ta\ttrue\n", "the same name as line 2"),
        (HEADER + "x\tinf\t2\ta\ttrue\n", "finite"),
        (HEADER.encode() + b"x\xff\t1\t2\ta\ttrue\n", "not UTF-8"),
    ],
)
def test_broken_sheets_are_refused_by_name(tmp_path, text, expected):
    with pytest.raises(UsageError, match="t.tsv") as told:
        tables.read_table(write(tmp_path, text), SMALL)
    assert expected in str(told.value)


def test_absent_file_says_what_was_expected(tmp_path):
    with pytest.raises(UsageError, match="no such file; expected the table of things"):
        tables.read_table(tmp_path / "none.tsv", SMALL)


def test_a_row_with_an_unknown_column_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="no column wrong"):
        tables.write_table(tmp_path / "t.tsv", [{"name": "x", "wrong": 1}], SMALL)
    assert not (tmp_path / "t.tsv").exists()


def scans_sheet(tmp_path, *lines):
    return write(tmp_path, "\n".join(["participant_id\tsession_id\tlaterality\tpath", *lines]) + "\n", "scans.tsv")


def test_scans_group_the_series_of_one_knee_and_keep_unknown_sides_apart(tmp_path):
    path = scans_sheet(
        tmp_path,
        "sub-1\tses-01\tL\ta",
        "sub-1\t\tR\tb",
        "sub-1\tses-01\tL\tc",
        "sub-1\tses-01\t\td",
        "sub-1\tses-01\t\te",
    )
    scans = tables.read_scans(path)
    assert [(s.scan_id, s.paths) for s in scans] == [
        ("sub-1_ses-01_knee-L", ("a", "c")),
        ("sub-1_ses-01_knee-R", ("b",)),
        ("sub-1_ses-01_run-1_knee-unknown", ("d",)),
        ("sub-1_ses-01_run-2_knee-unknown", ("e",)),
    ]


@pytest.mark.parametrize("hostile", ["sub-1/../x", "sub-$(touch x)", "sub-{scan}", "sub-1 2", "1", "sub-é"])
def test_ids_that_could_leave_their_place_are_refused(tmp_path, hostile):
    with pytest.raises(UsageError, match="participant_id"):
        tables.read_scans(scans_sheet(tmp_path, f"{hostile}\tses-01\tL\ta"))


def test_status_round_trip_and_only_known_fields(tmp_path):
    row = {"scan_id": "sub-1_ses-01_knee-L", "participant_id": "sub-1", "status": "ok"}
    tables.write_status(tmp_path, row)
    assert tables.read_status(tmp_path, row["scan_id"])["reason"] is None
    with pytest.raises(ValueError, match="name"):
        tables.write_status(tmp_path, {**row, "name": "x"})


def status_of(folder, **row):
    tables.write_status(folder, {"scan_id": "sub-1_ses-01_knee-L", "status": "ok", **row})
    return tables.read_status(folder, "sub-1_ses-01_knee-L")


def test_a_status_differs_whenever_a_file_behind_it_does(tmp_path):
    image = tmp_path / "ingest" / "sub-1_ses-01_knee-L_image.nii.gz"
    image.parent.mkdir()
    image.write_bytes(b"one")
    first = status_of(tmp_path / "ingest")
    assert first == status_of(tmp_path / "ingest")
    (tmp_path / "ingest/sub-1_ses-01_knee-R_image.nii.gz").write_bytes(b"another knee")
    assert first == status_of(tmp_path / "ingest")
    image.write_bytes(b"two")
    second = status_of(tmp_path / "ingest")
    assert second["digest"] != first["digest"]

    # The stage after writes the same file from both, and its status differs all the same.
    labels = tmp_path / "segment" / "sub-1_ses-01_knee-L_dseg.nii.gz"
    labels.parent.mkdir()
    labels.write_bytes(b"labels")
    assert status_of(tmp_path / "segment", **first) != status_of(tmp_path / "segment", **second)


def test_a_scan_set_aside_is_passed_through_unchanged(tmp_path):
    row = status_of(tmp_path / "ingest", status="quarantined", digest="x")
    tables.write_status(tmp_path / "segment", row)
    assert tables.read_status(tmp_path / "segment", row["scan_id"]) == row


def test_none_is_an_answer_in_a_text_column_and_missing_in_a_number():
    assert tables.PARTICIPANTS["injury_history"].parse("none") == "none"
    assert tables.PARTICIPANTS["age_years"].parse("none") is None
    assert tables.PARTICIPANTS["injury_history"].parse("n/a") is None


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda t: t.name)
def test_every_table_is_a_codebook(table):
    assert len(set(table.header)) == len(table.header)
    assert set(table.key) <= set(table.header)
    assert all(c.meaning for c in table.columns)


def test_two_ids_that_cannot_be_read_are_not_called_the_same(tmp_path):
    path = tmp_path / "participants.tsv"
    header = [column.name for column in tables.PARTICIPANTS.columns if not column.optional]
    cells = [{"participant_id": "{}", "sex": "F"}.get(name, "n/a") for name in header]
    path.write_text("\n".join("\t".join(row) for row in (header, *([c.format(i) for c in cells] for i in "AB"))) + "\n")
    with pytest.raises(UsageError) as refusal:
        tables.read_table(path, tables.PARTICIPANTS)
    assert str(refusal.value).count("column participant_id: expected runner") == 2
    assert "the same" not in str(refusal.value)


@pytest.mark.parametrize("write", ["table", "volume"])
def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch, write):
    """Else a power cut may leave the name on an empty file."""
    done = []
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(("on the disk", os.path.realpath(f"/proc/self/fd/{fd}"))))
    monkeypatch.setattr(os, "replace", lambda old, new: done.append(("named", str(old))))
    if write == "table":
        tables.write_table(tmp_path / "t.tsv", [], tables.SCANS)
    else:
        write_volume(tmp_path / "v.nii.gz", Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4)))
    assert [what for what, _ in done] == ["on the disk", "named"]
    assert done[0][1] == done[1][1]
