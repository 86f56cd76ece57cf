"""Studies of a config: written out as experiments, and summed up over their seeds."""
