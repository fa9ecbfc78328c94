"""Plans of a batch as tensors, hiding them for guidance, and their embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.plan import (
    BAR_FEATURE_SIZES,
    BAR_FEATURES,
    LETTER_FEATURE,
    LETTERS,
    MAX_SECTION_BARS,
    NO_MATCH,
    PROMPT_FEATURES,
    ROLES,
    PlanFeatures,
)
from phrase_models.form.song_form import RELATION_KINDS, CellState
from phrase_models.form.texture import NUM_TEXTURE_VALUES, TEXTURE_ATTRIBUTES
from phrase_models.score.chords import CHORDS_PER_BAR

SECTION_DIM = 128  # width of the section encoder (paper section 4.3.1)
NUM_SECTION_LAYERS = 3  # same place
NUM_SECTION_HEADS = 4
EMBEDDING_DEVIATION = 0.1
NUM_STATES = 1 + len(CellState)
NUM_KINDS = len(RELATION_KINDS)
_ATTRIBUTES = range(len(TEXTURE_ATTRIBUTES))


@dataclass(frozen=True, slots=True)
class PlanBatch:
    """The plans of B songs, padded to N bars and K sections; 0 is absent.

    Attributes:
        bar_mask: (B, N) bool, bars that take part; all True where songs are padded by their end.
        length_bucket: (B,), 1 + num_bars // bucket size.
        bars_left: (B, N), bars from this one to the end of the song, itself included.
        bars: (B, N, 5), see `plan.BAR_FEATURES`.
        matching_bar: (B, N), NO_MATCH where there is none.
        prompt: (B, K, 4), see `plan.PROMPT_FEATURES`.
        prompt_mask: (B, K) bool, sections that are there.
        section_classes: (B, N), see `plan.PlanFeatures`, as are the next four.
        states: (B, N, S).
        classes: (B, 3, S, N).
        chords: (B, N, 2).
        texture: (B, N, S, 5).
        given: (B, N, S) bool, slots whose latents are known.
    """

    bar_mask: Tensor
    length_bucket: Tensor
    bars_left: Tensor
    bars: Tensor
    matching_bar: Tensor
    prompt: Tensor
    prompt_mask: Tensor
    section_classes: Tensor
    states: Tensor
    classes: Tensor
    chords: Tensor
    texture: Tensor
    given: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Move all tensors; to a GPU, the caller does not wait for them."""
        return replace(
            self, **{f.name: to_device(getattr(self, f.name), device) for f in fields(self)}
        )

    def __getitem__(self, rows: slice) -> Self:
        """Some songs of the batch."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def hide(
        self,
        length: Tensor,
        sections: Tensor,
        form: Tensor | None = None,
        chords: Tensor | None = None,
        texture: Tensor | None = None,
    ) -> Self:
        """Hide conditions of the songs marked by (B,) bool tensors; None hides nothing.

        Of the texture single attributes of single slots may be marked, (B, S, 5).
        """
        none = torch.zeros_like(length)
        form, chords = none if form is None else form, none if chords is None else chords
        texture = none if texture is None else texture
        if texture.dim() == 1:
            texture = texture[:, None, None]
        return replace(
            self,
            length_bucket=self.length_bucket.masked_fill(length, 0),
            bars_left=self.bars_left.masked_fill(length[:, None], 0),
            bars=self.bars.masked_fill(sections[:, None, None], 0),
            matching_bar=self.matching_bar.masked_fill(sections[:, None], NO_MATCH),
            prompt_mask=self.prompt_mask & ~sections[:, None],
            section_classes=self.section_classes.masked_fill(sections[:, None], 0),
            states=self.states.masked_fill(form[:, None, None], 0),
            classes=self.classes.masked_fill(form[:, None, None, None], 0),
            chords=self.chords.masked_fill(chords[:, None, None], 0),
            texture=self.texture.masked_fill(texture[:, None], 0),
        )

    def hide_all(self) -> Self:
        """The unconditional side of guidance; known slots stay known."""
        everyone = torch.ones_like(self.length_bucket, dtype=torch.bool)
        return self.hide(everyone, everyone, everyone, everyone, everyone)

    def hide_form(self) -> Self:
        """Without form, chords and texture: a weak side of guidance that knows the sections."""
        everyone = torch.ones_like(self.length_bucket, dtype=torch.bool)
        return self.hide(~everyone, ~everyone, everyone, everyone, everyone)


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Move a tensor; from pinned memory to a CUDA device, so that neither side waits."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def collate_plans(
    plans: Sequence[PlanFeatures],
    num_bars: int,
    config: DenoiserConfig,
    letter_tables: Sequence[NDArray[np.int64]] | None = None,
    num_slots: int = 1,
) -> PlanBatch:
    """Pad plans to `num_bars` bars; no slot of the batch is marked as given.

    Args:
        plans: one a song.
        num_bars: N, at least the longest plan.
        config: for the bucket size and the kind of padding.
        letter_tables: renaming of the letters, one a song.
        num_slots: S, slots a bar; any number does where neither form nor given slots come in.

    Returns:
        The batch on the CPU.
    """
    batch, num_sections = len(plans), max(1, *(len(plan.prompt) for plan in plans))
    bars = np.zeros((batch, num_bars, len(BAR_FEATURES)), np.int64)
    matching = np.full((batch, num_bars), NO_MATCH, np.int64)
    prompt = np.zeros((batch, num_sections, len(PROMPT_FEATURES)), np.int64)
    section_classes = np.zeros((batch, num_bars), np.int64)
    states = np.zeros((batch, num_bars, num_slots), np.int64)
    classes = np.zeros((batch, NUM_KINDS, num_slots, num_bars), np.int64)
    chords = np.zeros((batch, num_bars, CHORDS_PER_BAR), np.int64)
    texture = np.zeros((batch, num_bars, num_slots, len(TEXTURE_ATTRIBUTES)), np.int64)
    for row, plan in enumerate(plans):
        section_classes[row, : plan.num_bars] = plan.section_classes
        if plan.states is not None and plan.classes is not None and config.form_condition:
            states[row, : plan.num_bars] = plan.states
            classes[row, :, :, : plan.num_bars] = plan.classes
        if plan.chords is not None and config.num_chords:
            chords[row, : plan.num_bars] = plan.chords
        if plan.texture is not None and config.texture_condition:
            texture[row, : plan.num_bars] = plan.texture
        bars[row, : plan.num_bars] = plan.bars
        matching[row, : plan.num_bars] = plan.matching_bar
        prompt[row, : len(plan.prompt)] = plan.prompt
        if letter_tables is not None:
            bars[row, :, LETTER_FEATURE] = letter_tables[row][bars[row, :, LETTER_FEATURE]]
            prompt[row, :, 1] = letter_tables[row][prompt[row, :, 1]]
    lengths = torch.tensor([plan.num_bars for plan in plans])
    bars_left = (lengths[:, None] - torch.arange(num_bars)).clamp(min=0)
    mask = bars_left > 0
    return PlanBatch(
        bar_mask=torch.ones_like(mask) if config.pad_with_end else mask,
        length_bucket=1 + lengths // config.length_bucket,
        bars_left=bars_left,
        bars=torch.from_numpy(bars),
        matching_bar=torch.from_numpy(matching),
        prompt=torch.from_numpy(prompt),
        prompt_mask=torch.from_numpy(prompt[:, :, 0] > 0),
        section_classes=torch.from_numpy(section_classes),
        states=torch.from_numpy(states),
        classes=torch.from_numpy(classes),
        chords=torch.from_numpy(chords),
        texture=torch.from_numpy(texture),
        given=torch.zeros((batch, num_bars, num_slots), dtype=torch.bool),
    )


def embedding(num_values: int, width: int) -> nn.Embedding:
    """A small table, so that conditions do not drown the latents at the start."""
    table = nn.Embedding(num_values, width)
    nn.init.normal_(table.weight, std=EMBEDDING_DEVIATION)
    return table


def num_length_buckets(config: DenoiserConfig) -> int:
    """Values of `PlanBatch.length_bucket`, absent included."""
    return config.max_bars // config.length_bucket + 2


class AlignedPlanEmbedding(nn.Module):
    """A plan as one vector a bar: each section feature has its table, and so has the time left."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.bars_left_embedding = embedding(config.max_bars + 1, config.model_dim)
        sizes = BAR_FEATURE_SIZES if config.conditioning == "sections" else ()
        self.feature_embeddings = nn.ModuleList(embedding(size, config.model_dim) for size in sizes)

    def forward(self, plans: PlanBatch) -> Tensor:
        """Plans -> (B, N, d)."""
        hidden = self.bars_left_embedding(plans.bars_left)
        for index, table in enumerate(self.feature_embeddings):
            hidden = hidden + table(plans.bars[:, :, index])
        return hidden


