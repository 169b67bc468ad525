"""The run's configuration: read, checked against the schema, defaults filled in."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

from kneeline.errors import UsageError

MAIN_SET = "main"
_CONFOUNDERS = ["age_years", "sex", "bmi_kg_m2", "running_years"]
ANALYSIS_DEFAULTS = {
    "outcomes": [
        "signal_grade",
        "effusion_grade",
        "log_fluid_ml",
        "cartilage_grade",
        "marrow_grade",
        "total_lesion_score",
    ],
    "primary_outcome": "signal_grade",
    "co_primary": [],
    "exposures": ["strike", "weekly_distance"],
    # Pace and shoes follow from the strike in part, so they stand in a set of their own.
    "adjustment": {
        MAIN_SET: _CONFOUNDERS,
        "training": [*_CONFOUNDERS, "pace_min_per_km", "shoe_drop_mm", "hours_since_run"],
    },
    "distance_unit_km": 10,
    "distance_cut_km": 32,
    "min_joint_cell": 5,
    "total_structures": ["menisci", "cartilage", "marrow", "ligaments", "effusion"],
    "total_experimental": False,
    "seed": 2006,
    "n_imputations": 20,
    "n_bootstrap": 2000,
}


_RENAMED = (
    "the block `cohort` is now called `analysis`; rename it, and write its `adjust: [...]` as "
    f"`adjustment: {{{MAIN_SET}: [...]}}` (config/README.md tells every setting)"
)


def workflow_folder() -> Path:
    """Folder of the workflow: inside an installed package, or beside `src` in a checkout."""
    package = Path(__file__).parent
    for folder in (package / "workflow", package.parent.parent / "workflow"):
        if (folder / "Snakefile").is_file():
            return folder
    raise UsageError("the workflow folder is missing from this installation; install kneeline again")


def read_config(path: str | Path) -> dict[str, Any]:
    """Read and check a config file.

    Raises
    ------
    UsageError
        With every fault found.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); run in the folder that holds config/, or name it with --config"
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text; save it with that encoding") from None
    return check_config(_parse(text, str(path)), source=str(path))


def _parse(text: str, source: str) -> Any:
    """YAML in which no block names a key twice: the parser would take the last one without a word.

    Raises
    ------
    UsageError
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            lines: dict[str, list[int]] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    lines.setdefault(key.value, []).append(key.start_mark.line + 1)
            for key, at in lines.items():
                if len(at) > 1:
                    raise UsageError(
                        f"{source}: {key!r} stands twice in one block (line {at[0]} and line {at[1]}); keep one"
                    )
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise UsageError(f"{source}: is not valid YAML: {error}") from None
    except RecursionError:
        raise UsageError(f"{source}: is not valid YAML: brackets within brackets without end") from None


def check_config(config: Any, source: str = "config") -> dict[str, Any]:
    """A copy of `config` with defaults filled in, or UsageError with every fault found."""
    import yaml

    if isinstance(config, dict) and "cohort" in config:
        raise UsageError(f"{source}: {_RENAMED}")
    schema = yaml.safe_load((workflow_folder() / "schemas" / "config.schema.yaml").read_text(encoding="utf-8"))
    faults = [
        f"{'.'.join(map(str, fault.absolute_path)) or 'top level'}: {fault.message}"
        for fault in _validator()(schema).iter_errors(config)
    ]
    if faults:
        raise UsageError(f"{source}: {len(faults)} fault(s)\n  " + "\n  ".join(sorted(faults)))
    return {
        "readings": None,
        "edits": "edits",
        "simulate": None,
        "granularity": "scan",
        "chunks": 40,
        **config,
        "report": {"viewer": True, **(config.get("report") or {})},
        "analysis": {**deepcopy(ANALYSIS_DEFAULTS), **(config.get("analysis") or {})},
    }


def _validator() -> type:
    """JSON Schema's, but 3.0 is no integer (as a number of runners it would be no argument), and a number is finite."""
    from jsonschema import Draft202012Validator, validators

    def integer(_, value) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def number(_, value) -> bool:
        return integer(_, value) or isinstance(value, float) and math.isfinite(value)

    types = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": integer, "number": number})
    return validators.extend(Draft202012Validator, type_checker=types)
