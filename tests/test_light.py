"""The command line starts light: nothing heavy is imported before a subcommand needs it."""

import os
import subprocess
import sys

HEAVY = {
    "numpy", "scipy", "pandas", "nibabel", "pydicom", "SimpleITK", "skimage", "statsmodels", "matplotlib",
    "onnxruntime", "torch", "snakemake", "jsonschema",
}  # fmt: skip


def imported_by(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*{{m.split('.')[0] for m in sys.modules}})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(out.stdout.split("\n")[-2].split())


def test_importing_kneeline_is_light():
    assert not imported_by("import kneeline") & HEAVY


def test_help_is_light():
    assert (
        not imported_by("from kneeline.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass")
        & HEAVY
    )


def test_reading_the_sheets_is_light():
    assert not imported_by("from kneeline import tables, config, steps") & HEAVY


def test_no_stage_imports_torch():
    stages = ["ingest.run", "segment.run", "score.run", "cohort.run", "report.page", "simulate.run"]
    code = "\n".join(f"import kneeline.{stage}" for stage in stages)
    assert not imported_by(code) & {"torch", "tensorflow"}


def test_the_network_is_run_without_a_word_to_anybody(tmp_path):
    """ONNX Runtime would leave a device id and a queue of what it tells its maker; with CI set it does not."""
    ours = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "CIRCLECI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")
    known = {name: value for name, value in os.environ.items() if name not in ours}
    places = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary")}
    for place in places.values():
        os.mkdir(place)
    code = "import os, kneeline.segment.predict, onnxruntime; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    subprocess.run([sys.executable, "-c", code], env=known | places, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
