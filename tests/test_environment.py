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


def conda_dependencies(path):
    plain, pip = {}, {}
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        if isinstance(entry, dict):
            pip = {r.name: str(r.specifier) for r in map(Requirement, (e for e in entry["pip"] if e[0] != "-"))}
            continue
        spec = MatchSpec(entry, strict=True)
        name = spec.name.normalized
        if name not in ("python", "pip"):
            requirement = Requirement(CONDA_NAMES.get(name, name) + entry.removeprefix(name))
            plain[requirement.name] = str(requirement.specifier)
    return {**plain, **pip}


@pytest.mark.parametrize("path", ["environment.yml", "workflow/envs/kneeline.yaml"])
def test_conda_environment_has_the_same_floors(path, floors):
    assert conda_dependencies(ROOT / path) == floors


@pytest.mark.parametrize("path", ["environment.yml", "workflow/envs/kneeline.yaml"])
def test_conda_environment_has_the_same_python(path, project):
    python = next(e for e in yaml.safe_load((ROOT / path).read_text())["dependencies"] if str(e).startswith("python"))
    assert python == "python" + project["requires-python"]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_satisfies_the_floors_is_hashed_and_names_no_address(lock, project):
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?:|--index|--extra-index|--find-links", text)
    pins: dict[str, list[Version]] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        pinned = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", block)
        assert pinned, block[:60]
        assert "--hash=sha256:" in block, block[:60]
        pins.setdefault(pinned[1].lower(), []).append(Version(pinned[2]))
    for requirement in map(Requirement, project["dependencies"]):
        versions = pins[requirement.name.lower()]
        assert all(requirement.specifier.contains(v) for v in versions), requirement
    assert not {"torch", "tensorflow"} & set(pins)


def test_every_package_folder_is_shipped():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    source = ROOT / "src"
    folders = {".".join(p.parent.relative_to(source).parts) for p in source.rglob("*.py")}
    assert set(packages) == folders | {"kneeline.workflow"}
