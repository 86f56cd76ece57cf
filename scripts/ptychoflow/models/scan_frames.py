"""Frames of one scan or of several, as blind iterations take them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.joint_steps import JointChange, detector_waves, joint_change, modelled_frames
from ptychoflow.physics.recorder import call_directly


@dataclass
class ScanFrames:
    """Frames of a batch of scans that are reconstructed side by side; what all of them have alike has batch 1.

    Parameters
    ----------
    amplitudes : Tensor
        (batch or 1, frames, N, N) float32, square roots of photon counts over `scale`, zero frequency in the corner.
    positions : Tensor
        (batch, frames, 2) float32, (row, column) pixels of the patch centres in the object frame.
    mask : Tensor
        (batch or 1, 1, N, N) bool, True for good pixels.
    scale : Tensor
        (batch or 1,) float32, the root of the mean count, so that no network meets photon numbers but where it is told.
    propagator : Propagator
        Of all frames.
    brightness : Tensor, optional
        (batch or 1, frames) float32, the light of each frame, 1 on average; 1 if not given.
    unbiased : bool
        Whether few photons are asked for without bias, see `joint_change`.
    call : callable
        Calls a function with what it is given, see `ptychoflow.physics.recorder`.
    """

    amplitudes: Float[Tensor, "#batch frames N N"]
    positions: Float[Tensor, "batch frames 2"]
    mask: Bool[Tensor, "#batch 1 N N"]
    scale: Float[Tensor, "#batch"]
    propagator: Propagator
    brightness: Float[Tensor, "#batch frames"] | None = field(default=None, kw_only=True)
    unbiased: bool = field(default=False, kw_only=True)
    call: Callable[..., Any] = field(default=call_directly, kw_only=True)

    def subset(
        self, frames: Int[Tensor, "chosen"]
    ) -> tuple[Float[Tensor, "#batch chosen N N"], Float[Tensor, "batch chosen 2"]]:
        """Amplitudes (batch, chosen, N, N) and positions (batch, chosen, 2) of some frames (chosen,) int64."""
        return self.amplitudes.index_select(1, self._placed(frames)), self._places(frames)

    def _places(self, frames: Tensor) -> Tensor:
        """Positions (batch, chosen, 2) of some frames (chosen,) int64."""
        return self.positions.index_select(1, self._placed(frames))

    def _placed(self, frames: Tensor) -> Tensor:
        """Numbers, drawn on the CPU, on the device of the frames, which goes on meanwhile with what it does."""
        return frames.to(self.positions.device, non_blocking=True)

    def pieces(self, frames: Int[Tensor, "chosen"]) -> Sequence[Int[Tensor, "_"]]:
        """Cut some frames (chosen,) int64 into as many as may be in memory at a time."""
        return [frames]

    def chosen(self, scans: Int[Tensor, "chosen"]) -> "ScanFrames":
        """Some of the scans (chosen,) int64 that differ in their positions alone."""
        return replace(self, positions=self.positions[scans])

    def change(
        self,
        objects: Complex[Tensor, "batch H W"],
        probes: Complex[Tensor, "batch modes N N"],
        background: Float[Tensor, "batch"],
        frames: Int[Tensor, "chosen"],
        with_background: bool = True,
    ) -> JointChange:
        """What some frames (chosen,) int64 ask of objects and probes; see `joint_change`."""
        return reduce(
            add,
            (
                self.call(
                    joint_change,
                    objects,
                    probes,
                    *self.subset(piece),
                    self.mask,
                    self.propagator,
                    background,
                    self.scale,
                    self.light(piece),
                    self.unbiased,
                    with_background,
                )
                for piece in self.pieces(frames)
            ),
        )

    def modelled(
        self,
        objects: Complex[Tensor, "batch H W"],
        probes: Complex[Tensor, "batch modes N N"],
        background: Float[Tensor, "batch"],
        frames: Int[Tensor, "chosen"],
    ) -> Float[Tensor, "batch chosen N N"]:
        """Intensities (batch, chosen, N, N) that objects and probes make of some frames (chosen,) int64."""
        light = self.light(frames)
        return self.call(modelled_frames, objects, probes, self._places(frames), self.propagator, background, light)

    def photons(
        self,
        objects: Complex[Tensor, "batch H W"],
        probes: Complex[Tensor, "batch modes N N"],
        background: Float[Tensor, "batch"],
        frames: Int[Tensor, "chosen"],
    ) -> tuple[Float[Tensor, "chosen N N"], Float[Tensor, "chosen N N"]]:
        """Modelled and measured photons of some frames (chosen,) int64 of the first scan, (chosen, N, N) each."""
        amplitudes, _ = self.subset(frames)
        modelled, photons = self.modelled(objects, probes, background, frames), self.scale[0] ** 2
        return modelled[0] * photons, amplitudes[0].square() * photons

    def waves(
        self,
        objects: Complex[Tensor, "batch H W"],
        probes: Complex[Tensor, "batch modes N N"],
        frames: Int[Tensor, "chosen"],
    ) -> Complex[Tensor, "batch chosen modes N N"]:
        """Detector waves (batch, chosen, modes, N, N) that objects and probes make of some frames (chosen,) int64."""
        return detector_waves(objects, probes, self._places(frames), self.propagator, self.light(frames))

    def light(self, frames: Int[Tensor, "chosen"]) -> Float[Tensor, "#batch chosen"] | None:
        """Brightness (batch, chosen) of some frames (chosen,) int64, if it is not 1."""
        return None if self.brightness is None else self.brightness.index_select(1, self._placed(frames))
