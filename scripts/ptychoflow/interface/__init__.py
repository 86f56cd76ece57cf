"""The library as people use it from Python and from notebooks, in a handful of names that `ptychoflow` itself has."""
