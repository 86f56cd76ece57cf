"""Readers of other tools' files: each gives a `RawScan` in the conventions that its format has, and names them.

Modules of HDF5 formats open files through `hdf5_access`, which guards against what untrusted files may hold.
"""
