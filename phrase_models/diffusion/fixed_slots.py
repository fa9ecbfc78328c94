"""What a plan fixes of the estimates of a song: copies, varied phrases, silence, given slots.

At every step the estimate of x_0 is corrected and the noise of each slot left alone, so that every
solver ends on what is asked for. A copy takes the estimate of the first one: the mean of all copies
would lose variance, and noise tied between them would be taken for agreement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.diffusion.conditioning import to_device
from phrase_models.diffusion.given import GivenSlots
from phrase_models.diffusion.guidance import Denoise
from phrase_models.diffusion.plan import PlanFeatures
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.form.song_form import CellState

EXACT, NOTES = 0, 1  # of RELATION_KINDS


@dataclass(frozen=True, slots=True, eq=False)
class FixedSlots:
    """What is fixed in B songs of N bars and S slots, padding included.

    Attributes:
        copied_bar: (B, N, S), the bar whose estimate serves a cell; its own where it is free.
        followed_bar: (B, N, S), the same while phrases with the notes of another one still follow
            it. What shares a rhythm alone is left to the network, which knows of it: following
            lends pitches that are not its own, and bars came back less alike.
        known: (B, N, S) bool, cells whose latents are known.
        latents: (B, N, S, D), unit scale, 0 where they are not known.
    """

    copied_bar: Tensor
    followed_bar: Tensor
    known: Tensor
    latents: Tensor

    def to(self, device: torch.device) -> "FixedSlots":
        """Move all tensors."""
        parts = (self.copied_bar, self.followed_bar, self.known, self.latents)
        return FixedSlots(*(to_device(part, device) for part in parts))

    def correct(self, estimate: Tensor, *, follow: bool) -> Tensor:
        """Put what is fixed into an estimate of x_0 (B, N, S, D).

        Args:
            estimate: of all slots.
            follow: whether phrases with the notes of another one still follow it.
        """
        estimate = torch.where(self.known[..., None], self.latents, estimate)
        bars = self.followed_bar if follow else self.copied_bar
        estimate = estimate.gather(1, bars[..., None].expand_as(estimate))
        return torch.where(self.known[..., None], self.latents, estimate)


def fix_slots(
    features: Sequence[PlanFeatures],
    given: Sequence[GivenSlots | None],
    empty_slots: NDArray[np.float32] | None,
    num_bars: int,
    shape: tuple[int, int],
    sampler: SamplerConfig,
) -> FixedSlots:
    """Collect what plans and given slots fix.

    Args:
        features: the plans of B songs.
        given: known slots of each song, unit scale.
        empty_slots: (S, D), unit scale, what silent cells are to hold; None leaves them.
        num_bars: N, with padding.
        shape: (S, D).
        sampler: `copies` turns copying and following off.

    Returns:
        All of it on the CPU. Where a copy is given and the first one is not, the given one serves.
    """
    batch, num_slots = len(features), shape[0]
    own = np.broadcast_to(np.arange(num_bars)[:, None], (batch, num_bars, num_slots))
    copied, followed = own.copy(), own.copy()
    known = np.zeros((batch, num_bars, num_slots), np.bool_)
    latents = np.zeros((batch, num_bars, *shape), np.float32)
    for row, (plan, slots) in enumerate(zip(features, given, strict=True)):
        if slots is not None:
            bars = len(slots.mask)
            known[row, :bars] = slots.mask
            latents[row, :bars] = np.where(slots.mask[..., None], slots.latents, 0)
        if plan.states is None or plan.classes is None:
            continue
        bars = plan.num_bars
        if sampler.copies:
            copied[row, :bars] = serving_bars(plan.classes[EXACT], known[row, :bars])
            followed[row, :bars] = serving_bars(plan.classes[NOTES], known[row, :bars])
        if empty_slots is not None:
            silent = (plan.states == 1 + CellState.SILENT) & ~known[row, :bars]
            latents[row, :bars] = np.where(silent[..., None], empty_slots, latents[row, :bars])
            known[row, :bars] |= silent
    return FixedSlots(*(torch.from_numpy(part) for part in (copied, followed, known, latents)))


def serving_bars(classes: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bar that serves each cell: of its class the first that is known, else the first.

    Args:
        classes: (S, N), see `plan.form_classes`.
        known: (N, S).

    Returns:
        (N, S); cells of class 0 serve themselves.
    """
    num_slots, num_bars = classes.shape
    bars = np.repeat(np.arange(num_bars)[:, None], num_slots, axis=1)
    for slot in range(num_slots):
        for number in np.unique(classes[slot][classes[slot] > 0]):
            members = np.flatnonzero(classes[slot] == number)
            first_known = members[known[members, slot]][:1]
            bars[members, slot] = first_known[0] if len(first_known) else members[0]
    return bars


def corrected(denoise: Denoise, fixed: FixedSlots, last_followed: float) -> Denoise:
    """Correct every estimate by what is fixed.

    Args:
        denoise: estimates all slots.
        fixed: what is fixed of them.
        last_followed: timestep down to which, itself left out, phrases follow the one whose notes
            they have: their noisy latents are then those of that estimate with noise of their own,
            and go on freely from there (SDEdit, arXiv 2108.01073).
    """

    def correcting(noisy: Tensor, timestep: int, estimate: Tensor | None) -> Tensor:
        free = denoise(noisy, timestep, estimate)
        return fixed.correct(free, follow=timestep > last_followed)

    return correcting