class ChordEmbedding(nn.Module):
    """The chords of a bar as one vector: a table for each half."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        tables = (embedding(1 + config.num_chords, config.model_dim) for _ in range(CHORDS_PER_BAR))
        self.tables = nn.ModuleList(tables)

    def forward(self, plans: PlanBatch) -> Tensor:
        """Plans -> (B, N, d)."""
        halves = [table(plans.chords[:, :, half]) for half, table in enumerate(self.tables)]
        return torch.stack(halves).sum(dim=0)


class SlotEmbedding(nn.Module):
    """What is known of each slot of a bar: a table of numbers a slot."""

    def __init__(self, config: DenoiserConfig, num_slots: int, num_values: int) -> None:
        super().__init__()
        self.num_values, self.patch_bars = num_values, config.patch_bars
        self.table = embedding(num_slots * num_values, config.model_dim)

    def forward(self, values: Tensor) -> Tensor:
        """Integers (B, N, S) -> (B, N, d), or (B, N, S, d) where slots are tokens."""
        first = self.num_values * torch.arange(values.shape[-1], device=values.device)
        by_slot: Tensor = self.table(values + first)
        return by_slot.sum(dim=2) if self.patch_bars else by_slot


class TextureEmbedding(nn.Module):
    """The texture of a bar as one vector: a table for each attribute of each slot."""

    def __init__(self, config: DenoiserConfig, num_slots: int) -> None:
        super().__init__()
        tables = (SlotEmbedding(config, num_slots, 1 + NUM_TEXTURE_VALUES) for _ in _ATTRIBUTES)
        self.tables = nn.ModuleList(tables)

    def forward(self, plans: PlanBatch) -> Tensor:
        """Plans -> (B, N, d)."""
        parts = [self.tables[index](plans.texture[..., index]) for index in _ATTRIBUTES]
        return torch.stack(parts).sum(dim=0)


class SectionEncoder(nn.Module):
    """The paper's section list (section 3.3.3), with what the released code lacks.

    Label and length of each section are embedded, concatenated and put through a small transformer
    encoder, whose outputs the denoiser attends to. Here each section also carries the embedding of
    its first bar, so that the order of the list means something, padding is masked, and a learnt
    vector stands for a hidden list.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        half = SECTION_DIM // 2
        self.role_embedding = embedding(len(ROLES), half)
        self.letter_embedding = embedding(len(LETTERS), half)
        self.length_embedding = embedding(MAX_SECTION_BARS + 1, half)
        self.start_embedding = embedding(config.max_bars, SECTION_DIM)
        self.null_embedding = nn.Parameter(torch.randn(SECTION_DIM) * EMBEDDING_DEVIATION)
        layer = nn.TransformerEncoderLayer(
            SECTION_DIM,
            NUM_SECTION_HEADS,
            dim_feedforward=4 * SECTION_DIM,
            dropout=config.dropout,
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer, NUM_SECTION_LAYERS, norm=nn.LayerNorm(SECTION_DIM), enable_nested_tensor=False
        )

    def forward(self, plans: PlanBatch) -> tuple[Tensor, Tensor]:
        """Plans -> memory (B, 1 + K, 128) and its bool mask (B, 1 + K)."""
        role, letter, length, start = plans.prompt.unbind(-1)
        label = self.role_embedding(role) + self.letter_embedding(letter)
        sections = torch.cat((label, self.length_embedding(length)), dim=-1)
        sections = sections + self.start_embedding(start)
        null = self.null_embedding.expand(len(sections), 1, -1)
        mask = torch.cat((torch.ones_like(plans.prompt_mask[:, :1]), plans.prompt_mask), dim=1)
        hidden = torch.cat((null, sections), dim=1)
        return self.encoder(hidden, src_key_padding_mask=~mask), mask
