"""How well a reconstruction agrees with a reference, and how well it explains the photons; one way for all methods."""
