"""What the cohort analysis was told to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kneeline import grading, tables
from kneeline.config import COHORT_DEFAULTS
from kneeline.errors import UsageError

OUTCOMES = ("signal_grade", "effusion_grade")
COVARIATES = ("sex", *(c.name for c in tables.PARTICIPANTS.columns if c.kind == "float"))


@dataclass(frozen=True)
class Settings:
    """The `cohort` block of config.yaml; `config.COHORT_DEFAULTS` for what it leaves out."""

    primary_outcome: str = COHORT_DEFAULTS["primary_outcome"]
    distance_unit_km: float = COHORT_DEFAULTS["distance_unit_km"]
    distance_cut_km: float = COHORT_DEFAULTS["distance_cut_km"]
    adjust: tuple[str, ...] = tuple(COHORT_DEFAULTS["adjust"])
    min_joint_cell: int = COHORT_DEFAULTS["min_joint_cell"]
    total_structures: tuple[str, ...] = tuple(COHORT_DEFAULTS["total_structures"])
    total_experimental: bool = COHORT_DEFAULTS["total_experimental"]

    @property
    def distance_term(self) -> str:
        return f"distance_per_{self.distance_unit_km:g}_km"

    @property
    def cut_term(self) -> str:
        return f"distance_from_{self.distance_cut_km:g}_km"

    @property
    def distance_groups(self) -> tuple[str, str]:
        return grading.distance_groups(self.distance_cut_km)

    def distance_group(self, distance_km: float | None) -> str | None:
        return grading.distance_group(distance_km, self.distance_cut_km)


def read_settings(block: Mapping[str, Any]) -> Settings:
    """Settings from the config block, or UsageError with every fault found."""
    known = {field.name for field in fields(Settings)}
    faults = [f"unknown setting {name}" for name in sorted(set(block) - known)]
    values = {name: value for name, value in block.items() if name in known}
    for name in ("adjust", "total_structures"):
        values[name] = tuple(values.get(name, getattr(Settings, name)))
    settings = Settings(**values)
    if settings.primary_outcome not in OUTCOMES:
        faults.append(f"primary_outcome: expected {' or '.join(OUTCOMES)}, got {settings.primary_outcome!r}")
    for name in ("distance_unit_km", "distance_cut_km", "min_joint_cell"):
        if not getattr(settings, name) > 0:
            faults.append(f"{name}: expected a number above 0, got {getattr(settings, name)!r}")
    for name in settings.adjust:
        if name not in COVARIATES or name == "weekly_distance_km":
            faults.append(f"adjust: {name!r} is no covariate; expected some of {', '.join(COVARIATES)}")
    for name in settings.total_structures:
        if name not in grading.TOTAL.structures:
            faults.append(f"total_structures: expected some of {', '.join(grading.TOTAL.structures)}, got {name!r}")
    if not settings.total_structures:
        faults.append("total_structures: expected at least one structure, got none")
    if faults:
        raise UsageError(f"cohort settings: {len(faults)} fault(s)\n  " + "\n  ".join(faults))
    return settings
