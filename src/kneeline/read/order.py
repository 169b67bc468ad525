"""In what order a reader sees the knees, and which of them twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from kneeline.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """One case on the page: which knee, and whether it is the first or the second time."""

    knee: object
    reading: int


def draw_sample(knees: Sequence[T], number: int | None, seed: int) -> list[T]:
    """So many knees by chance, the same for every reader with the same seed; all of them if `number` is None.

    Raises
    ------
    UsageError
        If there are not so many.
    """
    if number is None:
        return list(knees)
    if not 1 <= number <= len(knees):
        raise UsageError(f"--number takes 1 to {len(knees)}, as many as there are to read, got {number}")
    chosen = set(random.Random(f"sample {seed}").sample(range(len(knees)), number))
    return [knee for at, knee in enumerate(knees) if at in chosen]


def draw_order(knees: Sequence[T], share: float, rater_id: str, seed: int) -> list[Turn]:
    """A random order, the same for the same reader and seed, another for another reader.

    `share` of the knees (at least one if it is not 0) come a second time, at least half the number of knees later, so
    that the first answer is forgotten.

    Raises
    ------
    UsageError
        If the share is not from 0 to 0.5.
    """
    if not 0 <= share <= 0.5:
        raise UsageError(f"--repeats takes a share from 0 to 0.5, got {share:g}; 0.1 repeats every tenth knee")
    chance = random.Random(f"{rater_id} {seed}")  # a text seeds by its bytes: the same on every machine
    order = list(knees)
    chance.shuffle(order)
    turns = [Turn(knee, 1) for knee in order]
    apart = len(order) // 2
    early = order[: len(order) - apart]
    n_repeats = min(len(early), max(1, round(share * len(order)))) if share and apart else 0
    for knee in chance.sample(early, n_repeats):
        seen = turns.index(Turn(knee, 1))
        turns.insert(chance.randint(seen + apart + 1, len(turns)), Turn(knee, 2))
    return turns
