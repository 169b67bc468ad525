"""Outlines corrected by hand: a label map goes out to an editor program and comes back as an input of the workflow.

`registry` knows which knees are edited and is light: the Snakefile reads it. `check` and `grid` look at what comes
back, `commands` is what `kneeline export-edit` and `import-edit` do.
"""
