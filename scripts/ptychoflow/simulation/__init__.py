"""Datasets with a known answer: objects, probes, scans and photon counts, all drawn from one seed."""
