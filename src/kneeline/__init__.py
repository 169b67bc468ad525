"""kneeline: from a folder of knee MRI and a table of runners to lesion scores and a cohort analysis.

Four modules own every definition: `volume`, `labels`, `grading`, `tables`.
Five packages move the data: `ingest` -> `segment` -> `score` -> `cohort` -> `report`.
"""

__version__ = "0.1.0"
