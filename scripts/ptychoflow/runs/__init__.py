"""A whole training: built from settings, tracked, resumed and published."""
