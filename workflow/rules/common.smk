# What the rules share: the checked config and the scans. Nothing heavy is imported, and no scan's files are looked at:
# `kneeline run` compares them with what was read, before it starts Snakemake.
import json
from pathlib import Path

from kneeline import progress, steps, tables
from kneeline.config import check_config
from kneeline.edit.registry import digest_of, with_edits

settings = check_config(config, source="config")
SCANS = {scan.scan_id: scan for scan in with_edits(tables.read_scans(settings["scans"]), settings["edits"])}
VERSIONS = steps.VERSIONS
VIEWER = settings["report"]["viewer"]
OF_ONE_SCAN = {step: steps.declared(step, VIEWER) for step in progress.LAST}
NO_VIEWER = "" if VIEWER else " --no-viewer"


wildcard_constraints:
    scan=r"sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+(_run-\d+)?_knee-(L|R|unknown)",
    chunk=r"\d+-of-\d+",


# Truths of simulated scans, which come with their DICOM; nothing for real scans. A pattern, since a function costs a
# call a scan.
TRUTH = ["results/simulate/{scan}_truth.tsv"] if settings["simulate"] else []


def truth_of(scan_ids):
    return [truth.format(scan=scan) for scan in scan_ids for truth in TRUTH]


def all_truths(wildcards):
    return truth_of(SCANS)


def of_all_scans(step):
    """What has to be there when a step of every scan is done: the same file for all that one job does."""

    def outputs(wildcards):
        return list(dict.fromkeys(progress.output_of(settings, scan, step) for scan in SCANS))

    return outputs


def sheet_digest(name):
    """Of a sheet that a person writes: a change of it reruns what reads it. It is no input of a rule, since Snakemake
    ends a run in which an input's time is to come, as when a file server's clock is ahead."""
    path = Path(settings[name] or "")
    return digest_of(path) if path.is_file() else None


def scan_row(wildcards):
    """What the scans table says of a scan: a change of it reruns that scan only."""
    return progress.row_digest(SCANS[wildcards.scan])


def scan_edit(wildcards):
    """Outlines of a scan that a person corrected: a change of them reruns that scan from `segment` on."""
    return progress.edit_of("segment", SCANS[wildcards.scan])["edit"]


def scan_row_and_edit(wildcards):
    return [scan_row(wildcards), scan_edit(wildcards)]


def resolved_config(wildcards):
    """The config as it is run, defaults filled in, as JSON (which is YAML). How the work is cut into jobs is left out:
    no result depends on it."""
    told = {name: value for name, value in settings.items() if name not in ("granularity", "chunks")}
    return json.dumps(told, indent=1, sort_keys=True)
