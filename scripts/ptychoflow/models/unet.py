"""The autoencoder with skip connections."""

from ptychoflow.models.autoencoder import Autoencoder


class UNet(Autoencoder):
    """U-Net from centred amplitudes to amplitude and phase of the patches; the frames are its channels."""

    skips = True
