"""What would run and what is wrong, without writing anything."""

from __future__ import annotations

from pathlib import Path

from kneeline import tables
from kneeline.config import read_config
from kneeline.errors import Refusal
from kneeline.launch import check_sheets, sheet_doubts


def check(config: Path, images: bool = False) -> list[str]:
    """Print the plan and all faults found; return the faults.

    Raises
    ------
    UsageError
        If the config, a sheet or the environment's choice of engine or threads cannot be used at all.
    """
    from kneeline.segment.engine import check_environment

    check_environment()
    settings = read_config(config)
    scans = check_sheets(settings, Path("."))
    participants = {row["participant_id"] for row in tables.read_table(settings["participants"], tables.PARTICIPANTS)}
    faults = sheet_doubts(settings, Path("."), scans)
    faults += [
        f"{person}: in the participants table but without a scan"
        for person in sorted(participants - {scan.participant_id for scan in scans})
    ]
    simulated = "results/simulate/" if settings["simulate"] else None
    for scan in scans:
        made = [path for path in scan.paths if simulated and path.startswith(simulated)]
        absent = [path for path in scan.paths if path not in made and not Path(path).exists()]
        faults += [f"{scan.scan_id}: {path}: no such file or folder" for path in absent]
        if images and not made and not absent:
            faults += _image_faults(scan)

    unknown = sum(scan.laterality is None for scan in scans)
    print(f"{len(scans)} scans of {len({scan.participant_id for scan in scans})} participants; {unknown} without side")
    for fault in faults:
        print(f"  {fault}")
    print(
        "nothing is wrong"
        if not faults
        else f"{len(faults)} fault(s); what they name is set aside, or should be looked at"
    )
    return faults


def _image_faults(scan: tables.Scan) -> list[str]:
    """Read the scan as ingest would, and say what ingest would."""
    from kneeline.ingest.run import load_knee

    try:
        knee = load_knee(scan.paths, scan.laterality)
    except Refusal as refusal:
        return [f"{scan.scan_id}: {refusal.code}: {refusal.reason}"]
    except Exception as error:
        return [f"{scan.scan_id}: unexpected_error: reading it failed in a way nobody foresaw ({type(error).__name__})"]
    slices, pixel = min(knee.image.shape), min(knee.image.spacing_mm)
    print(f"  {scan.scan_id}: {slices} slices, {pixel:.2f} mm pixels, side {knee.laterality or 'not in header'}")
    return []
