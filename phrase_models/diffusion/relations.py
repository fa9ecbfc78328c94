"""Which tokens of a song are related: by repetition, by likeness, by distance, by being padding.

Attention adds a learnt bias a head for each of them. They are built where the network runs, from
one number a bar: (B, R, T, T) from a host would cost more than a training step.
"""

import torch
from torch import Tensor

from phrase_models.diffusion.conditioning import NUM_KINDS, PlanBatch
from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.plan import NO_MATCH

EXACT_BIAS = 2.0
LIKENESS_BIAS = 1.0
SECTION_BIAS = 2.0
"""The largest bias of a head at the start. Relations of a pair add up: a bar that repeats another
in three slots begins with some e^4 against the other bars, as the repeat pointer does."""


def repeat_relations(matching_bar: Tensor, num_slots: int) -> Tensor:
    """The pointer to the counterpart in the section before, and back.

    Args:
        matching_bar: (B, N), NO_MATCH where there is none.
        num_slots: tokens a bar; counterparts are of the same slot.

    Returns:
        Bool (B, 2, T, T): the second token is the first's counterpart in the previous section of
        the same label; in the next one.
    """
    num_bars = matching_bar.shape[1]
    bars = torch.arange(num_bars, device=matching_bar.device)
    previous = (matching_bar[:, :, None] == bars) & (matching_bar[:, :, None] != NO_MATCH)
    if num_slots > 1:
        same_slot = torch.eye(num_slots, dtype=torch.bool, device=matching_bar.device)
        previous = (previous[:, :, None, :, None] & same_slot[:, None]).flatten(3).flatten(1, 2)
    return torch.stack((previous, previous.mT), dim=1)


def padding_relation(bar_mask: Tensor, num_slots: int) -> Tensor:
    """Bool (B, 1, T, T): the second token is padding, from bar_mask (B, N), False at padding."""
    padding = ~bar_mask.repeat_interleave(num_slots, dim=1)[:, None, None]
    return padding.expand(-1, -1, padding.shape[-1], -1)


def same_class(classes: Tensor) -> Tensor:
    """Numbers (..., N) -> bool (..., N, N): two different bars have the same number, not 0."""
    others = ~torch.eye(classes.shape[-1], dtype=torch.bool, device=classes.device)
    first, second = classes[..., :, None], classes[..., None, :]
    return (first == second) & (first != 0) & others


def section_relations(section_classes: Tensor) -> Tensor:
    """All counterparts in sections of the same label.

    Args:
        section_classes: (B, N), see `plan.PlanFeatures`.

    Returns:
        Bool (B, 2, N, N): the second bar is the first's counterpart in any earlier section; in any
        later one.
    """
    same = same_class(section_classes)
    return torch.stack((same.tril(), same.triu()), dim=1)


def lag_relations(lags: tuple[int, ...], bar_mask: Tensor) -> Tensor:
    """Bool (B, L, N, N): two bars lie this far apart, for each of L lags."""
    bars = torch.arange(bar_mask.shape[1], device=bar_mask.device)
    distances = (bars[:, None] - bars).abs()
    apart = torch.stack([distances == lag for lag in lags])
    return apart.expand(len(bar_mask), -1, -1, -1)


def bar_relations(config: DenoiserConfig, plans: PlanBatch, num_slots: int) -> Tensor | None:
    """All relations of a batch that a configuration knows.

    Args:
        config: says which.
        plans: of B songs, T tokens each.
        num_slots: tokens a bar.

    Returns:
        Zeros and ones (B, R, T, T) in the precision that attention multiplies in: the repeat
        pointer (2), padding (1), exact, notes and rhythm of each slot (9 of 3 slots), all sections
        (2), lags; None without any relation but padding.
    """
    if not config.repeat_bias and not has_relations(config):
        return None
    parts = []
    if config.repeat_bias:
        parts.append(repeat_relations(plans.matching_bar, num_slots))
    parts.append(padding_relation(plans.bar_mask, num_slots))
    if config.form_condition:
        parts.append(same_class(plans.classes).flatten(1, 2))
    if config.all_sections_bias:
        parts.append(section_relations(plans.section_classes))
    if config.bar_lags:
        parts.append(lag_relations(config.bar_lags, plans.bar_mask))
    device = plans.bar_mask.device.type
    half = torch.is_autocast_enabled(device)
    return torch.cat(parts, dim=1).to(torch.get_autocast_dtype(device) if half else torch.float32)


def has_relations(config: DenoiserConfig) -> bool:
    """Whether there is a relation besides the repeat pointer."""
    return config.form_condition or config.all_sections_bias or bool(config.bar_lags)


def relation_starts(config: DenoiserConfig, num_slots: int) -> Tensor:
    """The biases that training begins with, for the relations after padding (R', H).

    Heads differ in how far they follow a relation, and follow different slots.
    """
    heads = config.num_heads
    slope = torch.linspace(1.0, 0.0, heads)
    rows = []
    if config.form_condition:
        for kind in range(NUM_KINDS):
            peak = EXACT_BIAS if kind == 0 else LIKENESS_BIAS
            rows += [peak * slope.roll(slot * heads // num_slots) for slot in range(num_slots)]
    if config.all_sections_bias:
        rows += [SECTION_BIAS * slope] * 2
    rows += [torch.zeros(heads) for _ in config.bar_lags]
    return torch.stack(rows) if rows else torch.zeros(0, heads)
