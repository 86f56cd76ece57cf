"""Datasets: the canonical CXI file, readers of other formats, and what training draws from them."""
