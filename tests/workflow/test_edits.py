"""Outlines corrected by hand: just that knee is worked on again, at every granularity, and undone it is as before."""

import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.conftest import ROOT
from tests.workflow.conftest import all_files
from tests.workflow.test_plan import planned, real_scans

from kneeline import chain, collect, progress, tables
from kneeline.edit import registry
from kneeline.labels import Label
from kneeline.volume import read_volume, write_volume

KNEES = [f"sub-{n}_ses-01_knee-L" for n in (1, 2, 3)]
EDITED = KNEES[1]

# Stands for the command: writes what Snakemake waits for, and nothing else.
_STAND_IN = """#!/bin/sh
command=$1
shift
while [ $# -gt 0 ]; do
    case $1 in
        --only) step=$2 ;;
        --scan) scan=$2 ;;
        --stamp) stamp=$2 ;;
    esac
    shift
done
put() { for path; do mkdir -p "$(dirname "$path")"; echo made > "$path"; done; }
case $command in
    process)
        if [ "$stamp" ]; then put "$stamp"
        elif [ "$step" = report ]; then put "results/report/${scan}_picture.json"
        else put "results/$step/${scan}_status.json"; fi ;;
    *) put OUTPUTS ;;
esac
"""


def snakemake(folder, *more):
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow/Snakefile", "--cores", "1", *more]
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={"PATH": path, "HOME": str(folder)}
    )


def stand_in(folder):
    """A `kneeline` for this folder; outputs of the tables' rules are read from the rules."""
    rules = "".join((ROOT / f"workflow/rules/{name}.smk").read_text() for name in ("collect", "cohort", "report"))
    outputs = sorted(set(re.findall(r'"(results/(?:ingest|segment|score|cohort|report)/[a-z0-9_]+\.\w+)"', rules)))
    script = folder / "bin/kneeline"
    script.parent.mkdir()
    script.write_text(_STAND_IN.replace("OUTPUTS", " ".join(outputs)))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def record_edit(folder, action="imported", digest="a" * 64):
    row = {"scan_id": EDITED, "action": action, "editor_id": "anna", "file": "x.nii.gz", "after_sha256": digest}
    registry.add_row(folder / "edits", row)


@pytest.mark.parametrize("granularity", ["step", "scan", "chunk"])
def test_snakemake_plans_that_knee_alone_and_what_is_made_of_all_knees(tmp_path, granularity):
    chunks = next(n for n in range(1, 99) if len({progress.chunk_of(knee, n) for knee in KNEES}) == 3)
    config = f"granularity: {granularity}\nchunks: {chunks}\n"
    folder = real_scans(tmp_path, *((knee.split("_")[0], "ses-01", "L", "in") for knee in KNEES), config=config)
    stand_in(folder)
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr

    record_edit(folder)
    out = snakemake(folder, "--dry-run")
    jobs = planned(out)
    shared = {"collect": 1, "cohort": 1, "report": 1}
    own = {
        "step": {"segment": 1, "score": 1, "picture": 1},
        "scan": {"process_scan": 1},
        "chunk": {"process_chunk": 1},
    }[granularity]
    assert {name: n for name, n in jobs.items() if name not in ("all", "total")} == own | shared
    mine = progress.chunk_of(EDITED, chunks) if granularity == "chunk" else EDITED
    assert set(re.findall(r"wildcards: (?:scan|chunk)=(\S+)", out.stdout + out.stderr)) == {mine}


def edited(scan, results, folder):
    """The scan with an edit: joint fluid taken away, as an import stores it."""
    labels = read_volume(results / "segment" / f"{scan.scan_id}_dseg.nii.gz")
    array = labels.array.copy()
    array[array == Label.JOINT_FLUID] = 0
    folder.mkdir()
    write_volume(folder / "x.nii.gz", labels.with_array(array))
    digest = registry.digest_of(folder / "x.nii.gz")
    return replace(
        scan, edit=tables.Edit(str(folder / "x.nii.gz"), "anna", "2026-11-23T10:00:00Z", digest, *[None] * 3)
    )


def test_scores_and_picture_follow_the_edit_other_knees_stay_and_undone_all_is_as_before(scans, by_scan, tmp_path):
    results = shutil.copytree(by_scan, tmp_path / "results")
    before = all_files(results, scans)
    changed = [edited(scans[0], results, tmp_path / "edits"), *scans[1:]]
    for scan in changed:
        chain.process(scan, results)
    after = all_files(results, changed)

    mine = scans[0].scan_id
    of_knees = {name for name in after if "sub-" in name}
    differ = {name for name in of_knees if before.get(name) != after[name]}
    assert all(mine in name for name in differ)
    assert differ >= {
        *(f"segment/{mine}_{what}" for what in ("dseg.nii.gz", "dseg.json", "structures.tsv", "status.json")),
        *(f"segment/{mine}_{what}" for what in ("machine_dseg.nii.gz", "edit.tsv")),
        *(name for name in of_knees if name.startswith(f"score/{mine}_") and name.endswith((".tsv", "_status.json"))),
        f"report/{mine}_overlay.png",
        f"report/{mine}_picture.json",
    }
    assert not [name for name in differ if name.startswith("ingest/")]
    assert after[f"segment/{mine}_machine_dseg.nii.gz"] == before[f"segment/{mine}_dseg.nii.gz"]
    rows = collect.collect(changed, results)
    assert [row["outlined_by"] for row in rows[:2]] == ["edited by anna", "machine"]
    for table in (tables.MENISCUS, tables.EXTRUSION, tables.EFFUSION, tables.CARTILAGE, tables.MARROW):
        whose = {
            (r["participant_id"], r["outlined_by"]) for r in tables.read_table(results / f"{table.name}.tsv", table)
        }
        assert whose == {("sub-1", "edited by anna"), ("sub-2", "machine")}, table.name
    fluid = {
        r["participant_id"]: r["fluid_ml"] for r in tables.read_table(results / "score/effusion.tsv", tables.EFFUSION)
    }
    assert fluid["sub-1"] == 0 < fluid["sub-2"]
    (row,) = tables.read_table(results / "segment/edits.tsv", tables.EDITED)
    assert (row["scan_id"], row["editor_id"]) == (mine, "anna")
    assert row["changed_ml"] == pytest.approx(fluid["sub-2"], rel=0.2)  # the same anatomy, fluid taken away
    assert np.isfinite(row["changed_ml"])

    for scan in scans:
        chain.process(scan, results)
    assert all_files(results, scans) == before
