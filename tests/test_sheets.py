"""Sheets as people and spreadsheets leave them: right, or refused with the line, the column and the way out."""

import pytest

from kneeline import tables
from kneeline.errors import UsageError
from kneeline.tables import PARTICIPANTS, READINGS, SCANS, read_table

SCAN = "participant_id\tsession_id\tlaterality\tpath\n"
READING = "rater_id\treading\tparticipant_id\tsession_id\tlaterality\tstructure\tregion\tgrade\n"
RUNNER = [c.name for c in PARTICIPANTS.columns if not c.optional]
SHEETS = {
    "scans.tsv": (SCANS, SCAN, "sub-1\tses-01\tL\tstudy/1\n"),
    "participants.tsv": (
        PARTICIPANTS,
        "\t".join(RUNNER) + "\n",
        "sub-1\t31.5\tF\t21\trearfoot\tvideo\t40\tgps\t6\t4\t5.5\t30\tnone\n",
    ),
    "readings.tsv": (READINGS, READING, "r1\t1\tsub-1\tses-01\tL\tmedial_meniscus\tbody\t2\n"),
}


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, SHEETS[name.replace(".csv", ".tsv")][0])


def told(tmp_path, name, content) -> str:
    with pytest.raises(UsageError) as error:
        read(tmp_path, name, content)
    text = str(error.value)
    assert text.startswith(str(tmp_path / name))
    return text


@pytest.fixture(params=SHEETS)
def sheet(request):
    return request.param, *SHEETS[request.param][1:]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_and_line_ends_do_not_matter(tmp_path, sheet, start, end):
    name, header, row = sheet
    plain = read(tmp_path, name, header + row)
    assert len(plain) == 1
    assert read(tmp_path, name, start + (header + row + "\n").replace("\n", end).encode()) == plain


def test_comma_separated_by_name_reads_alike(tmp_path, sheet):
    name, header, row = sheet
    csv = (header + row).replace("\t", ",")
    assert read(tmp_path, name.replace(".tsv", ".csv"), csv) == read(tmp_path, name, header + row)


@pytest.mark.parametrize("separator", [",", ";"])
def test_another_separator_is_named(tmp_path, sheet, separator):
    name, header, row = sheet
    text = told(tmp_path, name, (header + row).replace("\t", separator))
    assert {",": "looks comma-separated, name it .csv", ";": "looks semicolon-separated, save it tab-"}[
        separator
    ] in text
    csv = name.replace(".tsv", ".csv")
    assert "looks tab-separated, save it tab-separated and name it .tsv" in told(tmp_path, csv, header + row)


@pytest.mark.parametrize(
    ("encode", "expected"),
    [
        (lambda t: t.encode("utf-16"), "UTF-16 text (Excel's 'Unicode Text'); save it as"),
        (lambda t: t.encode("utf-16-le"), "line 1 holds a NUL byte"),
        (lambda t: t.encode() + b"sub-2\0\n", "line 3 holds a NUL byte"),
        (lambda t: t.encode() + "sub-2\tses-01\tKnie f\u00fcr".encode("latin-1"), "(line 3, cell 3, perhaps Latin-1)"),
    ],
)
def test_other_encodings_are_named_with_their_place(tmp_path, sheet, encode, expected):
    name, header, row = sheet
    assert expected in told(tmp_path, name, encode(header + row))


def test_an_empty_file_and_a_header_alone(tmp_path, sheet):
    name, header, _ = sheet
    assert "found nothing" in told(tmp_path, name, b"")
    assert "found nothing" in told(tmp_path, name, b"\n\n")
    assert read(tmp_path, name, header) == []


def test_headers_twice_and_without_name(tmp_path, sheet):
    name, header, row = sheet
    text = told(tmp_path, name, header.replace("\n", "\tx\tx\t\t\n") + row)
    assert "the header names 'x' twice" in text
    assert "2 column(s) have no name; delete them" in text


