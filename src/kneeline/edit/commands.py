"""What `kneeline export-edit` and `kneeline import-edit` do, and what they say about it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeline import labels, tables
from kneeline.config import read_config
from kneeline.edit import registry
from kneeline.edit.check import changes, check_names, read_label_map
from kneeline.errors import UsageError
from kneeline.labels import Label
from kneeline.tables import EDITS, Edit, Row, Scan
from kneeline.volume import Volume, read_volume, write_volume


@dataclass(frozen=True)
class Knee:
    """A scan of a study, what the machine made of it, and its edit if it has one. Paths are those on this machine."""

    scan: Scan
    study: Path
    edits: Path
    image: Path
    laterality: str
    machine: Path | None  # the machine's label map; None where it refused
    network: str | None  # that drew it

    @property
    def edit(self) -> Edit | None:
        return self.scan.edit

    @property
    def in_force(self) -> Path | None:
        """The label map that counts, or will after the next run."""
        return self.study / self.edit.path if self.edit else self.machine


def find_knee(scan_id: str, study: Path, config: Path) -> Knee:
    """The knee that a scan id names.

    Raises
    ------
    UsageError
        If there is none, or nothing that could be corrected.
    """
    settings = read_config(study / config)
    scans = tables.read_scans(study / settings["scans"])
    scan = next((scan for scan in scans if scan.scan_id == scan_id), None)
    if scan is None:
        near = [s.scan_id for s in scans if s.participant_id == scan_id.partition("_")[0]] or [
            s.scan_id for s in scans[:3]
        ]
        raise UsageError(f"{settings['scans']} has no scan {scan_id!r}; a knee is named by its scan id, {_such(near)}")
    ingest, segment = study / "results" / "ingest", study / "results" / "segment"
    status = tables.read_status(ingest, scan_id)
    if status["status"] != "ok":
        raise UsageError(f"{scan_id} was set aside before it was outlined ({status['reason_code']}): no image to edit")
    found = tables.read_status(segment, scan_id)
    laterality = found["laterality"] or status["laterality"]
    if laterality is None:
        raise UsageError(f"{scan_id}: its side is not known; write it into the scans table and run again")
    machine = _machine_map(segment, scan_id, found)
    return Knee(
        registry.with_edits([scan], settings["edits"], study)[0],
        study,
        study / settings["edits"],
        ingest / f"{scan_id}_image.nii.gz",
        laterality,
        machine,
        json.loads((segment / f"{scan_id}_dseg.json").read_text(encoding="utf-8"))["network"] if machine else None,
    )


def _such(names: list[str]) -> str:
    return f"such as {', '.join(names)}" if names else "but the table is empty"


def _machine_map(segment: Path, scan_id: str, status: Row) -> Path | None:
    kept, counted = (segment / f"{scan_id}_{name}.nii.gz" for name in ("machine_dseg", "dseg"))
    if kept.exists():
        return kept
    by_machine = (status.get("outlined_by") or tables.BY_MACHINE) == tables.BY_MACHINE
    return counted if by_machine and counted.exists() else None


# --- out --------------------------------------------------------------------------------------------------------------


def export_edit(scan_id: str, study: Path, config: Path, out: Path | None = None) -> int:
    """Write image, label map and label descriptions of a knee into a folder, for an editor program."""
    knee = find_knee(scan_id, study, config)
    folder = out or knee.edits / registry.DRAFTS / scan_id
    drawn = folder / f"{scan_id}_dseg.nii.gz"
    image = read_volume(knee.image)
    if drawn.exists() and not _is_kept(drawn, knee, image):
        raise UsageError(
            f"{drawn} exists already, and may hold somebody's corrections; import it, or name another folder with -o"
        )
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(knee.image, folder / knee.image.name)
    tables.write_text(folder / "labels_itksnap.txt", labels.itksnap_descriptions())
    tables.write_text(folder / "labels_slicer.ctbl", labels.slicer_colors())
    tables.write_text(
        folder / "README.txt", _HOW.format(scan=scan_id, image=knee.image.name, drawn=shlex.quote(str(drawn)))
    )
    if knee.in_force:
        shutil.copyfile(knee.in_force, drawn)
    else:
        write_volume(drawn, image.with_array(np.zeros(image.shape, np.uint8)))
    row = {"scan_id": scan_id, "action": "exported", "before_sha256": registry.digest_of(drawn)}
    row |= {"network": knee.edit.network if knee.edit else knee.network}
    registry.add_row(knee.edits, row | {"image_sha256": registry.digest_of(knee.image)})
    whose = knee.edit.outlined_by if knee.edit else "the machine's" if knee.machine else "empty: the machine refused it"
    print(f"{drawn}: the outlines to correct ({whose}); {folder / 'README.txt'} tells how")
    print(f"then: kneeline import-edit {scan_id} {shlex.quote(str(drawn))} --editor CODE")
    return 0


def _is_kept(drawn: Path, knee: Knee, image: Volume) -> bool:
    """Whether nothing is lost if an exported label map is written anew: untouched, or imported as it is."""
    given = {row["before_sha256"] for row in registry.rows_of(knee.edits, knee.scan.scan_id)}
    if registry.digest_of(drawn) in given:
        return True
    try:
        found = read_label_map(drawn, image.geometry)
    except UsageError:
        return False
    return knee.edit is not None and np.array_equal(found.array, read_volume(knee.in_force).array)


_HOW = """\
Correcting the outlines of {scan}

{image} is the image, {scan}_dseg.nii.gz the label map to correct.

