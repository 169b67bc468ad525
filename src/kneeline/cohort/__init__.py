"""Cohort: score rows and runners become estimates with intervals. `kneeline.cohort.run.run_cohort` does the stage."""
