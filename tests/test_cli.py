"""What an impatient user types."""

import os
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest

from kneeline import cli, launch, progress, tables
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
        (["run", "--profile", "lsf"], "--profile takes one of default, slurm, or a folder with a profile.yaml, not"),
        (["process", "--chunk", "4-of-3"], "--chunk takes a number such as 3-of-40, not '4-of-3'"),
        (["process", "--workers", "0"], "--workers takes a number of at least 1"),
        (["status", "none"], "none: holds no run"),
        (["read", "config", "--serve"], "config is no reading package; kneeline read RESULTS -o FOLDER"),
        (["forget", "sub_9"], "is no participant id"),
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
    with launch.only_run_in(study):
        code = "from kneeline import launch; from pathlib import Path\nwith launch.only_run_in(Path('.')): pass"
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
    with pytest.raises(UsageError, match="kneeline run --unlock"), launch.only_run_in(study):
        pass
    assert lock.exists()


def test_the_lock_of_a_killed_kneeline_run_is_removed(study):
    lock = snakemake_lock(study)
    (study / ".snakemake/kneeline.lock").write_text("running")
    with launch.only_run_in(study):
        assert not lock.exists()
    assert (study / ".snakemake/kneeline.lock").read_text() == "done"


def test_snakemake_keeps_the_folder_when_only_kneeline_is_killed(study):
    with launch.only_run_in(study) as lock:
        orphan = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    with pytest.raises(UsageError, match="another kneeline run"), launch.only_run_in(study):
        pass
    orphan.kill()
    orphan.wait()
    with launch.only_run_in(study):
        pass


def test_an_interrupted_run_does_not_claim_later_locks(study):
    with pytest.raises(KeyboardInterrupt), launch.only_run_in(study):
        raise KeyboardInterrupt
    snakemake_lock(study)
    with pytest.raises(UsageError, match="kneeline run --unlock"), launch.only_run_in(study):
        pass


