"""A participant withdraws."""

import base64
import os
import subprocess
import sys

import pytest

from kneeline import cli, progress, tables

GONE, KEPT = "sub-01", "sub-011"  # the one's id begins as the other's


def scan_files(folder, person):
    scan = f"{person}_ses-01_knee-L"
    for path in (
        f"ingest/{scan}_image.nii.gz", f"ingest/{scan}_status.json", f"segment/{scan}_dseg.nii.gz",
        f"score/{scan}_meniscus.tsv", f"report/{scan}_overlay.png", f"report/{scan}_picture.json",
        f"report/knees/{scan}.html", f"report/knees/{scan}_pixels.js", f"report/knees/{scan}_thumbnail.png",
        f"score/{scan}_geometry.json", f"score/{scan}_T2map.nii.gz",
        f"simulate/{scan}/IM0001.dcm", f"progress/{scan}_steps.json", f"progress/{scan}_done.json",
    ):  # fmt: skip
        tables.write_text(folder / "results" / path, f"about {scan}")
    tables.write_text(folder / f"logs/process/{scan}.log", f"[1/1] {scan}: ok")
    note = base64.urlsafe_b64encode(f"results/score/{scan}_status.json".encode()).decode()
    tables.write_text(folder / ".snakemake/metadata" / note, "{}")
    deep = base64.urlsafe_b64encode(f"results/{'x' * 300}/{scan}".encode()).decode()
    tables.write_text(folder / ".snakemake/metadata" / ("@" + deep[:254]) / deep[254:], "{}")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """What a run of two participants leaves, as small text files."""
    monkeypatch.chdir(tmp_path)
    for person in (GONE, KEPT):
        scan_files(tmp_path, person)
    both = f"{GONE}_ses-01_knee-L and {KEPT}_ses-01_knee-L"
    shared = (
        "results/ingest/scans.tsv", "results/cohort/knees.tsv", "results/report/report.html",
        "results/report/knees.js",
        "results/progress/plan.json", "results/progress/chunk-1-of-1_done.json", "logs/process/chunk-1-of-1.log",
        "logs/collect.log", ".snakemake/log/2026.snakemake.log", ".snakemake/metadata/cmVzdWx0cy9zY2Fucy50c3Y=",
    )  # fmt: skip
    for path in shared:
        tables.write_text(tmp_path / path, both)
    tables.write_text(tmp_path / "results/cohort/table_one.tsv", "mean of both")
    tables.write_text(tmp_path / "results/report/index.html", "the page of all knees")
    tables.write_text(tmp_path / "results/report/knees/page-0123456789ab.js", "the script of all pages")
    tables.write_text(tmp_path / "results/README.md", "What a run puts where")
    rows = [{"participant_id": p, "session_id": "ses-01", "laterality": "L", "path": "a"} for p in (KEPT, GONE)]
    tables.write_table("config/scans.tsv", rows, tables.SCANS)
    tables.write_table("config/participants.tsv", [{"participant_id": KEPT}], tables.PARTICIPANTS)
    tables.write_text("config/config.yaml", "participants: config/participants.tsv\nscans: config/scans.tsv\n")
    return tmp_path


def files(folder):
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def test_nothing_names_the_participant_any_more_and_others_keep_what_is_theirs(study, capsys):
    before = files(study)
    assert cli.main(["forget", GONE]) == 1  # a row of the sheet is left
    said = capsys.readouterr().out
    assert "nothing names sub-01 in results, logs, .snakemake any more" in said
    assert "config/scans.tsv line 3" in said
    after = files(study)
    for name, path in after.items():
        text = path.read_text()
        note = "".join(path.relative_to(study / ".snakemake/metadata").parts) if "metadata" in name else ""
        plain = base64.urlsafe_b64decode(note.replace("@", ""))
        assert name.startswith("config/") or f"{GONE}_" not in f"{name} {text} {plain}", name
    kept = [name for name in before if KEPT in name or "README" in name or name.startswith("config/")]
    assert set(kept) <= set(after)
    assert all(before[name].read_text() == after[name].read_text() for name in kept)
    gone = ("report.html", "index.html", "knees.js")
    assert not [name for name in after if name.startswith("results/cohort") or name.endswith(gone)]
    assert "results/report/knees/page-0123456789ab.js" in after


def test_sheets_without_rows_of_theirs_make_it_complete(study, capsys):
    lines = (study / "config/scans.tsv").read_text().splitlines(keepends=True)
    (study / "config/scans.tsv").write_text("".join(lines[:2]))
    assert cli.main(["forget", GONE]) == 0
    assert "to be deleted by you" not in capsys.readouterr().out


def test_the_inputs_are_not_touched(study):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (study / "config").iterdir()}
    cli.main(["forget", GONE])
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (study / "config").iterdir()}


_HOLD = """
import sys
from kneeline import progress
with progress.held("results", "x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_not_while_a_job_is_at_work(study, capsys):
    job = subprocess.Popen([sys.executable, "-c", _HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "held\n"
    before = set(files(study / "results"))
    assert cli.main(["forget", GONE]) == 2
    assert "jobs of a run are still at work" in capsys.readouterr().err
    job.communicate()
    assert set(files(study / "results")) == before


@pytest.mark.parametrize("wrong", ["01", "sub-0*", "../sub-01", "sub-01_ses-01", ""])
def test_what_is_no_id_removes_nothing(study, capsys, wrong):
    before = set(files(study))
    assert cli.main(["forget", wrong]) == 2
    assert "is no participant id" in capsys.readouterr().err
    assert set(files(study)) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove anything")
def test_what_cannot_be_removed_is_named(study, capsys):
    (study / "results/score").chmod(0o500)
    try:
        assert cli.main(["forget", GONE]) == 2
    finally:
        (study / "results/score").chmod(0o700)
    assert "could not be removed" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_folder_is_named_with_the_way_out(study, capsys):
    before = set(files(study))
    subprocess.run(["mount", "--bind", study, study], check=True)
    try:
        if subprocess.run(["mount", "-o", "remount,ro,bind", study], check=False).returncode:
            pytest.skip("this machine cannot make a folder read-only")
        assert cli.main(["forget", GONE, "--directory", str(study)]) == 2
    finally:
        subprocess.run(["umount", "-l", study], check=True)
    assert "allows no writing (permissions, or a read-only disk)" in capsys.readouterr().err
    assert set(files(study)) == before


def test_progress_of_the_others_stays(study):
    cli.main(["forget", GONE])
    assert progress.record_path("results", f"{KEPT}_ses-01_knee-L").exists()
