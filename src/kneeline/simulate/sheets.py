"""The sheets of a simulated cohort: what a user would write by hand for real scans."""

from __future__ import annotations

from pathlib import Path

from kneeline import tables
from kneeline.config import read_config
from kneeline.errors import UsageError
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
    """Write config/{participants.tsv, scans.tsv}, and config.yaml if there is none, under `root`; return that folder.

    Raises
    ------
    UsageError
        If other sheets, or a config of another cohort, are already there: nothing is overwritten.
    """
    cohort = draw_cohort(runners, seed)
    folder = Path(root) / "config"
    sheets = {
        "participants.tsv": tables.format_table(cohort.participants, tables.PARTICIPANTS),
        "scans.tsv": tables.format_table(cohort.scans, tables.SCANS),
    }
    taken = [name for name, text in sheets.items() if _differs(folder / name, text)]
    config = folder / "config.yaml"
    if config.exists() and read_config(config)["simulate"] != {"runners": runners, "seed": seed}:
        taken.append(config.name)
    if taken:
        raise UsageError(f"{folder} already holds another {' and '.join(taken)}; choose another folder for --out")
    for name, text in sheets.items():
        tables.write_text(folder / name, text)
    if not config.exists():
        tables.write_text(config, _CONFIG.format(runners=runners, seed=seed))
    return folder


def _differs(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") != text
