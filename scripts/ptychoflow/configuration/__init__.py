"""From a config as someone wrote it to the datasets and experiments that it asks for; what Snakemake plans with."""
