"""The whole workflow on three good knees and a folder of planted faults: nothing lost, killed and resumed alike."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest
from tests.conftest import ROOT
from tests.ingest.faults import plant_faults
from tests.ingest.identity import plant_identity
from tests.ingest.trial import state
from tests.workflow.test_plan import planned, real_scans, snakemake

from kneeline import progress, tables
from kneeline.simulate.cohort import draw_cohort
from kneeline.simulate.run import simulate_scan

RUNNERS, SEED = 3, 11
# Tables that stand in Snakemake's own report, each with its caption.
CAPTIONED = ("flow", "table_one", "prevalence", "estimates", "agreement")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Three simulated knees as DICOM, the first with a person's data all over its headers, and one folder per planted
    fault: rows of the scans table, what ingest should say of each scan, and what was planted."""
    root = tmp_path_factory.mktemp("inputs")
    expected = {}
    rows = []
    for row in draw_cohort(RUNNERS, SEED).scans:
        scan = tables.scan_id(row["participant_id"], row["session_id"], row["laterality"])
        simulate_scan(scan, RUNNERS, SEED, root / "good")
        rows.append((row["participant_id"], row["session_id"], row["laterality"], root / "good" / scan))
        expected[scan] = None
    planted = plant_identity(rows[0][3])
    for number, (name, reason_code) in enumerate(sorted(plant_faults(root / "faulty").items()), start=1):
        person = f"sub-9{number:02d}"
        rows.append((person, "ses-01", "L", root / "faulty" / name))
        expected[f"{person}_ses-01_knee-L"] = reason_code
    return rows, expected, planted


def command(folder, cores, *more):
    return [sys.executable, "-m", "kneeline", "run", "--directory", str(folder), "--cores", str(cores), *more]


def run(folder, cores, *more, **environment):
    # As on anybody's machine: with CI set, some libraries behave.
    ours = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "CI", "ORT_DISABLE_TELEMETRY")
    known = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        command(folder, cores, *more), capture_output=True, text=True, check=False, env=known | environment
    )


@pytest.fixture(scope="module")
def around(inputs, tmp_path_factory):
    """What a run should leave as it is: an empty home, an empty folder for temporary files, and the state of the
    inputs, every byte of them."""
    home, temporary = (tmp_path_factory.mktemp(name) for name in ("home", "temporary"))
    root = Path(inputs[0][0][3]).parent.parent
    return home, temporary, root, state(root)


@pytest.fixture(scope="module")
def undisturbed(inputs, around, tmp_path_factory):
    folder = real_scans(tmp_path_factory.mktemp("undisturbed"), *inputs[0])
    return folder, run(folder, 2, HOME=str(around[0]), TMPDIR=str(around[1]))


def tables_of(folder) -> dict[str, bytes]:
    results = Path(folder) / "results"
    return {str(p.relative_to(results)): p.read_bytes() for p in sorted(results.rglob("*.tsv"))}


def outcomes(folder):
    rows = tables.read_table(Path(folder) / "results/ingest/scans.tsv", tables.INGEST_SCANS)
    return {row["scan_id"]: row["reason_code"] for row in rows}


def test_good_knees_are_scored_and_each_fault_is_set_aside_with_its_reason(inputs, undisturbed):
    folder, out = undisturbed
    assert out.returncode == 0, out.stdout + out.stderr
    assert len([c for c in inputs[1].values() if c]) >= 10
    assert outcomes(folder) == inputs[1]
    rows = tables.read_table(folder / "results/ingest/scans.tsv", tables.INGEST_SCANS)
    assert all(len(row["reason"].split()) > 5 for row in rows if row["status"] != "ok")
    assert len(tables.read_table(folder / "results/score/meniscus.tsv", tables.MENISCUS)) == 6 * RUNNERS
    assert len(tables.read_table(folder / "results/score/effusion.tsv", tables.EFFUSION)) == RUNNERS
    page = (folder / "results/report/report.html").read_text()
    assert all(scan in page for scan in inputs[1])


