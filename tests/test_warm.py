"""Jobs of one scan done by a process that has imported all they need."""

import ast
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kneeline import launch, progress, tables, warm
from tests.conftest import ROOT, heed_ctrl_c

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="reads /proc, which only Linux has")

SCAN = "sub-1_ses-01_knee-R"
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def environment():
    with warm.kept({**os.environ, **QUIET}) as environment:
        yield environment


@pytest.fixture
def folder(tmp_path):
    """With a scan that is absent: refused at once, with all that is written of such."""
    row = {"participant_id": "sub-1", "session_id": "ses-01", "laterality": "R", "path": "gone"}
    tables.write_table(tmp_path / "config/scans.tsv", [row], tables.SCANS)
    return tmp_path


def command(results="results", scan=SCAN):
    return [sys.executable, "-m", "kneeline", "process", "--scan", scan, "--results", results]


def run(folder, environment, *arguments):
    out = subprocess.run(
        command(*arguments), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    return out.returncode, out.stdout, out.stderr


def until(true, what):
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def files(results) -> dict[str, bytes]:
    found = (path for path in results.rglob("*") if path.is_file() and path.parent.name != progress.FOLDER)
    return {str(path.relative_to(results)): path.read_bytes() for path in found}


@contextlib.contextmanager
def begun(folder, environment):
    """A job that waits for us at its scan."""
    log = folder / "log"
    with progress.held(folder / "results", SCAN), log.open("wb") as told:
        job = subprocess.Popen(
            command(), cwd=folder, env=environment, stdout=told, stderr=told, preexec_fn=heed_ctrl_c
        )  # fmt: skip
        until(lambda: waiting_for(folder / "results"), "the job never began")
        yield job


def waiting_for(results) -> list[int]:
    """Processes that wait for a lock of this folder (a line of /proc/locks that begins with an arrow)."""
    inode = f":{(results / progress.FOLDER / '.lock').stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return [int(line.split()[5]) for line in lines if "->" in line and inode in line]


def test_the_same_files_words_and_exit_code_as_without(folder, environment):
    alone = run(folder, {**os.environ, **QUIET}, "alone")
    asked = run(folder, environment, "asked")
    assert asked == alone
    assert "missing_path" in asked[1]
    assert files(folder / "asked") == files(folder / "alone") != {}
    assert run(folder, environment, "asked", "sub-2_ses-01_knee-R")[0] == 2


def test_another_process_did_the_work(folder, environment):
    with begun(folder, environment) as job:
        (worker,) = waiting_for(folder / "results")
        above = [line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("PPid")]
        assert int(above[0].split()[1]) != job.pid
    assert job.wait(120) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 143), (signal.SIGKILL, -9)])
def test_who_stops_the_job_stops_the_work(folder, environment, number, code):
    with begun(folder, environment) as job:
        job.send_signal(number)
        assert job.wait(120) == code
        until(lambda: not waiting_for(folder / "results"), "the work went on")
    assert files(folder / "results") == {}


def heeds(pid, number) -> bool:
    """Whether a process has a handler of its own for a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (caught,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (number - 1) & 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_job_that_was_told_to_stop_begins_nothing_if_the_process_dies_over_it(folder, number, code):
    """A listener of ours takes the request and goes away when it hears the stop."""
    where = folder / "jobs"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(where))
        listening.listen(1)
        environment = {**os.environ, **QUIET, warm.VARIABLE: str(where)}
        job = subprocess.Popen(
            command(), cwd=folder, env=environment, stderr=subprocess.DEVNULL, preexec_fn=heed_ctrl_c
        )  # fmt: skip
        line, _ = listening.accept()
        with line:
            heard = line.recv(1 << 20)
            while b'"environment"' not in heard or not heard.endswith(b"}}"):
                heard += line.recv(1 << 20)
            until(lambda: heeds(job.pid, signal.SIGTERM), "it never waited for the answer")
            job.send_signal(number)
            assert line.recv(1) == b"T"
    assert job.wait(120) == code
    assert not (folder / "results").exists()


def test_if_the_process_dies_a_job_does_its_work_itself(folder):
    others = children(os.getpid())
    with warm.kept({**os.environ, **QUIET}) as environment:
        (kept,) = set(children(os.getpid())) - set(others)
        with begun(folder, environment) as job:
            for pid in [*children(kept), kept]:
                os.kill(pid, signal.SIGKILL)
        assert job.wait(120) == 0
        assert run(folder, environment)[0] == 0
    assert files(folder / "results")


_KEEPER = """
import os, time
from kneeline import warm
with warm.kept(dict(os.environ)) as environment:
    print(environment[warm.VARIABLE], flush=True)
    time.sleep(600)
"""


def test_it_ends_and_leaves_nothing_when_who_kept_it_is_killed():
    with subprocess.Popen([sys.executable, "-c", _KEEPER], stdout=subprocess.PIPE, text=True) as keeper:
        where = Path(keeper.stdout.readline().strip())
        assert where.is_socket()
        (kept,) = children(keeper.pid)
        keeper.kill()
    until(lambda: not where.parent.exists(), "its folder was left")
    until(lambda: has_ended(kept), "it went on")


def has_ended(pid) -> bool:
    """Also if nobody has asked for its exit code: then it has no words left."""
    try:
        return not Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return True


def children(pid) -> list[int]:
    """Of any thread of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_another_kneeline_is_not_asked_to_do_it(environment, monkeypatch):
    monkeypatch.setenv(warm.VARIABLE, environment[warm.VARIABLE])
    monkeypatch.setattr(warm, "_identity", lambda: ["of a container"])
    assert warm.ask(["--version"]) is None


def test_nothing_is_asked_where_nobody_listens(monkeypatch, tmp_path):
    assert warm.ask(["--version"]) is None
    monkeypatch.setenv(warm.VARIABLE, str(tmp_path / "jobs"))
    assert warm.ask(["--version"]) is None


def third_party(path) -> set[str]:
    """Modules that a file imports from elsewhere, and maybe names of things in them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] not in {*sys.stdlib_module_names, "kneeline"}}


def test_all_that_a_scan_needs_is_imported_and_no_thread_started():
    """Forking a process of several threads may hang it."""
    source = ROOT / "src/kneeline"
    stages = [path for stage in ("ingest", "segment", "score", "simulate") for path in (source / stage).glob("*.py")]
    wanted = set().union(*map(third_party, [source / "volume.py", *stages])) - {"openvino"}
    assert {"numpy", "pydicom.pixels", "scipy.ndimage"} <= wanted
    code = f"""
import importlib, sys
for name in {warm.NEEDED!r}:
    importlib.import_module(name)
from importlib.util import find_spec
def is_module(name):
    try:
        return bool(find_spec(name))
    except ModuleNotFoundError:
        return False
print(*(name for name in {sorted(wanted)!r} if name not in sys.modules and is_module(name)))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("Threads")))
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **QUIET}
    )  # fmt: skip
    assert out.stdout.splitlines() == ["", "1"]


@pytest.mark.parametrize(
    ("profile", "more", "elsewhere"),
    [
        ("default", (), False), ("default", ("--until", "collect"), False), ("slurm", (), True),
        ("default", ("--executor", "slurm"), True), ("default", ("--executor=slurm",), True),
        ("default", ("--profile", "lab"), True),
    ],
)  # fmt: skip
def test_only_jobs_of_this_machine_are_asked_for(profile, more, elsewhere, monkeypatch):
    """A scheduler's job has to stay within what it gave."""
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    call = launch.Call(profile=profile, more=more)
    assert launch._goes_elsewhere(call, launch.profile_folder(profile, Path("."))) is elsewhere
