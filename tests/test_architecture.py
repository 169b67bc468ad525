"""Laws of docs/design.md about who may import whom, and promises of the documents."""

import ast
import re
import subprocess

import pytest

from tests.conftest import ROOT

STAGES = ("ingest", "segment", "score", "cohort", "report", "simulate", "read", "edit")
NOUNS = ("volume", "labels", "grading", "tables")
SOURCE = ROOT / "src" / "kneeline"


def imports_of(path) -> set[str]:
    """Names under `kneeline.` that a file imports, such as `ingest.run`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("kneeline.") for name in found if name.startswith("kneeline.")}


@pytest.mark.parametrize("stage", STAGES)
def test_stages_never_import_each_other(stage):
    others = set(STAGES) - {stage}
    for path in (SOURCE / stage).rglob("*.py"):
        allowed = {"simulate"} if "training" in path.parts else set()
        assert not {name.split(".")[0] for name in imports_of(path)} & (others - allowed), path


@pytest.mark.parametrize("noun", NOUNS)
def test_nouns_import_no_stage(noun):
    assert not {name.split(".")[0] for name in imports_of(SOURCE / f"{noun}.py")} & set(STAGES)


def test_statistics_know_arrays_only():
    for path in (SOURCE / "statistics").glob("*.py"):
        assert {name.split(".")[0] for name in imports_of(path)} <= {"statistics", "errors", "grading"}, path


def test_the_viewer_knows_no_stage():
    """What it shows is given to it: the blinded page and the page with outlines share it."""
    for path in (SOURCE / "viewer").glob("*.py"):
        assert {name.split(".")[0] for name in imports_of(path)} <= {"viewer", "volume", "labels"}, path


def test_medial_and_lateral_are_decided_in_one_place():
    """Nobody else turns a side into a sign."""
    for path in SOURCE.rglob("*.py"):
        if path.name != "volume.py":
            assert not re.search(r"""[-+]?1(\.0)? if \w*laterality\w* == ["'][LR]""", path.read_text()), path


def tracked(pattern):
    out = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in out.stdout.splitlines()]


def test_links_in_the_documents_lead_somewhere():
    pages = tracked("*.md")
    assert pages
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_commands_in_the_documents_exist(capsys):
    from kneeline import cli

    with pytest.raises(SystemExit):
        cli.main(["--help"])
    known = set(re.findall(r"^    ([a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    for page in tracked("*.md"):
        named = set(re.findall(r"`kneeline ([a-z][a-z-]*)", page.read_text()))
        assert named <= known, page.name