def test_everything_done_means_nothing_to_do_and_strict_says_that_scans_were_set_aside(undisturbed):
    folder, _ = undisturbed
    files = [p for p in (folder / "results").rglob("*") if p.is_file() and p.name != "plan.json"]
    before = {p: p.stat().st_mtime_ns for p in files}
    out = run(folder, 2, "--strict")
    assert out.returncode == 1, out.stdout + out.stderr
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_changed_row_reruns_its_scan_only(undisturbed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(undisturbed[0], folder)
    sheet = folder / "config/scans.tsv"
    rows = tables.read_table(sheet, tables.SCANS)
    rows[0]["path"] = str(shutil.copytree(rows[0]["path"], tmp_path / "moved"))
    tables.write_table(sheet, rows, tables.SCANS)
    assert planned(run(folder, 1, "--dry-run"))["process_scan"] == 1


def cut_into(granularity, folder, chunks=2):
    with (folder / "config/config.yaml").open("a") as config:
        config.write(f"granularity: {granularity}\nchunks: {chunks}\n")


def test_a_rerun_that_is_killed_leaves_nothing_stale(undisturbed, tmp_path):
    """Ingest has read other pixels and nothing after it has run: the restart has to see that."""
    folder = tmp_path / "copy"
    shutil.copytree(undisturbed[0], folder)
    cut_into("step", folder)
    sheet = folder / "config/scans.tsv"
    rows = tables.read_table(sheet, tables.SCANS)
    rows[0]["path"] = str(shutil.copytree(rows[0]["path"], tmp_path / "other"))
    for path in Path(rows[0]["path"]).iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelData = (dataset.pixel_array + 1).tobytes()
        dataset.save_as(path)
    tables.write_table(sheet, rows, tables.SCANS)
    assert run(folder, 1, "--", "--until", "ingest").returncode == 0
    jobs = planned(run(folder, 1, "--dry-run"))
    assert "ingest" not in jobs
    assert (jobs["segment"], jobs["score"], jobs["picture"]) == (1, 1, 1)


def test_a_scan_repaired_in_place_is_read_again(inputs, undisturbed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(undisturbed[0], folder)
    sheet = folder / "config/scans.tsv"
    rows = tables.read_table(sheet, tables.SCANS)
    rows[-1]["path"] = str(shutil.copytree(rows[-1]["path"], tmp_path / "faulty"))
    tables.write_table(sheet, rows, tables.SCANS)
    assert run(folder, 1, "--", "--until", "process_scan").returncode == 0
    assert "process_scan" not in planned(run(folder, 1, "--dry-run"))
    shutil.copytree(rows[0]["path"], rows[-1]["path"], dirs_exist_ok=True)
    assert "process_scan" not in planned(run(folder, 1, "--dry-run", "--trust-inputs"))
    assert planned(run(folder, 1, "--dry-run"))["process_scan"] == 1


def test_a_scan_whose_table_somebody_removed_is_scored_again(inputs, undisturbed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(undisturbed[0], folder)
    good = next(scan for scan, code in inputs[1].items() if code is None)
    (folder / f"results/score/{good}_marrow.tsv").unlink()
    out = run(folder, 1, "--dry-run")
    assert "1 scan(s) are done again" in out.stderr
    assert planned(out)["process_scan"] == 1
    (scan,) = (row for row in tables.read_scans(folder / "config/scans.tsv") if row.scan_id == good)
    names = progress.present(folder / "results")
    assert progress.lost_step(progress.read_record(folder / "results", scan.scan_id), names) == "score"


def test_what_was_set_aside_is_tried_again_on_request(inputs, undisturbed):
    folder, _ = undisturbed
    arguments = ["--directory", folder, "--cores", "1", "--dry-run"]
    set_aside = [code for code in inputs[1].values() if code]
    for more, expected in (([], len(set_aside)), (["--reason", set_aside[0]], set_aside.count(set_aside[0]))):
        out = subprocess.run(
            [sys.executable, "-m", "kneeline", "rerun-failed", *arguments, *more],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert planned(out)["process_scan"] == expected


def test_a_participant_who_withdraws_leaves_no_trace_and_the_others_are_not_scored_again(inputs, undisturbed, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(undisturbed[0], folder)
    gone = inputs[0][0][0]
    command = [sys.executable, "-m", "kneeline", "forget", gone, "--directory", str(folder)]
    assert subprocess.run(command, check=False).returncode == 1
    for sheet in ("scans", "participants"):
        path = folder / f"config/{sheet}.tsv"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(gone + "\t")))
    for path in folder.rglob("*"):
        told = b"" if path.suffix in (".gz", ".png") or path.is_dir() else path.read_bytes()
        assert not re.search(rf"{gone}\b".encode(), str(path.relative_to(folder)).encode() + b" " + told), path
    jobs = planned(run(folder, 1, "--dry-run"))
    assert "process_scan" not in jobs
    assert (jobs["collect"], jobs["cohort"], jobs["report"]) == (1, 1, 1)


def test_killed_and_started_again_in_chunks_on_one_core_gives_the_same_bytes(inputs, undisturbed, tmp_path):
    folder = real_scans(tmp_path, *inputs[0])
    cut_into("chunk", folder)
    process = subprocess.Popen(
        command(folder, 1), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while len(list((folder / "results/segment").glob("*_status.json"))) < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "results/report/report.html").exists()

    out = run(folder, 1)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "was killed" in out.stderr
    assert tables_of(folder) == tables_of(undisturbed[0])
    page = "results/report/report.html"
    assert (folder / page).read_bytes() == (undisturbed[0] / page).read_bytes()


def test_the_inputs_are_left_as_they_were_and_nothing_is_written_elsewhere(around, undisturbed):
    home, temporary, root, before = around
    assert len(before) > 100
    assert state(root) == before
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert {path.name for path in undisturbed[0].iterdir()} == {"config", "results", "logs", ".snakemake"}


def test_no_identity_of_the_headers_in_any_result(inputs, undisturbed):
    planted = inputs[2]
    assert len(planted) > 10
    read = [path for path in undisturbed[0].rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    assert any(path.name.endswith("_image.nii.gz") for path in read)
    for path in read:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        assert not [value for value in planted if value in content], path


def test_snakemakes_own_report_holds_report_and_tables_with_their_captions(undisturbed, tmp_path):
    """One file with everything in it: what it loads, it carries."""
    written = tmp_path / "run.html"
    workflow = ROOT / "workflow"
    done = snakemake(
        "--snakefile", workflow / "Snakefile", "--directory", undisturbed[0], "--report", written, cwd=undisturbed[0]
    )
    assert done.returncode == 0, done.stderr
    text = written.read_text(encoding="utf-8")
    plain = re.sub(r"\\n|\s+", " ", text)
    for name, caption in (("report/report.html", "page"), *((f"cohort/{t}.tsv", t) for t in CAPTIONED)):
        assert f"results/{name}" in text
        assert " ".join((workflow / "report" / f"{caption}.rst").read_text().split()[:6]) in plain
    assert not re.search(r"""(?:src|href)=["']?https?:""", text)
