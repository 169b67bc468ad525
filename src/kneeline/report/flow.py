"""The flow diagram: how many scans and runners went into each step, and why the others did not."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from xml.sax.saxutils import escape

from kneeline import tables
from kneeline.report.gather import Results
from kneeline.tables import Row

_STAGES = (("ingest", "read from DICOM or NIfTI"), ("segment", "segmented"), ("score", "scored"))


@dataclass(frozen=True)
class Step:
    """A box of the flow: what, how many, and what was lost on the way into it."""

    title: str
    n_scans: int
    n_participants: int | None
    lost: tuple[str, ...] = ()


def trace_steps(results: Results) -> list[Step]:
    """From the scans table to the analysis; each loss is a line `2 x code`, or a sentence of the cohort's flow."""
    left = list(results.scans)
    steps = [Step("in the scans table", len(left), _runners(left))]
    for stage, title in _STAGES:
        lost = [row for row in left if row["status"] != "ok" and row["stage"] == stage]
        left = [row for row in left if row not in lost]
        counts = Counter(row["reason_code"] or "no reason code" for row in lost)
        steps.append(
            Step(title, len(left), _runners(left), tuple(f"{n} × {code}" for code, n in sorted(counts.items())))
        )
    flow = results[tables.FLOW]
    names = [row["step"] for row in flow]
    if "knees to analyse" in names:
        end = names.index("knees to analyse")
        start = names.index("scored knees") if "scored knees" in names else 0
        lost = [f"{row['n_scans']} {row['step'].removeprefix('less ')}" for row in flow[start + 1 : end]]
        row = flow[end]
        steps.append(Step("analysed", row["n_scans"] or 0, row["n_participants"], tuple(lost)))
    return steps


def _runners(rows: list[Row]) -> int:
    return len({row["participant_id"] for row in rows})


_WIDTH, _BOX, _TALL, _LINE = 760, 300, 56, 18


def draw_flow(steps: list[Step]) -> str:
    """The diagram as an inline SVG element; colours come from the page's style sheet."""
    parts, y, summary = [], 2, []
    for k, step in enumerate(steps):
        if k:
            notes = [line for text in step.lost for line in textwrap.wrap(text, 50)] or ["none set aside"]
            gap = max(34, _LINE * len(notes) + 24 if step.lost else 34)
            middle = y + gap / 2
            parts.append(f'<path class="flow-line" d="M{_BOX / 2} {y} V{y + gap - 7}"/>')
            parts.append(f'<path class="flow-tip" d="M{_BOX / 2 - 5} {y + gap - 8} h10 l-5 8 z"/>')
            if step.lost:
                tall = _LINE * len(notes) + 12
                top = middle - tall / 2
                parts.append(f'<path class="flow-line" d="M{_BOX / 2} {middle} H{_BOX + 38}"/>')
                parts.append(
                    f'<rect class="flow-lost" x="{_BOX + 38}" y="{top}" width="{_WIDTH - _BOX - 40}" '
                    f'height="{tall}" rx="5"/>'
                )
                for i, line in enumerate(notes):
                    parts.append(
                        f'<text class="flow-note" x="{_BOX + 50}" y="{top + 20 + _LINE * i}">{escape(line)}</text>'
                    )
            y += gap
        people = "" if step.n_participants is None else f", {_count(step.n_participants, 'runner')}"
        parts.append(f'<rect class="flow-box" x="1" y="{y}" width="{_BOX - 2}" height="{_TALL}" rx="5"/>')
        parts.append(f'<text class="flow-title" x="16" y="{y + 23}">{escape(step.title)}</text>')
        unit = "knee" if step.title == "analysed" else "scan"
        parts.append(f'<text class="flow-n" x="16" y="{y + 43}">{_count(step.n_scans, unit)}{people}</text>')
        summary.append(f"{step.title}: {_count(step.n_scans, unit)}")
        y += _TALL
    label = escape("Flow of scans. " + "; ".join(summary), {'"': "&quot;"})
    return (
        f'<svg class="flow" role="img" aria-label="{label}" viewBox="0 0 {_WIDTH} {y + 2}" width="{_WIDTH}">'
        f"{''.join(parts)}</svg>"
    )


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"
