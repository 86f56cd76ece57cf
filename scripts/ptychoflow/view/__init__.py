"""A page on which one result is looked at, in one file that needs no network."""
