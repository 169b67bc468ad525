"""The guide names every reason that ingest can give."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_reason_code_is_explained():
    source = "".join(p.read_text() for p in sorted((ROOT / "src/kneeline/ingest").glob("*.py")))
    codes = set(re.findall(r'Refusal\(\s*"([a-z_]+)"', source))
    assert len(codes) > 25
    page = (ROOT / "docs/ingest.md").read_text()
    assert {code for code in codes if f"`{code}`" not in page} == set()
