"""Accuracy on simulated knees that the network never saw: every stage against truth by construction.

The anatomy is of the parametric family that the network learned from, so these figures say how well the machine does
on its own kind of knee; real knees differ (docs/model-card.md).

plan            which knee a number stands for
truth           what a perfect machine would answer about it
rescan          the same knee imaged a second time
measure         one knee: built, imaged, segmented, scored, compared
run             many knees, in one process or several
masks, reliability     outlines beside the truth; promised certainty beside what was right
compare, repeat        scores beside the truth; two scans beside one another
groups, targets, plot, page, score_page    what is told about many knees
exhibit, worst         the worst cases, with pictures
"""