def test_unlock_frees_what_plain_snakemake_left_but_not_while_a_job_is_at_work(study, capsys):
    lock = snakemake_lock(study)
    hold = "import sys\nfrom kneeline import progress\nwith progress.held('results', 'x'):\n    print(1, flush=True)\n"
    job = subprocess.Popen(
        [sys.executable, "-c", hold + "    sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    job.stdout.readline()
    assert cli.main(["run", "--unlock"]) == 2
    assert "still at work" in capsys.readouterr().err
    assert lock.exists()
    job.communicate()
    assert cli.main(["run", "--unlock"]) == 0
    assert not lock.exists()
    with launch.only_run_in(study):
        pass


def test_the_jobs_that_a_killed_run_left_on_a_cluster_are_named(study, capsys):
    snakemake_lock(study)
    (study / ".snakemake/kneeline.lock").write_text("running")
    tables.write_text(study / ".snakemake/log/2026.snakemake.log", "SLURM run ID: 1234-abcd\n")
    with launch.only_run_in(study):
        pass
    assert "`scancel --me --name 1234-abcd` ends them" in capsys.readouterr().err


_TERMINATED = """
import os, signal, subprocess, threading
from kneeline import launch
child = subprocess.Popen(["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"], stdout=-1)
child.stdout.readline()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
raise SystemExit(launch._wait(child))
"""


def test_sigterm_is_passed_on_and_snakemake_waited_for():
    assert subprocess.run([sys.executable, "-c", _TERMINATED], timeout=30, check=False).returncode == 5


@pytest.mark.parametrize("command", ["check", "run"])
def test_contradicting_strike_stops_before_the_first_job(study, capsys, command):
    row = {"participant_id": "sub-1", "strike_style": "forefoot", "strike_index_pct": 10}
    tables.write_table("config/participants.tsv", [row], tables.PARTICIPANTS)
    assert cli.main([command]) == 2
    assert "sub-1: strike_style is forefoot, but strike_index gives rearfoot" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(("name", "value"), [("KNEELINE_ENGINE", "abacus"), ("KNEELINE_THREADS", "many")])
def test_a_bad_environment_stops_before_the_first_job(study, capsys, monkeypatch, command, name, value):
    monkeypatch.setenv(name, value)
    assert cli.main([command]) == 2
    assert f"{name} takes" in capsys.readouterr().err


def test_cores_must_be_a_number(study, capsys):
    assert cli.main(["run", "--cores", "many"]) == 2
    assert "--cores takes a number or 'all'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["process --only segment", "process --only score", "collect"])
def test_a_step_out_of_order_says_which_comes_first(study, capsys, command):
    assert cli.main(command.split()) == 2
    assert "run the stage before this one first" in capsys.readouterr().err


def test_simulated_sheets_do_not_overwrite_others(study, capsys):
    before = (study / "config/participants.tsv").read_bytes()
    assert cli.main(["simulate", "cohort", "--runners", "2", "--seed", "1", "--out", str(study)]) == 2
    assert "already holds another participants.tsv and scans.tsv and config.yaml" in capsys.readouterr().err
    assert (study / "config/participants.tsv").read_bytes() == before


def test_check_reads_images_as_ingest_would(study, capsys):
    from tests.ingest.faults import good

    good(study / "knee", laterality="R")
    tables.write_table(
        "config/scans.tsv", [{"participant_id": "sub-2", "laterality": "L", "path": "knee"}], tables.SCANS
    )
    assert cli.main(["check", "--images", "--strict"]) == 1
    assert "sub-2_ses-01_knee-L: laterality_conflict" in capsys.readouterr().out


@pytest.fixture
def places(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "out", "told"),
    [
        ("inventory {} -o", "file/series.tsv", "expected a folder to write to, but {}/file is none"),
        ("inventory {} -o", "folder", "is a folder; expected the name of a file"),
        ("score {}/scan -o", "file", "expected a folder to write to, but {}/file is none"),
        ("score {}/scan -o", "file/a/b", "expected a folder to write to, but {}/file is none"),
        ("segment {}/scan -o", "file/dseg.nii.gz", "expected a folder to write to, but {}/file is none"),
        ("validate -o", "folder", "is a folder"),
        ("validate --plot", "file/plot.svg", "but {}/file is none"),
        ("power -o", "file/power.tsv", "but {}/file is none"),
        ("read {} --rater a --seed 1 -o", "file/package", "but {}/file is none"),
    ],
)
def test_an_output_that_cannot_be_written_is_one_sentence_before_any_work(places, capsys, command, out, told):
    """The scans named here do not exist: the output is looked at first."""
    assert cli.main([*command.format(places).split(), str(places / out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"kneeline: {places}/")
    assert told.format(places) in said


@pytest.mark.parametrize(
    ("call", "answer", "told"),
    [
        ("access", lambda place, mode: False, "folder allows no writing"),
        ("statvfs", lambda place: SimpleNamespace(f_bavail=0), "no space is left on that disk"),
    ],
)
def test_a_full_disk_and_a_closed_folder_are_told_before_any_work(places, capsys, monkeypatch, call, answer, told):
    """As the system answers for them; root, which runs the checks, may write everywhere."""
    monkeypatch.setattr(os, call, answer)
    assert cli.main(["score", "scan", "-o", str(places / "folder/out")]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("granularity", "left"), [("step", ["ingest"]), ("scan", ["ingest", "score", "report"])])
def test_a_stale_step_is_withdrawn_with_what_snakemake_would_not_miss(tmp_path, granularity, left):
    """With one job a step, what follows has to go as well: nothing is made again for files that are there."""
    for step in progress.LAST:
        tables.write_text(progress.last_file(tmp_path, step, "x"), "{}")
    done = {step: {"needs": {}} for step in progress.LAST}
    progress.write_record(tmp_path, progress.read_record(tmp_path, "x") | {"steps": done})
    launch._withdraw({"x": "segment"}, {"granularity": granularity, "chunks": 3}, tmp_path, dry_run=False)
    assert [step for step in progress.LAST if progress.last_file(tmp_path, step, "x").exists()] == left
    assert list(progress.read_record(tmp_path, "x")["steps"]) == left


def test_commands_to_go_on_with_can_be_pasted(tmp_path, capsys):
    assert cli.main(["simulate", "cohort", "--runners", "1", "--out", str(tmp_path / "my study's")]) == 0
    told = capsys.readouterr().out.split("run it with: ")[1]
    assert shlex.split(told) == ["kneeline", "run", "--directory", str(tmp_path / "my study's")]


def test_a_folder_that_snakemake_would_take_for_a_pattern_is_refused(study, capsys):
    (study / "{wildcards.scan}").mkdir()
    assert cli.main(["run", "--directory", "{wildcards.scan}"]) == 2
    assert "takes what stands in {} for a pattern; rename that folder" in capsys.readouterr().err
