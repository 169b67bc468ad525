"""What the cohort analysis was told to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from kneeline import grading, tables
from kneeline.cohort.outcomes import OUTCOMES
from kneeline.config import ANALYSIS_DEFAULTS, MAIN_SET
from kneeline.errors import UsageError

STRIKE, DISTANCE = "strike", "weekly_distance"
EXPOSURES = (STRIKE, DISTANCE)
COVARIATES = (
    "sex",
    *(c.name for c in tables.PARTICIPANTS.columns if c.kind == "float" and c.name != "weekly_distance_km"),
)
_LISTS = ("outcomes", "exposures", "co_primary", "total_structures")
_NUMBERS = ("distance_unit_km", "distance_cut_km", "min_joint_cell")


def _default(name: str) -> Any:
    value = ANALYSIS_DEFAULTS[name]
    return field(default_factory=lambda: _frozen(value)) if isinstance(value, list | dict) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _frozen(part) for name, part in value.items()}
    return tuple(value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Settings:
    """The `analysis` block of config.yaml; `config.ANALYSIS_DEFAULTS` for what it leaves out.

    `adjustment` holds covariates by the name of their set; the set `main` is that of the adjusted models, the others
    stand beside it.
    """

    outcomes: tuple[str, ...] = _default("outcomes")
    primary_outcome: str = _default("primary_outcome")
    co_primary: tuple[str, ...] = _default("co_primary")
    exposures: tuple[str, ...] = _default("exposures")
    adjustment: Mapping[str, tuple[str, ...]] = _default("adjustment")
    distance_unit_km: float = _default("distance_unit_km")
    distance_cut_km: float = _default("distance_cut_km")
    min_joint_cell: int = _default("min_joint_cell")
    total_structures: tuple[str, ...] = _default("total_structures")
    total_experimental: bool = _default("total_experimental")
    seed: int = _default("seed")
    n_imputations: int = _default("n_imputations")
    n_bootstrap: int = _default("n_bootstrap")

    @property
    def adjust(self) -> tuple[str, ...]:
        """Covariates of the main set."""
        return self.adjustment[MAIN_SET]

    @property
    def other_sets(self) -> tuple[str, ...]:
        """Names of the adjustment sets that stand beside the main one."""
        return tuple(sorted(set(self.adjustment) - {MAIN_SET}))

    @property
    def ordered_outcomes(self) -> tuple[str, ...]:
        """The primary outcome, the co-primary ones, the others."""
        first = (self.primary_outcome, *self.co_primary)
        return (*first, *(name for name in self.outcomes if name not in first))

    @property
    def graded_outcomes(self) -> tuple[str, ...]:
        """Those that have a grade 1 or more, in the same order."""
        return tuple(name for name in self.ordered_outcomes if OUTCOMES[name].kind == "graded")

    @property
    def exposure_terms(self) -> tuple[str, ...]:
        """Model terms of the exposures."""
        return tuple({STRIKE: "rearfoot", DISTANCE: self.distance_term}[name] for name in self.exposures)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Terms that the study asks about: the exposures and, if there are both, their product."""
        both = len(self.exposure_terms) == 2
        return (*self.exposure_terms, *((self.product_term,) if both else ()))

    @property
    def product_term(self) -> str:
        return f"rearfoot:{self.distance_term}"

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

    def role(self, outcome: str | None) -> str | None:
        """What was decided about an outcome before the data were seen: primary, co_primary or secondary."""
        if outcome is None:
            return None
        if outcome == self.primary_outcome:
            return "primary"
        return "co_primary" if outcome in self.co_primary else "secondary"


def read_settings(block: Mapping[str, Any]) -> Settings:
    """Settings from the config block, or UsageError with every fault found."""
    known = {field.name for field in fields(Settings)}
    faults = [f"unknown setting {name}" for name in sorted(set(block) - known)]
    settings = Settings(**{name: _frozen(value) for name, value in block.items() if name in known})
    faults += _outcome_faults(settings)
    faults += [
        f"exposures: expected some of {', '.join(EXPOSURES)}, got {name!r}"
        for name in settings.exposures
        if name not in EXPOSURES
    ]
    faults += [
        f"{name}: expected a number above 0, got {getattr(settings, name)!r}"
        for name in _NUMBERS
        if not getattr(settings, name) > 0
    ]
    if MAIN_SET not in settings.adjustment:
        faults.append(f"adjustment: the set {MAIN_SET!r} is missing; the adjusted models use it")
    for group, names in settings.adjustment.items():
        faults += [
            f"adjustment.{group}: {name!r} is no covariate; expected some of {', '.join(COVARIATES)}"
            for name in names
            if name not in COVARIATES
        ]
    faults += [
        f"total_structures: expected some of {', '.join(grading.TOTAL.structures)}, got {name!r}"
        for name in settings.total_structures
        if name not in grading.TOTAL.structures
    ]
    faults += [
        f"{name}: expected at least one, got none"
        for name in ("outcomes", "exposures", "total_structures")
        if not getattr(settings, name)
    ]
    faults += [
        f"{name}: names one twice"
        for name in _LISTS
        if len(set(getattr(settings, name))) < len(getattr(settings, name))
    ]
    if settings.n_imputations == 1:
        faults.append("n_imputations: expected 0 (none) or at least 2; one imputed data set has no spread")
    if faults:
        raise UsageError(f"analysis settings: {len(faults)} fault(s)\n  " + "\n  ".join(faults))
    return settings


def _outcome_faults(settings: Settings) -> list[str]:
    faults = [
        f"{where}: expected {' or '.join(OUTCOMES)}, got {name!r}"
        for where, names in (
            ("outcomes", settings.outcomes),
            ("primary_outcome", (settings.primary_outcome,)),
            ("co_primary", settings.co_primary),
        )
        for name in names
        if name not in OUTCOMES
    ]
    asked = (settings.primary_outcome, *settings.co_primary)
    faults += [
        f"outcomes: {name!r} is primary or co-primary and must be among them"
        for name in asked
        if name in OUTCOMES and name not in settings.outcomes
    ]
    if settings.primary_outcome in settings.co_primary:
        faults.append("co_primary: the primary outcome is named again; name the others only")
    return faults
