"""Numbers in the participants sheet that may each be right, but look as if they were in another unit.

These are doubts, not faults: `kneeline check` and `kneeline cohort` tell them and go on. What cannot be right at all is
refused by the ranges of `tables.PARTICIPANTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from kneeline.tables import Row
from kneeline.units import KM_PER_MILE, WEEKS_PER_MONTH

# A session shorter or longer than this is rare; a marathon is 42.2 km.
SESSION_KM = (1.5, 45.0)
# Runners of a whole sheet are seldom slower than this (8 km/h); 12 minutes a mile are 7.5 a kilometre.
SLOW_PACE_MIN_PER_KM = 7.5
# The middle of a group of non-professional runners lies well below this; a month's distance above it.
FAR_KM = 100.0
# A pattern needs so many values, and this share of them.
LEAST, SHARE = 5, 0.8
_NAMED = 8


def doubts(runners: Sequence[Row]) -> list[str]:
    """Sentences about rows of PARTICIPANTS, with the runners they concern; empty when nothing looks odd."""
    return [*_distance_doubts(runners), *_mile_doubts(runners), *_pace_doubts(runners), *_index_doubts(runners)]


def _distance_doubts(runners: Sequence[Row]) -> list[str]:
    """Weekly distance of the whole group, and of each runner over sessions a week."""
    short, long = [], []
    for row in runners:
        distance, sessions = row.get("weekly_distance_km"), row.get("sessions_per_week")
        if distance and sessions:
            one = distance / sessions
            words = f"{row['participant_id']} {distance:g} km in {sessions:g} sessions"
            short += [words] if one < SESSION_KM[0] else []
            long += [words] if one > SESSION_KM[1] else []
    said = []
    known = [row["weekly_distance_km"] for row in runners if row.get("weekly_distance_km")]
    if len(known) >= LEAST and median(known) > FAR_KM:
        middle = median(known)
        said.append(
            f"weekly_distance_km: the middle distance is {middle:g} km a week; is it that of a month? {middle:g} km a "
            f"month are {middle / WEEKS_PER_MONTH:.0f} a week"
        )
    if short:
        said.append(
            f"weekly_distance_km: less than {SESSION_KM[0]:g} km a session; is it the distance of one session, or are "
            f"the sessions a month's? ({_some(short)})"
        )
    if long:
        said.append(
            f"weekly_distance_km: more than {SESSION_KM[1]:g} km a session; is it the distance of a month? "
            f"({_some(long)})"
        )
    return said


def _mile_doubts(runners: Sequence[Row]) -> list[str]:
    """Distances that are crooked in kilometres and round (to 5) when they are taken as miles made from kilometres."""
    known = [row["weekly_distance_km"] for row in runners if row.get("weekly_distance_km")]
    crooked = [value for value in known if abs(value - round(value)) > 1e-9]
    round_as_miles = [
        value for value in crooked if abs(value * KM_PER_MILE / 5 - round(value * KM_PER_MILE / 5)) < 0.01
    ]
    if len(known) >= LEAST and len(round_as_miles) >= SHARE * len(known):
        example = round_as_miles[0]
        return [
            f"weekly_distance_km: {len(round_as_miles)} of {len(known)} distances are round kilometres if they are "
            f"miles, such as {example:g} = {example * KM_PER_MILE:.0f} km; are they miles?"
        ]
    return []


def _pace_doubts(runners: Sequence[Row]) -> list[str]:
    known = [row["pace_min_per_km"] for row in runners if row.get("pace_min_per_km")]
    if len(known) >= LEAST and median(known) > SLOW_PACE_MIN_PER_KM:
        middle = median(known)
        return [
            f"pace_min_per_km: the middle pace is {middle:g} min a km; are these minutes a mile? "
            f"{middle:g} min a mile are {middle / KM_PER_MILE:.2f} a km"
        ]
    return []


def _index_doubts(runners: Sequence[Row]) -> list[str]:
    known = [row["strike_index_pct"] for row in runners if row.get("strike_index_pct") is not None]
    if len(known) >= LEAST and max(known) <= 1:
        return ["strike_index_pct: no value is above 1; are these shares? per cent are expected"]
    return []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