ITK-SNAP
  1. File > Open Main Image: {image}
  2. Segmentation > Open Segmentation: {scan}_dseg.nii.gz
  3. Segmentation > Import Label Descriptions: labels_itksnap.txt
  4. Correct; Segmentation > Save Segmentation Image, under the same name.

3D Slicer
  1. File > Add Data: labels_slicer.ctbl and {image}. Then {scan}_dseg.nii.gz with Show Options: description
     "Segmentation", colour table labels_slicer.
  2. Correct in the Segment Editor, the image as source volume.
  3. Segmentations > Export to files: NIfTI, with the image as reference volume and "use color table values".
     (Without them Slicer numbers labels anew; the import notices.)

Use the labels that are there, add none. Then:

  kneeline import-edit {scan} {drawn} --editor CODE

CODE says who corrected it: letters, digits, - and _, not a name.
"""


# --- in ---------------------------------------------------------------------------------------------------------------


def import_edit(
    scan_id: str, path: Path, editor: str | None, study: Path, config: Path, *, as_meant: bool = False
) -> int:
    """Check a corrected label map and make it the outlines of its knee, from the next run on."""
    _check_editor(editor)
    knee = find_knee(scan_id, study, config)
    image = read_volume(knee.image)
    edited = read_label_map(path, image.geometry)
    empty = image.with_array(np.zeros(image.shape, np.uint8))
    machine = read_volume(knee.machine) if knee.machine else empty
    before = read_volume(knee.in_force) if knee.in_force else empty
    if np.array_equal(edited.array, before.array):
        whose = f"those that {knee.edit.editor_id} corrected" if knee.edit else "the machine's own"
        raise UsageError(f"{path}: these outlines are {whose}, nothing was corrected; was it saved under another name?")
    if np.array_equal(edited.array, machine.array):
        raise UsageError(f"{path}: these are the machine's own outlines; to return to them, {registry.undo(knee.scan)}")
    started = _started_from(knee)
    if not as_meant:
        check_names(edited, before, knee.laterality)

    after, name = _store(knee, edited)
    changed_ml, changed = changes(edited, machine)
    names = ",".join(label.label_name for label in changed)
    row = {"scan_id": scan_id, "action": "imported", "editor_id": editor, "file": name, "after_sha256": after}
    row |= {"laterality": knee.laterality, "changed_ml": changed_ml, "changed": names}
    registry.add_row(knee.edits, row | started)
    print(f"{scan_id}: edited by {editor}, {changed_ml:.2f} mL with another label than the machine's")
    print(_volumes(machine, edited))
    print(_NEXT)
    return 0


_NEXT = (
    "now `kneeline run`: it makes this knee's scores and pictures again, then the cohort's tables and the report; the "
    "other knees stay as they are"
)


def remove_edit(scan_id: str, editor: str | None, study: Path, config: Path) -> int:
    """Return to the machine's outlines; the corrected label map stays in the folder, and the table tells of it."""
    if editor is not None:
        _check_editor(editor)
    folder = read_config(study / config)["edits"]
    edit = registry.read_edits(folder, study).get(scan_id)
    if edit is None:
        raise UsageError(f"{scan_id} has no edit in {study / folder}")
    row = {"scan_id": scan_id, "action": "removed", "editor_id": editor, "before_sha256": edit.after_sha256}
    registry.add_row(study / folder, row)
    print(f"{scan_id}: the outlines are the machine's again; the corrected label map stays in {edit.path}")
    print(_NEXT)
    return 0


def _check_editor(editor: str | None) -> None:
    if editor is None or not re.fullmatch(EDITS["editor_id"].pattern, editor):
        raise UsageError(
            f"--editor takes letters, digits, - and _, got {editor!r}; use a code for the person, not a name"
        )


def _started_from(knee: Knee) -> Row:
    """What was given out last: hash, network and image; what is there now if nothing was."""
    image = registry.digest_of(knee.image)
    given = [row for row in registry.rows_of(knee.edits, knee.scan.scan_id) if row["action"] == "exported"]
    if not given:
        before = registry.digest_of(knee.in_force) if knee.in_force else None
        network = knee.edit.network if knee.edit else knee.network
        return {"before_sha256": before, "network": network, "image_sha256": image}
    if given[-1]["image_sha256"] != image:
        raise UsageError(
            f"the image of {knee.scan.scan_id} is another one than when it was exported ({given[-1]['at']}); export it "
            "again and look whether the corrections still fit"
        )
    return {name: given[-1][name] for name in ("before_sha256", "network", "image_sha256")}


def _store(knee: Knee, edited: Volume) -> tuple[str, str]:
    """SHA-256 and name of the label map in the folder of edits. No name is ever written twice with other bytes."""
    knee.edits.mkdir(parents=True, exist_ok=True)
    partial = knee.edits / f".{knee.scan.scan_id}.{os.getpid()}.partial.nii.gz"
    try:
        write_volume(partial, edited)
        digest = registry.digest_of(partial)
        name = f"{knee.scan.scan_id}_{digest[:12]}_dseg.nii.gz"
        os.replace(partial, knee.edits / name)
    finally:
        partial.unlink(missing_ok=True)
    return digest, name


def _volumes(machine: Volume, edited: Volume) -> str:
    """Millilitres of each structure by the machine and now; those that changed."""
    lines = [f"  {'structure':26s}{'machine':>9s}{'edited':>9s}  mL"]
    for label in Label:
        was, now = (float((v.array == label).sum() * v.voxel_mm3 / 1000) for v in (machine, edited))
        if label and (was or now):
            note = "  (gone)" if was and not now else "" if was == now else "  *"
            lines.append(f"  {label.words:26s}{was:9.2f}{now:9.2f}{note}")
    return "\n".join(lines)
