"""The recipe of the shipped network: simulated scans, errors of what is known of them, and the training on both."""
