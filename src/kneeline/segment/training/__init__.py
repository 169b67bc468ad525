"""The recipe that made the shipped network (needs the extra `train`); running kneeline never imports it."""
