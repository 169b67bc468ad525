"""The sheets of a simulated cohort: what a user would write by hand for real scans."""

from __future__ import annotations

from pathlib import Path

from kneeline import tables
from kneeline.simulate.cohort import draw_cohort

_CONFIG = """\
# A simulated cohort: every knee, grade and runner is made up, the true odds ratios are known.
participants: config/participants.tsv
scans: config/scans.tsv
simulate:
  runners: {runners}
  seed: {seed}
"""


def write_cohort(root: Path, runners: int, seed: int) -> Path:
    """Write config/{participants.tsv, scans.tsv}, and config.yaml if there is none, under `root`; return that folder."""
    cohort = draw_cohort(runners, seed)
    folder = Path(root) / "config"
    tables.write_table(folder / "participants.tsv", cohort.participants, tables.PARTICIPANTS)
    tables.write_table(folder / "scans.tsv", cohort.scans, tables.SCANS)
    if not (folder / "config.yaml").exists():
        tables.write_text(folder / "config.yaml", _CONFIG.format(runners=runners, seed=seed))
    return folder
