"""Left or right knee: what the table, the tags and the texts say, and whether they agree.

Text is read word by word and with suspicion: a text that names both sides says nothing, and the short forms (L, RT,
LI...) count only beside a word for knee. No text leaves this module, only L or R.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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

_TEXTS = {"text": ("SeriesDescription", "ProtocolName", "BodyPartExamined"), "study": ("StudyDescription",)}
# Sources in the order in which they decide; a second text that differs from the first is a source of its own.
_STUDY = ("study", "other_study")
_HEADER = ("tag", "text", "other_text", *_STUDY)


@dataclass(frozen=True)
class Side:
    """What was found. `votes` maps each source that spoke (table, tag, text, study) to L or R, in that order.

    `source` is table, tag or text; what the study's text decided counts as decided by a text.
    """

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
    """What the headers of a series say: `tag`, and the votes of `text_votes`.

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
    return votes | text_votes(lambda keyword: {str(f.get(keyword, "")) for f in files})


def text_votes(values_of: Callable[[str], Iterable[object]]) -> dict[str, str]:
    """What texts say: `text` those of the series, `study` that of the study, each L or R.

    Texts that contradict each other give two votes (`text` and `other_text`), which no resolution survives.

    Parameters
    ----------
    values_of
        All values of a keyword.
    """
    votes = {}
    for name, keywords in _TEXTS.items():
        sides = {side_in_text(value) for keyword in keywords for value in values_of(keyword)} - {None}
        votes |= dict(zip((name, f"other_{name}"), sorted(sides), strict=False))
    return votes


def series_sides(votes: Mapping[str, str]) -> set[str]:
    """The sides named for the series itself: where a study holds both knees, its own text tells none apart."""
    return {side for source, side in votes.items() if source not in _STUDY}


def resolve_side(table: str | None, votes: Mapping[str, str]) -> Side:
    """The side that all sources agree on.

    Raises
    ------
    Refusal
        `laterality_conflict` when two sources differ.
    """
    every = {"table": table} if table else {}
    every |= {source: votes[source] for source in _HEADER if source in votes}
    if len(set(every.values())) > 1:
        raise conflict(every)
    source = next(iter(every), None)
    return Side(every.get(source), "text" if source in _STUDY else source, every)


def conflict(votes: Mapping[str, str]) -> Refusal:
    names = {
        "table": "the scans table",
        "tag": "the header's laterality tag",
        "text": "a text naming the series",
        "other_text": "another text naming the series",
        "study": "the text naming the study",
        "other_study": "another text naming the study",
    }
    said = ", ".join(f"{names.get(source, source)} says {side}" for source, side in votes.items())
    return Refusal(
        "laterality_conflict",
        f"expected all sources to name one side, but {said}; find out which knee it is and correct the wrong source",
    )
