"""What the workflow plans, without running it."""

import re
import subprocess
import sys

import pytest
from tests.conftest import ROOT
from tests.test_light import HEAVY

from kneeline import tables
from kneeline.simulate.sheets import write_cohort


def snakemake(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def planned(out) -> dict[str, int]:
    assert out.returncode == 0, out.stderr
    table = re.search(r"job +count\n-+ +-+\n(.*?)\n\n", out.stdout + out.stderr, re.DOTALL)
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table[1], re.MULTILINE)} if table else {}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The tracked workflow files without anybody's results."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "workflow", "config"):
        (folder / name).symlink_to(ROOT / name)
    return folder


STEPS = ("ingest", "segment", "score", "picture")


def test_bare_snakemake_in_a_fresh_checkout_plans_the_whole_demo(checkout):
    jobs = planned(snakemake("--cores", "1", "--dry-run", cwd=checkout))
    assert jobs == {
        "resolve_config": 1, "simulate": 26, "process_scan": 26, "collect": 1, "cohort": 1, "report": 1, "all": 1,
        "total": 57,
    }  # fmt: skip


def test_the_workflow_file_itself_plans_the_same(checkout):
    inner = planned(snakemake("--snakefile", "workflow/Snakefile", "--cores", "1", "--dry-run", cwd=checkout))
    assert inner == planned(snakemake("--cores", "1", "--dry-run", cwd=checkout))


def test_the_committed_sheets_are_the_simulated_cohort(tmp_path):
    made = write_cohort(tmp_path, runners=26, seed=2006)
    for sheet in ("participants.tsv", "scans.tsv"):
        assert (made / sheet).read_bytes() == (ROOT / "config" / sheet).read_bytes()


def real_scans(folder, *rows, config=""):
    """A config for scans that are not simulated."""
    (folder / "config").mkdir(parents=True, exist_ok=True)
    scans = [dict(zip(tables.SCANS.header, row, strict=True)) for row in rows]
    people = [{"participant_id": p} for p in sorted({row["participant_id"] for row in scans})]
    tables.write_table(folder / "config/scans.tsv", scans, tables.SCANS)
    tables.write_table(folder / "config/participants.tsv", people, tables.PARTICIPANTS)
    (folder / "config/config.yaml").write_text(
        f"participants: config/participants.tsv\nscans: config/scans.tsv\n{config}"
    )
    return folder


def test_real_scans_two_sessions_and_an_unknown_side(tmp_path):
    folder = real_scans(
        tmp_path,
        ("sub-1", "ses-01", "L", "a"), ("sub-1", "ses-02", "L", "b"), ("sub-2", "ses-01", None, "c"),
        ("sub-1", "ses-01", "L", "a second series"), config="granularity: step\n",
    )  # fmt: skip
    jobs = planned(snakemake("--snakefile", ROOT / "workflow/Snakefile", "--cores", "1", "--dry-run", cwd=folder))
    assert "simulate" not in jobs
    assert {step: jobs[step] for step in STEPS} == dict.fromkeys(STEPS, 3)


def test_chunks_hold_every_scan_once(tmp_path):
    rows = [(f"sub-{n}", "ses-01", "L", "a") for n in range(30)]
    folder = real_scans(tmp_path, *rows, config="granularity: chunk\nchunks: 3\n")
    jobs = planned(snakemake("--snakefile", ROOT / "workflow/Snakefile", "--cores", "1", "--dry-run", cwd=folder))
    assert jobs["process_chunk"] == 3
    assert not {*STEPS, "process_scan"} & set(jobs)


# Runs snakemake and notes every module that is imported on behalf of a file of ours (Snakemake itself imports some of
# them), and everything that is opened or listed below `archive`.
_WATCHED = """
import runpy, sys
OURS = ("Snakefile", ".smk", "/kneeline/")
class Finder:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe()
        while frame:
            if any(part in frame.f_code.co_filename for part in OURS):
                return print("IMPORTED", name)
            frame = frame.f_back
def note(event, arguments):
    if event in ("open", "os.scandir", "os.listdir") and "archive" in str(arguments[0]):
        print("OPENED", arguments[0])
sys.meta_path.insert(0, Finder())
sys.addaudithook(note)
sys.argv[0] = "snakemake"
runpy.run_module("snakemake", run_name="__main__")
"""


@pytest.mark.parametrize("granularity", ["step", "scan", "chunk"])
def test_planning_imports_nothing_heavy_and_looks_at_no_scan(tmp_path, granularity):
    (tmp_path / "archive/knee").mkdir(parents=True)
    (tmp_path / "archive/knee/1.dcm").write_bytes(b"pixels")
    folder = real_scans(tmp_path, ("sub-1", "ses-01", "L", "archive/knee"), config=f"granularity: {granularity}\n")
    arguments = ["--snakefile", str(ROOT / "workflow/Snakefile"), "--cores", "1", "--dry-run"]
    out = subprocess.run(
        [sys.executable, "-P", "-c", _WATCHED, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert planned(out)["total"] > 4
    imported = {name.split(".")[0] for name in re.findall("^IMPORTED (.*)$", out.stdout, re.MULTILINE)}
    assert "kneeline" in imported
    assert not imported & (HEAVY - {"snakemake", "jsonschema"})
    assert not re.findall("^OPENED (.*)$", out.stdout, re.MULTILINE)


def test_an_absent_scan_does_not_stop_the_plan_of_the_others(tmp_path):
    folder = real_scans(tmp_path, ("sub-1", "ses-01", "L", "no/such/folder"), ("sub-2", "ses-01", "R", "nor/this"))
    jobs = planned(snakemake("--snakefile", ROOT / "workflow/Snakefile", "--cores", "1", "--dry-run", cwd=folder))
    assert jobs["process_scan"] == 2


def test_a_misspelt_key_stops_before_the_first_job(tmp_path):
    folder = real_scans(tmp_path, ("sub-1", "ses-01", "L", "a"), config="cohrt: {}\n")
    out = snakemake("--snakefile", ROOT / "workflow/Snakefile", "--cores", "1", cwd=folder)
    assert out.returncode != 0
    assert "'cohrt' was unexpected" in out.stdout + out.stderr
    assert not (folder / "results").exists()


def test_lint_is_content():
    assert snakemake("--lint").returncode == 0


def test_another_config_replaces_that_of_the_folder(tmp_path):
    """Nothing of config/config.yaml, such as its simulated cohort, leaks into a run with another config."""
    write_cohort(tmp_path, runners=2, seed=1)
    real_scans(tmp_path / "other", ("sub-1", "ses-01", "L", "a"))
    (tmp_path / "other.yaml").write_text("participants: other/config/participants.tsv\nscans: other/config/scans.tsv\n")
    out = subprocess.run(
        [sys.executable, "-m", "kneeline", "run", "--directory", tmp_path, "--config", "other.yaml", "--dry-run"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "simulate" not in planned(out)
    assert planned(out)["process_scan"] == 1
