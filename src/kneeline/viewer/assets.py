"""Scripts and styles, as text to be written into a page: a page opened as a file has nothing beside it but data."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def joined(*names: str | Path) -> str:
    """Text of some files, one after another: names of this package's own, or paths of a page's."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def fill(template: str, parts: dict[str, str]) -> str:
    """A page's text with each `/* name */` replaced by its part.

    >>> fill("<style>/* style */</style>", {"style": "p {}"})
    '<style>p {}</style>'
    """
    for name, part in parts.items():
        template = template.replace(f"/* {name} */", part)
    return template


def in_script(json_text: str) -> str:
    """JSON that may stand inside a script: no text in it, whoever wrote it, ends the script or opens a comment.

    >>> in_script('{"a": "</script><!--"}')
    '{"a": "\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    return json_text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
