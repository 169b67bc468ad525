"""kneeline: from a folder of knee MRI and a table of runners to lesion scores and a cohort analysis.

Four modules own every definition: `volume`, `labels`, `grading`, `tables`.
Five packages move the data: `ingest` -> `segment` -> `score` -> `cohort` -> `report`.
"""

import os

# Else ONNX Runtime (from 1.29 on) keeps a device id in the home of whoever imports it and tells its maker of every
# session. It asks once, when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
