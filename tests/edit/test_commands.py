"""`kneeline export-edit`, `import-edit`: what is written, what is refused, what is remembered."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from tests.edit.conftest import FIRST, NETWORK, SECOND, bring, corrected, run, segmented

from kneeline import tables
from kneeline.edit import registry
from kneeline.labels import Label
from kneeline.volume import read_volume, write_volume

DRAFTS = Path("edits/drafts") / FIRST
DSEG = DRAFTS / f"{FIRST}_dseg.nii.gz"


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture
def back(study, machine):
    """A corrected label map, as an editor saved it over what was exported."""
    assert run("export-edit", FIRST) == 0
    write_volume(DSEG, corrected(machine))
    return DSEG


def rows():
    return tables.read_table("edits/edits.tsv", tables.EDITS)


def files(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_what_goes_out_is_the_knee_its_outlines_and_their_names(study, capsys):
    results = files("results")
    assert run("export-edit", FIRST) == 0
    assert DSEG.read_bytes() == Path(f"results/segment/{FIRST}_dseg.nii.gz").read_bytes()
    assert (DRAFTS / f"{FIRST}_image.nii.gz").read_bytes() == Path(f"results/ingest/{FIRST}_image.nii.gz").read_bytes()
    assert "ITK-SnAP Label Description File" in (DRAFTS / "labels_itksnap.txt").read_text()
    assert "11 joint_fluid" in (DRAFTS / "labels_slicer.ctbl").read_text()
    assert f"import-edit {FIRST}" in (DRAFTS / "README.txt").read_text()
    assert files("results") == results
    assert registry.read_edits("edits") == {}


def test_an_edit_in_progress_is_never_overwritten(back, capsys):
    before = back.read_bytes()
    assert run("export-edit", FIRST) == 2
    assert "may hold somebody's corrections" in capsys.readouterr().err
    assert back.read_bytes() == before
    assert run("export-edit", FIRST, "-o", "elsewhere") == 0


def test_what_is_kept_or_untouched_may_be_exported_again(back, machine):
    assert bring(back) == 0
    assert run("export-edit", FIRST) == 0  # imported as it is
    edit = registry.read_edits("edits")[FIRST]
    assert digest(back) == edit.after_sha256
    assert run("export-edit", FIRST) == 0  # nobody touched it
    array = corrected(machine).array.copy()
    array[0, 0, 0] = Label.FEMUR
    write_volume(back, machine.with_array(array))
    assert run("export-edit", FIRST) == 2  # corrected further, not imported yet
    back.write_bytes(b"half written")
    assert run("export-edit", FIRST) == 2


def test_what_comes_back_is_recorded_with_who_when_and_hashes(back, machine, capsys):
    results = files("results")
    assert bring(back) == 0
    said = capsys.readouterr().out
    assert "edited by anna" in said
    assert "medial meniscus" in said
    edit = registry.read_edits("edits")[FIRST]
    assert (edit.editor_id, edit.outlined_by, edit.network) == ("anna", "edited by anna", NETWORK)
    assert edit.before_sha256 == digest(f"results/segment/{FIRST}_dseg.nii.gz")
    assert edit.after_sha256 == digest(edit.path)
    assert edit.laterality == "R"
    assert edit.image_sha256 == digest(f"results/ingest/{FIRST}_image.nii.gz")
    assert np.array_equal(read_volume(edit.path).array, corrected(machine).array)
    row = rows()[-1]
    assert row["changed"] == "medial_tibial_cartilage,medial_meniscus"
    assert row["changed_ml"] == pytest.approx(5 * 18 * 1.0 / 1000)
    assert files("results") == results  # an input of the next run; nothing of the last one is touched


def test_only_that_scan_has_an_edit(back):
    bring(back)
    scans = registry.with_edits(tables.read_scans("config/scans.tsv"), "edits")
    assert [bool(scan.edit) for scan in scans] == [True, False]


def test_undone_it_is_the_machine_s_again_and_nothing_is_lost(back, capsys):
    bring(back)
    kept = registry.read_edits("edits")[FIRST].path
    content = Path(kept).read_bytes()
    assert run("import-edit", FIRST, "--remove", "--editor", "bea") == 0
    assert registry.read_edits("edits") == {}
    assert Path(kept).read_bytes() == content
    assert [(row["action"], row["editor_id"]) for row in rows()] == [
        ("exported", None), ("imported", "anna"), ("removed", "bea")
    ]  # fmt: skip
    assert run("import-edit", FIRST, "--remove") == 2
    assert "has no edit" in capsys.readouterr().err
    assert bring(back) == 0  # and may be taken again
    assert registry.read_edits("edits")[FIRST].path == kept


def test_a_second_correction_counts_and_the_first_stays(back, machine):
    bring(back)
    first = registry.read_edits("edits")[FIRST]
    again = corrected(machine).array.copy()
    again[again == Label.JOINT_FLUID] = 0
    assert run("export-edit", FIRST, "-o", "second") == 0
    assert digest(f"second/{FIRST}_dseg.nii.gz") == first.after_sha256  # what counts goes out, before any run
    write_volume(Path("second") / DSEG.name, machine.with_array(again))
    assert bring(Path("second") / DSEG.name, editor="bea") == 0
    second = registry.read_edits("edits")[FIRST]
    assert (second.editor_id, second.before_sha256, second.network) == ("bea", first.after_sha256, NETWORK)
    assert digest(first.path) == first.after_sha256
    assert second.digest != first.digest


def test_what_was_not_corrected_is_said(back, machine, capsys):
    write_volume(back, machine)
    assert bring(back) == 2
    assert "the machine's own, nothing was corrected" in capsys.readouterr().err
    write_volume(back, corrected(machine))
    assert bring(back) == 0
    assert bring(back, editor="bea") == 2
    assert "those that anna corrected" in capsys.readouterr().err
    write_volume(back, machine)
    assert bring(back) == 2
    assert f"`kneeline import-edit {FIRST} --remove`" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--editor", "Anna Meier"), ("--editor", "ä"), ("--editor", ""), ()])
def test_a_code_is_needed_and_no_name(back, capsys, arguments):
    assert run("import-edit", FIRST, back, *arguments) == 2
    assert "use a code" in capsys.readouterr().err
    assert [row["action"] for row in rows()] == ["exported"]


def test_renamed_structures_need_a_word(back, machine, capsys):
    array = machine.array.copy()
    array[array == Label.PATELLA] = Label.FIBULA
    write_volume(back, machine.with_array(array))
    assert bring(back) == 2
    assert "patella is now fibula" in capsys.readouterr().err
    assert bring(back, "--as-meant") == 0


def test_a_refused_map_leaves_no_trace(back, machine, capsys):
    before = files("edits")
    array = machine.array.copy()
    array[0, 0, 0] = 77
    write_volume(back, machine.with_array(array))
    assert bring(back) == 2
    assert "77 (1 voxel)" in capsys.readouterr().err
    before[back] = back.read_bytes()
    assert files("edits") == before


def test_another_image_than_that_which_was_exported_is_noticed(back, machine, capsys):
    write_volume(f"results/ingest/{FIRST}_image.nii.gz", machine.with_array(np.ones(machine.shape, np.int16)))
    assert bring(back) == 2
    assert "is another one than when it was exported" in capsys.readouterr().err


def test_a_knee_that_the_machine_refused_is_outlined_from_nothing(study, machine, capsys):
    for path in Path("results/segment").glob(f"{SECOND}_*"):
        path.unlink()
    status = {"scan_id": SECOND, "participant_id": "sub-2", "session_id": "ses-01", "laterality": "R"}
    refused = {"status": "quarantined", "stage": "segment", "reason_code": "not_a_knee", "reason": "none was found"}
    tables.write_status("results/segment", status | refused)
    assert run("export-edit", SECOND, "-o", "out") == 0
    drawn = Path("out") / f"{SECOND}_dseg.nii.gz"
    assert not read_volume(drawn).array.any()
    write_volume(drawn, machine)
    assert bring(drawn, scan=SECOND) == 0
    edit = registry.read_edits("edits")[SECOND]
    assert (edit.network, edit.after_sha256) == (None, digest(edit.path))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export-edit", "sub-1"), "has no scan 'sub-1'; a knee is named by its scan id, such as sub-1_ses-01_knee-R"),
        (("export-edit", "sub-9_ses-01_knee-R"), "has no scan"),
        (("import-edit", FIRST), "takes the corrected label map, or --remove"),
        (("import-edit", FIRST, "x.nii.gz", "--remove"), "takes the corrected label map, or --remove"),
        (("import-edit", FIRST, "x.nii.gz", "--editor", "a"), "x.nii.gz: no such file"),
    ],
)
def test_wrong_calls_end_with_2_and_a_sentence(study, capsys, arguments, words):
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err
    assert registry.rows_of("edits") == []


def test_a_knee_without_an_image_says_why(study, capsys):
    row = tables.read_status("results/ingest", FIRST)
    tables.write_status("results/ingest", row | {"status": "quarantined", "reason_code": "missing_slice"})
    assert run("export-edit", FIRST) == 2
    assert "missing_slice" in capsys.readouterr().err


def test_the_machine_s_map_of_an_edited_knee_is_found_where_it_is_kept(study, machine, capsys):
    """After a run the label map in force is the edit's; the machine's stands beside it."""
    segmented(Path("results"), FIRST, corrected(machine), outlined_by="edited by anna")
    write_volume(f"results/segment/{FIRST}_machine_dseg.nii.gz", machine)
    write_volume("same.nii.gz", machine)
    assert bring("same.nii.gz") == 2
    assert "the machine's own" in capsys.readouterr().err


def test_a_run_does_not_begin_with_a_label_map_that_was_changed_or_lost(back, machine, capsys):
    bring(back)
    path = Path(registry.read_edits("edits")[FIRST].path)
    assert run("check") == 0
    array = corrected(machine).array.copy()
    array[0, 0, 0] = Label.FEMUR
    write_volume(path, machine.with_array(array))
    assert run("check") == 2
    assert "is not the corrected label map that was imported" in capsys.readouterr().err
    path.unlink()
    assert run("check") == 2
    assert "is gone" in capsys.readouterr().err


def test_an_edit_of_a_scan_that_is_called_otherwise_now_is_told(back, capsys):
    bring(back)
    scans = tables.read_table("config/scans.tsv", tables.SCANS)
    tables.write_table("config/scans.tsv", [scans[0] | {"laterality": "L"}, scans[1]], tables.SCANS)
    capsys.readouterr()
    assert run("check") == 0
    said = capsys.readouterr().out
    assert f"{FIRST}: its outlines were corrected" in said
    assert "no such scan any more" in said


def test_whoever_withdraws_takes_their_edits_along_and_nobody_else_s(back, machine, capsys):
    bring(back)
    write_volume("other.nii.gz", corrected(machine))
    bring("other.nii.gz", scan=SECOND)
    other = registry.read_edits("edits")[SECOND]
    capsys.readouterr()
    assert run("forget", "sub-1") == 1  # rows of the sheets are left
    assert "in results, logs, .snakemake, edits any more" in capsys.readouterr().out
    assert registry.read_edits("edits") == {SECOND: other}
    assert digest(other.path) == other.after_sha256
    left = [path for path in Path("edits").rglob("*") if "sub-1_" in str(path)]
    assert not left
    assert b"sub-1_" not in Path("edits/edits.tsv").read_bytes()