def test_a_header_cannot_drive_the_terminal(tmp_path):
    text = told(tmp_path, "scans.tsv", "\x1b[2Jid\t" + "y" * 500 + "\n")
    assert "\x1b" not in text
    assert "yyy..." in text


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        ("bmi_kg_m2", "21,5", "decimals need a point, not a comma"),
        ("bmi_kg_m2", "21.May", "may have made a date of it"),
        ("weekly_distance_km", "Jan-40", "may have made a date of it"),
        ("running_years", "2026-05-06", "may have made a date of it"),
        ("running_years", "06.05.2026 00:00:00", "may have made a date of it"),
        ("strike_style", "01.02.2026", "may have made a date of it"),
        ("participant_id", "1-Feb", "may have made a date of it"),
        ("pace_min_per_km", "5:30", "5.5"),
        ("age_years", "45123", "from 10 to 100"),
        ("age_years", "3_1", "in plain digits"),
        ("age_years", "\u0663\u0661", "in plain digits"),
        ("age_years", "1e999", "finite"),
        ("age_years", "0x1F", "expected a number"),
        ("age_years", "9" * 5000, "..."),
        ("injury_history", "#REF!", "holds a spreadsheet's error, #REF!"),
        ("injury_history", "#N/A", "holds a spreadsheet's error, #N/A"),
        ("participant_id", "sub-" + "1" * 65, "sub-[A-Za-z0-9]{1,64}"),
    ],
)
def test_what_spreadsheets_make_of_cells_is_told_with_line_and_column(tmp_path, column, cell, expected):
    name, (_, header, row) = "participants.tsv", SHEETS["participants.tsv"]
    cells = row.strip().split("\t")
    cells[RUNNER.index(column)] = cell
    text = told(tmp_path, name, header + row.replace("sub-1", "sub-2") + "\t".join(cells) + "\n")
    assert f"line 3, column {column}" in text
    assert expected in text
    assert len(text) < 500


def test_tabs_quotes_and_blanks_inside_cells(tmp_path):
    lines = (
        '"sub-1"\tses-01\tL\t"a\tb"\n',
        'sub-2\tses-01\tR\t"say ""knee"""\n',
        "sub-3\t\t\t5'10\" tall\n",
        " sub-4 \tses-01\tL\t c d \n",
    )
    rows = read(tmp_path, "scans.tsv", SCAN + "".join(lines))
    assert [r["path"] for r in rows] == ["a\tb", 'say "knee"', "5'10\" tall", "c d"]
    assert [r["participant_id"] for r in rows] == ["sub-1", "sub-2", "sub-3", "sub-4"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Each would swallow rows in silence: the quoted cell is the last of its line.
        ('sub-1\tses-01\tL\t"a\nsub-2\tses-01\tL\tb\n', "line 2: quotation marks do not match"),
        ('sub-1\tses-01\tL\t"a\nsub-2\tses-01\tL\tb"\n', "line 2, column path: a line break inside the cell"),
        ('sub-1\tses-01\tL\t"a" b\n', "line 2: quotation marks do not match"),
        ('sub-1\tses-01\tL\t"' + "a" * 140_000, "line 2: a cell of more than 131072 characters"),
    ],
)
def test_quotation_marks_never_swallow_rows(tmp_path, lines, expected):
    assert expected in told(tmp_path, "scans.tsv", SCAN + lines)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    text = told(tmp_path, "scans.tsv", SCAN + "\n\nsub-1\tses-01\tL\ta\n\nsub-1\tses-01\tQ\tb\n")
    assert "line 6, column laterality" in text


def test_a_million_faults_are_counted_and_twenty_told(tmp_path):
    text = told(tmp_path, "scans.tsv", SCAN + "sub-1\tses-01\tQ\ta\n" * 3000)
    assert "fault(s)" in text
    assert text.count("\n") == 21
    assert "... and " in text


def test_long_sheets_keep_every_row_in_order(tmp_path):
    """More distinct values than are remembered."""
    lines = [f"sub-{n}\tses-01\t{'LR'[n % 2]}\tpath {n}\n" for n in range(25_000)]
    rows = read(tmp_path, "scans.tsv", SCAN + "".join(lines))
    assert [r["path"] for r in rows] == [f"path {n}" for n in range(25_000)]
    assert rows[12_345] == {
        "participant_id": "sub-12345",
        "session_id": "ses-01",
        "laterality": "R",
        "path": "path 12345",
    }
    assert len(tables.read_scans(tmp_path / "scans.tsv")) == 25_000


def test_what_is_far_too_large_is_not_read(tmp_path):
    path = tmp_path / "scans.tsv"
    path.touch()
    with open(path, "r+b") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(UsageError, match="larger than 512 MB"):
        read_table(path, SCANS)
