"""Datasets: the canonical CXI file, other tools' files (``formats``), and what training draws from them."""
