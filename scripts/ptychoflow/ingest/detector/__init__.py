"""From what a detector wrote to counts of photons: marks, background, dead pixels, centre and orientation."""
