"""The profiles that come with the workflow, and a site's own."""

import subprocess
import sys

import pytest
import yaml
from tests.workflow.test_plan import planned, real_scans

from kneeline import launch
from kneeline.config import workflow_folder
from kneeline.errors import UsageError

PROFILES = sorted(path.name for path in (workflow_folder() / "profiles").iterdir())
AVOIDS_LOSS = {"keep-going": True, "rerun-incomplete": True, "scheduler": "greedy"}


def profile(name):
    return yaml.safe_load((workflow_folder() / "profiles" / name / "profile.yaml").read_text())


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_keeps_going_and_tries_once_more_than_a_scan_may_die(name):
    from kneeline.chain import MOST_TRIES

    settings = profile(name)
    assert {key: settings.get(key) for key in AVOIDS_LOSS} == AVOIDS_LOSS
    assert settings["retries"] >= MOST_TRIES
    assert settings["latency-wait"] > 0


def resources_of(settings):
    yield from settings["default-resources"].items()
    for resources in settings["set-resources"].values():
        yield from resources.items()


def test_resources_on_a_cluster_grow_with_the_attempt_up_to_a_cap():
    found = list(resources_of(profile("slurm")))
    assert {name for name, _ in found} == {"mem_mb", "runtime"}
    for name, expression in found:
        values = [eval(expression, {"min": min, "attempt": attempt, "threads": 1}) for attempt in range(1, 100)]
        assert values == sorted(values)
        assert values[1] > values[0]
        assert values[-1] == values[-2]
        # A SLURM job holds two Snakemakes besides the command.
        assert name != "mem_mb" or values[0] >= 1000


def test_the_slurm_profile_plans_as_the_default_does(tmp_path):
    folder = real_scans(tmp_path, ("sub-1", "ses-01", "L", "a"), ("sub-2", "ses-01", "R", "b"))
    command = [sys.executable, "-m", "kneeline", "run", "--directory", str(folder), "--profile", "slurm", "--dry-run"]
    jobs = planned(subprocess.run(command, capture_output=True, text=True, check=False))
    assert (jobs["process_scan"], jobs["collect"], jobs["cohort"]) == (2, 1, 1)
    assert not (folder / "results").exists()


def test_a_sites_own_profile_is_a_folder_relative_to_the_run(tmp_path):
    (tmp_path / "site").mkdir()
    with pytest.raises(UsageError, match="--profile takes one of default, slurm, or a folder"):
        launch.profile_folder("site", tmp_path)
    (tmp_path / "site/profile.yaml").write_text("executor: slurm\n")
    assert launch.profile_folder("site", tmp_path) == tmp_path / "site"
    assert launch.profile_folder("slurm", tmp_path) == workflow_folder() / "profiles/slurm"
