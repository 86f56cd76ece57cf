"""One scan as a file and in memory: the canonical CXI dataset, its frames in blocks, and the way it grows."""
