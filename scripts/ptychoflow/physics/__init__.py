"""The differentiable diffraction model: patches of an object, exit waves, far fields and losses."""
