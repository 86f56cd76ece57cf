"""Solvers without a network: LSQ-ML and others of pty-chi, and the refinement of probe and positions."""
