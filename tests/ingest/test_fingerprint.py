"""A repair in place shows, and nothing is read for it."""

import builtins
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kneeline.ingest.fingerprint import fingerprint


@pytest.fixture
def folder(tmp_path) -> Path:
    tree = tmp_path / "scan"
    for name in ("a/1.dcm", "a/2.dcm", "b/1.dcm"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"pixels")
    return tree


def test_the_same_tree_has_the_same_print_also_elsewhere(folder):
    first = fingerprint([folder])
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert fingerprint([str(folder)]) == first
    elsewhere = folder.rename(folder.with_name("moved"))
    assert fingerprint([elsewhere]) == first


def _add(folder):
    (folder / "a" / "3.dcm").write_bytes(b"")


def _remove(folder):
    (folder / "a" / "1.dcm").unlink()


def _rename(folder):
    (folder / "a" / "1.dcm").rename(folder / "a" / "9.dcm")


def _move(folder):
    (folder / "a" / "2.dcm").rename(folder / "b" / "2.dcm")


def _resize_at_the_same_time(folder):
    path = folder / "a" / "1.dcm"
    before = path.stat().st_mtime_ns
    path.write_bytes(b"longer pixels")
    os.utime(path, ns=(before, before))


def _replace_by_one_of_equal_size(folder):
    path = folder / "a" / "1.dcm"
    before = path.stat().st_mtime_ns
    path.write_bytes(b"slexip")
    os.utime(path, ns=(before, before + 1))


@pytest.mark.parametrize(
    "change", [_add, _remove, _rename, _move, _resize_at_the_same_time, _replace_by_one_of_equal_size]
)
def test_every_change_shows(folder, change):
    first = fingerprint([folder])
    change(folder)
    assert fingerprint([folder]) != first


def test_what_ingest_does_not_look_at_does_not_count(folder):
    first = fingerprint([folder])
    (folder / ".DS_Store").write_bytes(b"view")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "1.dcm").write_bytes(b"")
    assert fingerprint([folder]) == first


def test_nothing_there_is_absent_and_its_arrival_shows(folder):
    gone = folder / "gone"
    assert fingerprint([gone]) == fingerprint([gone, "nul\0in it", "\ud800"]) == fingerprint([]) == "absent"
    one, both = fingerprint([folder / "a"]), fingerprint([folder / "a", gone])
    assert "absent" not in (one, both)
    gone.mkdir()
    assert len({one, both, fingerprint([folder / "a", gone]), fingerprint([gone])}) == 4


def test_single_files_and_a_nifti_with_its_sidecar(folder):
    path = folder / "knee.nii.gz"
    path.write_bytes(b"n")
    first = fingerprint([path])
    (folder / "other.json").write_text("{}")
    assert fingerprint([path]) == first
    (folder / "knee.json").write_text("{}")
    assert fingerprint([path]) != first


def test_a_dicomdir_stands_for_its_folder(folder):
    (folder / "DICOMDIR").write_bytes(b"")
    first = fingerprint([folder / "DICOMDIR"])
    _remove(folder)
    assert fingerprint([folder / "DICOMDIR"]) != first


def test_hostile_names(folder):
    plain = fingerprint([folder])
    for name in (b"new\nline", b"\xff\xfe latin", b"tab\t", "\N{SNOWMAN}".encode(), b"a\\b"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"x")
    hostile = fingerprint([folder])
    assert len({plain, hostile}) == 2
    assert fingerprint([folder]) == hostile
    assert fingerprint([Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe latin"))]) != "absent"


def test_links_are_followed_once_and_a_circle_ends(folder):
    store = folder.with_name("store")
    store.mkdir()
    (store / "1.dcm").write_bytes(b"1")
    (folder / "link").symlink_to(store)
    (store / "circle").symlink_to(folder)
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "itself").symlink_to(folder / "itself")
    first = fingerprint([folder])
    assert fingerprint([folder]) == first
    (store / "1.dcm").write_bytes(b"12")
    assert fingerprint([folder]) != first


def test_a_folder_that_cannot_be_listed_is_borne_and_access_shows(folder, monkeypatch):
    first = fingerprint([folder])
    scandir = os.scandir

    def denied(path):
        if os.path.basename(path) == b"a":
            raise PermissionError
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", denied)
        assert fingerprint([folder]) not in (first, "absent")
    assert fingerprint([folder]) == first


def test_no_file_is_opened(folder, monkeypatch):
    def opened(*_, **__):
        raise AssertionError("a file was opened")

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, opened)
    assert len(fingerprint([folder, folder / "a" / "1.dcm"])) == 16


def test_it_is_light():
    code = "import sys, kneeline.ingest.fingerprint as _; print({'numpy', 'pydicom', 'nibabel'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
