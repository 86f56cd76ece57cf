"""Training: the Lightning module, checkpoints, and the run that resumes and publishes."""
