"""The package: blind, in the reader's order, one key beside it."""

import ast
import re

import numpy as np
import pytest
from tests.viewer.test_pixels import unpack

from kneeline import tables
from kneeline.cli import main
from kneeline.errors import UsageError
from kneeline.read.keys import KEY, key_path
from kneeline.read.package import build_package
from kneeline.viewer.knee import pack_knee
from kneeline.volume import medial_sign


def test_nothing_in_the_package_tells_whose_a_knee_is(anna, results, made):
    """Every file of the package against every id, exposure and grade that lies in the results."""
    scans = tables.read_table(results / "ingest" / "scans.tsv", tables.INGEST_SCANS)
    secrets = {row[name] for row in scans for name in ("scan_id", "participant_id", "session_id")} | set(made.SECRETS)
    columns = {c.name for table in (tables.MENISCUS, tables.EFFUSION, tables.PARTICIPANTS) for c in table.columns}
    # Plain words that the form or the page's own code needs.
    secrets |= columns - {"laterality", "meniscus", "region", "flags", "sex", "surface"}
    files = [path for path in anna.folder.rglob("*") if path.is_file()]
    assert len(files) == 1 + len(anna.key)
    for path in files:
        assert path.suffix in (".html", ".js")
        text = path.read_text(encoding="latin-1")
        for secret in secrets:
            assert secret not in text, f"{path.name}: {secret}"
            assert secret not in path.name


def test_the_pixels_carry_nothing_but_the_image(anna, made):
    """Unpacked, the data of a case are its slices to the last byte."""
    index = made.index(anna.built.page)
    for case in index["cases"]:
        text = (anna.folder / "cases" / f"{case['id']}.js").read_bytes()
        inside = re.fullmatch(rb'kneelineCase\("\w+","\w+","(.*)"\); *\n', text, re.DOTALL)[1]
        # The escapes used are Python's too.
        data = ast.literal_eval(f'"{inside.decode("latin-1")}"').encode("latin-1")
        row = next(row for row in anna.key if row["case_id"] == case["id"])
        image = made.volume(int(row["participant_id"][-2:]), row["laterality"])
        pixels = unpack(data, case["shape"])
        assert sorted(pixels.ravel() + image.array.min()) == sorted(image.array.ravel())


def test_names_of_cases_come_from_chance_and_the_order_from_the_seed(anna, results, made, tmp_path):
    again = made.package(results, tmp_path / "again", "anna", 3)
    assert [row["scan_id"] for row in again.key] == [row["scan_id"] for row in anna.key]
    assert not {row["case_id"] for row in again.key} & {row["case_id"] for row in anna.key}
    assert again.key[0]["package_sha256"] != anna.key[0]["package_sha256"]


def test_a_repeat_looks_like_another_knee(anna, made):
    twice = [row for row in anna.key if row["reading"] == 2]
    assert len(twice) == 1
    one, two = (row for row in anna.key if row["scan_id"] == twice[0]["scan_id"])
    assert (one["reading"], two["reading"]) == (1, 2)
    assert one["image_sha256"] != two["image_sha256"]
    sizes = [(anna.folder / "cases" / f"{row['case_id']}.js").stat().st_size for row in (one, two)]
    assert sizes[0] != sizes[1]


@pytest.mark.parametrize("laterality", ["L", "R"])
def test_slices_go_from_lateral_to_medial(made, laterality):
    """x grows to the right; so do the pixels."""
    image = made.volume(1, laterality)
    case, packed = pack_knee(image, laterality)
    pixels = unpack(packed.data, case["shape"])
    assert case["spacing"] == [3.5, 0.6, 0.75]
    assert np.sign(pixels[-1, 0, 0] - pixels[0, 0, 0]) == medial_sign(laterality)
    assert pixels[0, 0, 0] > pixels[0, -1, 0]  # z falls downwards
    assert pixels[0, 0, 0] > pixels[0, 0, -1]  # y falls to the right: anterior is left


def test_the_key_is_beside_the_package_and_never_overwritten(anna, results):
    assert anna.built.key == key_path(anna.folder)
    assert anna.built.key.parent == anna.folder.parent
    before = anna.built.key.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        build_package(results, anna.folder, "anna", 3)
    assert anna.built.key.read_bytes() == before


def test_set_aside_scans_stay_out_and_a_scan_can_be_named(results, made, tmp_path, anna):
    assert "sub-999_ses-01_knee-L" not in {row["scan_id"] for row in anna.key}
    chosen = ["sub-903_ses-01_knee-R", "sub-901_ses-01_knee-R"]
    some = made.package(results, tmp_path / "some", "anna", 3, scans=chosen, repeats=0)
    assert sorted(row["scan_id"] for row in some.key) == sorted(chosen)
    with pytest.raises(UsageError, match="a slice is missing"):
        build_package(results, tmp_path / "aside", "anna", 3, scans=["sub-999_ses-01_knee-L"])
    with pytest.raises(UsageError, match="no scan sub-000"):
        build_package(results, tmp_path / "none", "anna", 3, scans=["sub-000"])
    assert not list(tmp_path.glob("none*")) + list(tmp_path.glob(".none*"))


def test_a_name_is_no_code(results, tmp_path):
    with pytest.raises(UsageError, match="use a code"):
        build_package(results, tmp_path / "package", "Dr. Müller", 3)


def test_at_the_command_line(results, tmp_path, capsys):
    out = tmp_path / "for-ben"
    assert main(["read", str(results), "-o", str(out), "--rater", "ben", "--seed", "11", "--repeats", "0"]) == 0
    assert "6 knees for reader ben, 0 of them twice" in capsys.readouterr().out
    assert len(tables.read_table(key_path(out), KEY)) == 6
    few = ["read", str(results), "-o", str(tmp_path / "few"), "--rater", "cy", "--seed", "11", "--number", "2"]
    assert main(few) == 0
    assert "2 knees for reader cy, 1 of them twice" in capsys.readouterr().out
    assert main(["read", str(results), "-o", str(out)]) == 2
    assert "needs --rater, --seed" in capsys.readouterr().err
