"""Accuracy on simulated knees that the network never saw: every stage against truth by construction.

The anatomy is of the parametric family that the network learned from, so these figures say how well the machine does
on its own kind of knee; real knees differ (docs/model-card.md).

plan            which knee a number stands for
masks           overlap and surface distance of two masks
measure         one knee: built, imaged, segmented, scored, compared
reliability     promised against observed
groups, targets, plot, page    what is told about many knees
run             many knees, in one process or several
"""
