"""What an impatient user types."""

import subprocess
import sys

import pytest

from kneeline import cli, launch, tables
from kneeline.errors import UsageError


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with good sheets whose one scan does not exist."""
    monkeypatch.chdir(tmp_path)
    tables.write_table(
        "config/scans.tsv", [{"participant_id": "sub-1", "laterality": "L", "path": "nowhere"}], tables.SCANS
    )
    tables.write_table("config/participants.tsv", [{"participant_id": "sub-2"}], tables.PARTICIPANTS)
    (tmp_path / "config/config.yaml").write_text("participants: config/participants.tsv\nscans: config/scans.tsv\n")
    return tmp_path


def test_every_command_explains_itself(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for command in (
        "inventory",
        "check",
        "run",
        "simulate",
        "ingest",
        "segment",
        "score",
        "cohort",
        "report",
        "validate",
    ):
        assert command in text
        with pytest.raises(SystemExit) as stop:
            cli.main([command, "--help"])
        assert stop.value.code == 0


def test_an_unknown_command_is_bad_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["scroe"])
    assert stop.value.code == 2
    assert "invalid choice: 'scroe'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--directory", "none"], "none: no such folder"),
        (["run", "--config", "none.yaml"], "none.yaml: cannot be read"),
        (["check", "--config", "none.yaml"], "run in the folder that holds config/"),
        (["score", "none"], "none: no such file or folder; expected a DICOM folder or a NIfTI file"),
        (["segment", "none", "-o", "x.nii.gz"], "none: no such file"),
        (["segment", "none", "-o", "x.png"], "must end in .nii.gz"),
        (["inventory", "none"], "none: no such folder"),
        (["ingest", "--scans", "none.tsv"], "none.tsv: no such file; expected the table of scans"),
        (["ingest", "--scan", "sub-9_ses-01_knee-L"], "has no scan 'sub-9_ses-01_knee-L'; it has 1, such as sub-1"),
    ],
)
def test_wrong_paths_end_with_2_and_a_sentence(study, capsys, arguments, expected):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert "Traceback" not in error


def test_a_wrong_column_stops_a_run_before_its_first_job(study, capsys):
    sheet = study / "config/participants.tsv"
    sheet.write_text(sheet.read_text().replace("weekly_distance_km", "km_per_week"))
    assert cli.main(["run"]) == 2
    assert "missing column(s) weekly_distance_km; found participant_id" in capsys.readouterr().err
    assert not (study / "results").exists()


def test_check_tells_everything_and_writes_nothing(study, capsys):
    before = sorted(study.rglob("*"))
    assert cli.main(["check"]) == 0
    out = capsys.readouterr().out
    assert "sub-1: in the scans table but not in the participants table" in out
    assert "sub-2: in the participants table but without a scan" in out
    assert "sub-1_ses-01_knee-L: nowhere: no such file or folder" in out
    assert cli.main(["check", "--strict"]) == 1
    assert sorted(study.rglob("*")) == before


def test_ingest_sets_an_absent_scan_aside_and_strict_makes_it_fail(study, capsys):
    assert cli.main(["ingest"]) == 0
    assert "set aside" in capsys.readouterr().out
    assert cli.main(["ingest", "--strict"]) == 1
    assert tables.read_status("results/ingest", "sub-1_ses-01_knee-L")["status"] == "quarantined"


def test_two_runs_in_one_folder_are_refused(study):
    with launch._only_run_in(study):
        code = "from kneeline import launch; from pathlib import Path\nwith launch._only_run_in(Path('.')): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode != 0
    assert "another kneeline run is at work" in other.stderr


def snakemake_lock(study):
    lock = study / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    return lock


def test_a_lock_that_kneeline_did_not_set_is_left_alone(study):
    lock = snakemake_lock(study)
    with pytest.raises(UsageError, match="snakemake --unlock"), launch._only_run_in(study):
        pass
    assert lock.exists()


def test_the_lock_of_a_killed_kneeline_run_is_removed(study):
    lock = snakemake_lock(study)
    (study / ".snakemake/kneeline.lock").write_text("running")
    with launch._only_run_in(study):
        assert not lock.exists()
    assert (study / ".snakemake/kneeline.lock").read_text() == "done"
