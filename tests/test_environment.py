"""pyproject.toml, requirements.lock and environment.yml say the same."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from rattler import MatchSpec

from tests.conftest import ROOT

CONDA_NAMES = {"matplotlib-base": "matplotlib", "snakemake-minimal": "snakemake"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def floors(project):
    return {r.name: str(r.specifier) for r in map(Requirement, project["dependencies"])}


def pins(lock: str) -> dict[str, list[tuple[Version, str]]]:
    """Versions of each package in a lock file, each with its marker."""
    found: dict[str, list[tuple[Version, str]]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()):
        pinned = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;([^\\]*))?", block)
        assert pinned, block[:60]
        assert "--hash=sha256:" in block, block[:60]
        found.setdefault(pinned[1].lower(), []).append((Version(pinned[2]), pinned[3] or ""))
    return found


def conda_dependencies(path) -> dict[str, str]:
    """Name on the Python side -> version specifier; every conda entry has to be a strict match spec."""
    found = {}
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        if isinstance(entry, dict):
            requirements = [Requirement(e) for e in entry["pip"] if e[0] != "-"]
        else:
            name = MatchSpec(entry, strict=True).name.normalized
            if name in ("python", "pip"):
                continue
            requirements = [Requirement(CONDA_NAMES.get(name, name) + entry.removeprefix(name))]
        found |= {r.name: str(r.specifier) for r in requirements}
    return found


@pytest.mark.parametrize("path", ["environment.yml", "workflow/envs/kneeline.yaml"])
def test_conda_environment_has_the_locked_versions(path, floors):
    conda = conda_dependencies(ROOT / path)
    assert set(conda) == set(floors)
    for name, specifier in conda.items():
        on_python_311 = [v for v, marker in pins("requirements.lock")[name] if ">= '3.12'" not in marker]
        assert specifier == f"=={on_python_311[0]}", name


@pytest.mark.parametrize("path", ["environment.yml", "workflow/envs/kneeline.yaml"])
def test_conda_environment_has_a_python_that_the_project_allows(path, project):
    entries = map(str, yaml.safe_load((ROOT / path).read_text())["dependencies"])
    python = next(e for e in entries if e.startswith("python="))
    assert Version(python.removeprefix("python=")) in Requirement("python" + project["requires-python"]).specifier


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_satisfies_the_floors_is_hashed_and_names_no_address(lock, project):
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?:|--index|--extra-index|--find-links", text)
    locked = pins(lock)
    for requirement in map(Requirement, project["dependencies"]):
        versions = locked[requirement.name.lower()]
        assert all(requirement.specifier.contains(v) for v, _ in versions), requirement
    assert not {"torch", "tensorflow"} & set(locked)


def test_every_package_folder_is_shipped():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    source = ROOT / "src"
    folders = {".".join(p.parent.relative_to(source).parts) for p in source.rglob("*.py")}
    assert set(packages) == folders | {"kneeline.workflow"}
