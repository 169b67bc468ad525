"""Left or right knee: what the table, the tags and the texts say, and whether they agree.

Text is read word by word and with suspicion: a text that names both sides says nothing, and the short forms (L, RT,
LI...) count only beside a word for knee. No text leaves this module, only L or R.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kneeline.errors import Refusal
from kneeline.ingest.frames import Frame
from kneeline.ingest.words import words_in

_LONG = {
    "L": {"LEFT", "LINKS", "LINKES", "LINKE", "GAUCHE", "IZQUIERDA", "IZQUIERDO", "SINISTRA", "SINISTRO", "ESQUERDO"},
    "R": {
        "RIGHT",
        "RECHTS",
        "RECHTES",
        "RECHTE",
        "DROIT",
        "DROITE",
        "DERECHA",
        "DERECHO",
        "DESTRA",
        "DESTRO",
        "DIREITO",
    },
}
_SHORT = {"L": {"L", "LT", "LI"}, "R": {"R", "RT", "RE"}}
_FUSED = {"L": {"LKNEE", "KNEEL", "LKNIE", "LTKNEE"}, "R": {"RKNEE", "KNEER", "RKNIE", "RTKNEE"}}
_KNEE = {"KNEE", "KNIE", "KNEES", "KNIEGELENK", "GENOU", "RODILLA", "GINOCCHIO", "JOELHO", "KN"}

# Texts about the series decide before texts about the whole study.
_SERIES_TEXTS = ("SeriesDescription", "ProtocolName", "BodyPartExamined")
_STUDY_TEXTS = ("StudyDescription",)


@dataclass(frozen=True)
class Side:
    """What was found. `votes` maps each source that spoke (table, tag, text) to L or R, in that order."""

    laterality: str | None
    source: str | None
    votes: Mapping[str, str]

    @property
    def sources(self) -> str | None:
        """The votes in the form of the tables: `table=L,tag=L`."""
        return ",".join(f"{source}={side}" for source, side in self.votes.items()) or None


def side_in_text(text: object) -> str | None:
    words = set(words_in(text))
    named = set()
    for side in "LR":
        known = _LONG[side] | _FUSED[side] | (_SHORT[side] if words & _KNEE else set())
        if words & known:
            named.add(side)
    return named.pop() if len(named) == 1 else None


def votes_of(frames: Iterable[Frame]) -> dict[str, str]:
    """What the headers of a series say: `tag` and `text`, each L or R.

    Raises
    ------
    Refusal
        `laterality_conflict` when tags name both sides, `both_knees` when a tag says that the image shows both.
    """
    frames = list(frames)
    tags = set().union(*(f.laterality_tags for f in frames))
    if "B" in tags:
        raise Refusal("both_knees", "expected one knee, a laterality tag says that this image shows both; split it")
    if len(tags) > 1:
        raise conflict({"one laterality tag": "L", "another": "R"})
    votes = {"tag": tags.pop()} if tags else {}
    files = {id(f.file): f.file for f in frames}.values()
    for keywords in (_SERIES_TEXTS, _STUDY_TEXTS):
        said = {side_in_text(text) for text in {str(f.get(k, "")) for f in files for k in keywords}} - {None}
        if len(said) == 1:
            votes["text"] = said.pop()
        if said or "text" in votes:
            break
    return votes


def resolve_side(table: str | None, votes: Mapping[str, str]) -> Side:
    """The side that all sources agree on.

    Raises
    ------
    Refusal
        `laterality_conflict` when two sources differ.
    """
    every = {"table": table} if table else {}
    every |= {source: votes[source] for source in ("tag", "text") if source in votes}
    if len(set(every.values())) > 1:
        raise conflict(every)
    source = next(iter(every), None)
    return Side(every.get(source), source, every)


def conflict(votes: Mapping[str, str]) -> Refusal:
    names = {"table": "the scans table", "tag": "the header's laterality tag", "text": "the text naming the series"}
    said = ", ".join(f"{names.get(source, source)} says {side}" for source, side in votes.items())
    return Refusal(
        "laterality_conflict",
        f"expected all sources to name one side, but {said}; find out which knee it is and correct the wrong source",
    )
