"""Where the figures come from: versions, checksums, seeds, and how to cite the run. Nothing of when or where."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from kneeline import __version__
from kneeline.report import words
from kneeline.report.gather import Results
from kneeline.report.methods import network_names
from kneeline.report.views import Cell, View, view
from kneeline.tables import MISSING

LIBRARIES = (
    "numpy", "scipy", "nibabel", "pydicom", "python-gdcm", "SimpleITK", "scikit-image", "onnxruntime", "pandas",
    "statsmodels", "matplotlib", "pillow", "jinja2", "snakemake",
)  # fmt: skip


def provenance(config: Mapping[str, Any], model: Path | None) -> View:
    """Versions, checksum of the network, seeds. Nothing of when or where."""
    lines = [("kneeline", __version__), ("Python", platform.python_version())]
    for name in LIBRARIES:
        try:
            lines.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            lines.append((name, "not installed"))
    models = [Path(model)] if model else sorted((Path(__file__).parents[1] / "segment").glob("**/*.onnx"))
    lines += [(f"network {path.name}, SHA-256", hashlib.sha256(path.read_bytes()).hexdigest()) for path in models] or [
        ("network", MISSING)
    ]
    simulate = config.get("simulate") or {}
    lines.append(("seed of the simulated cohort", simulate.get("seed")))
    return view(
        "Versions", [("what", lambda r: r[0]), ("version", lambda r: Cell(words.cell(r[1]), kind="hash"))], lines
    )


def without_places(value: Any) -> Any:
    """The config as run, with absolute paths cut to their last part: where a run took place is nobody's business."""
    if isinstance(value, Mapping):
        return {key: without_places(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_places(v) for v in value]
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str) and (PurePath(value).is_absolute() or PureWindowsPath(value).is_absolute()):
        return PureWindowsPath(value).name if "\\" in value else PurePath(value).name
    return value


def networks_view(found: Results) -> View:
    """What outlined the knees, as each scan's own file says; the program may have been updated since."""
    return view(
        "What outlined the knees, as recorded with each scan",
        [
            ("network, SHA-256", lambda line: Cell(line[0][0], kind="hash")),
            ("engine, version, precision", lambda line: line[0][1]),
            ("scans", lambda line: line[1]),
        ],
        list(network_names(found).items()),
    )


def citation(found: Results, config: Mapping[str, Any]) -> str:
    """A sentence that names the program, the network and this run's configuration."""
    networks = ", ".join(digest for digest, _ in dict.fromkeys(key for key in network_names(found)))
    text = (
        f"The kneeline developers. kneeline {__version__}: from knee MRI and a table of runners to lesion scores and a "
        "cohort analysis"
    )
    text += f". Network SHA-256 {networks}" if networks else ""
    return (
        f"{text}. Configuration SHA-256 {config_digest(config)}. And the anatomies that the network was trained on "
        "(docs/model-card.md)."
    )


def config_digest(config: Mapping[str, Any]) -> str:
    """SHA-256 of the configuration as the page shows it."""
    return hashlib.sha256(shown_config(config).encode()).hexdigest()


def shown_config(config: Mapping[str, Any]) -> str:
    return json.dumps(without_places(config), indent=2, ensure_ascii=False)
