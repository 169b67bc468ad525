"""Segment: an image to the outlines of bones, cartilage, menisci and joint fluid.

`predict.segment` is the way in: `preprocess` (any grid to network slices), the shipped network (`network.onnx`),
`cleanup` (anatomy and sides), `verdict` (how far to trust it). `run.segment_scan` is the workflow's step.
The recipe that made the network is in `training`.
"""
