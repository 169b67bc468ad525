# What the rules share: the checked config and the scans. Nothing heavy is imported, no image is touched.
import json

from kneeline import tables
from kneeline.config import check_config
from kneeline.ingest.fingerprint import fingerprint
from kneeline.steps import VERSIONS, calibration_digest, network_digest, network_engine

settings = check_config(config, source="config")
SCANS = {scan.scan_id: scan for scan in tables.read_scans(settings["scans"])}


wildcard_constraints:
    scan=r"sub-[A-Za-z0-9]+_ses-[A-Za-z0-9]+(_run-\d+)?_knee-(L|R|unknown)",


def simulated_paths(wildcards):
    """Truth of a simulated scan, whose rule also writes its DICOM; nothing for a real scan."""
    if settings["simulate"]:
        return [f"results/simulate/{wildcards.scan}_truth.tsv"]
    return []


def all_truths(wildcards):
    if settings["simulate"]:
        return [f"results/simulate/{scan}_truth.tsv" for scan in SCANS]
    return []


def scan_row(wildcards):
    """What the scans table says of a scan and what its folders hold: a change of it reruns that scan only."""
    scan = SCANS[wildcards.scan]
    found = [] if settings["simulate"] else [fingerprint(scan.paths)]
    return [scan.laterality or "", *scan.paths, *found]


def of_all_scans(pattern):
    return [pattern.format(scan=scan) for scan in SCANS]


def resolved_config(wildcards):
    """The config as it is run, defaults filled in, as JSON (which is YAML)."""
    return json.dumps(settings, indent=1, sort_keys=True)
