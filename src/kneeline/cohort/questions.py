"""The questions that are asked of every outcome: sets of model terms, with and without adjustment."""

from __future__ import annotations

from dataclasses import dataclass

from kneeline.cohort.settings import DISTANCE, STRIKE, Settings
from kneeline.config import MAIN_SET


@dataclass(frozen=True)
class Question:
    """A set of terms; `descriptive` ones stand beside the analysis and are never read alone."""

    name: str
    terms: tuple[str, ...]
    descriptive: bool = False


def questions(settings: Settings) -> tuple[Question, ...]:
    """Crude for each exposure, adjusted by each set of covariates, with the product, and the distance cut."""
    exposures, covariates = settings.exposure_terms, covariate_terms(settings)
    asked = []
    if STRIKE in settings.exposures:
        asked.append(Question("crude_strike", ("rearfoot",)))
    if DISTANCE in settings.exposures:
        asked.append(Question("crude_distance", (settings.distance_term,)))
    asked.append(Question("adjusted", (*exposures, *covariates)))
    asked += [
        Question(f"adjusted_{name}", (*exposures, *covariate_terms(settings, name))) for name in settings.other_sets
    ]
    if len(exposures) == 2:
        asked.append(Question("interaction", (*exposures, settings.product_term, *covariates)))
    if DISTANCE in settings.exposures:
        asked.append(Question("crude_distance_cut", (settings.cut_term,), descriptive=True))
    return tuple(asked)


def adjusted_question(settings: Settings) -> Question:
    """The one with the exposures and the main set of covariates."""
    return next(question for question in questions(settings) if question.name == "adjusted")


def simple_questions(settings: Settings) -> tuple[Question, ...]:
    """Crude and adjusted by the main set: what is asked again in other ways."""
    return tuple(q for q in questions(settings) if q.name in ("crude_strike", "crude_distance", "adjusted"))


def covariate_terms(settings: Settings, name: str = MAIN_SET) -> tuple[str, ...]:
    """Model terms of a set of covariates."""
    return tuple("sex_M" if covariate == "sex" else covariate for covariate in settings.adjustment[name])
