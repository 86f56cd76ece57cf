"""The geometry of a scan as its photons tell it: orientation, defocus, scale and rotation, with error bars."""
