"""The plain convolutional encoder-decoder that PtychoPINN made known (Hoidn et al., Sci. Rep. 13, 22789, 2023)."""

from collections.abc import Iterator

from jaxtyping import Bool, Complex, Float
from torch import Tensor, nn

from ptychoflow.models.blocks import AmplitudePhaseHead, EncoderDecoder, normalised_frames
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.settings.model import ModelSettings


class Autoencoder(nn.Module):
    """Encoder-decoder from centred amplitudes to amplitude and phase of the patches; the frames are its channels."""

    joins_frames = False
    skips = False

    def __init__(self, settings: ModelSettings, channels: int) -> None:
        super().__init__()
        self.network = EncoderDecoder(channels, 2 * channels, settings.features, settings.depth, self.skips)
        self.head = AmplitudePhaseHead()

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that ``freeze_encoder`` keeps as they are."""
        return self.network.encoder_parameters()

    def forward(
        self,
        amplitudes: Float[Tensor, "batch C N N"],
        probe: Complex[Tensor, "#batch modes N N"],
        mask: Bool[Tensor, "#batch N N"],
        positions: Float[Tensor, "batch C 2"],
        propagator: Propagator,
    ) -> Complex[Tensor, "batch C N N"]:
        return self.head(self.network(normalised_frames(amplitudes, probe, mask, propagator)))
