"""From a folder of DICOM or a NIfTI file to one image in space with its side, or a refusal in plain words.

Data flow through the modules in this order: `headers` (what lies in the folder), `frames` (one record an image,
classic or enhanced), `stacking` (which images make a series), `geometry` (where they are), `contrast`, `laterality`,
`choose` (which series is used, and why), `pixels`, `echoes`, `quality`, `whitelist` (what may be told), `run`.
"""
