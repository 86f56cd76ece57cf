"""Files of PtychoFlow for Ptychodus, which looks for its plugins in the folder that this file is installed into."""

from ptychoflow.ptychodus.readers import register_plugins

__all__ = ["register_plugins"]
