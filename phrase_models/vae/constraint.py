"""The grammar of a phrase as a mask over logits, on the decoder's device.

The rules are the tables of `phrase_models.tokens.grammar`; this is their look-up in torch.
"""

import torch
from torch import Tensor

from phrase_models.tokens import grammar


class GrammarConstraint:
    """Where a batch of phrases stands, and what may come next in each.

    What is decoded under it is always a valid phrase: onsets ascend, pitches descend within an
    onset, every note has its duration, and no phrase ends in the middle of a note.
    """

    def __init__(
        self,
        batch: int,
        max_tokens: int | Tensor,
        device: torch.device,
        *,
        several_phrases: bool = False,
    ) -> None:
        """Start a batch; `max_tokens` is a number for all rows, or one for each (B,)."""

        def table(array: object) -> Tensor:
            return torch.as_tensor(array, device=device)

        self.allowed = table(grammar.ALLOWED_IN_BAR if several_phrases else grammar.ALLOWED)
        self.onset_allowed = table(grammar.ONSET_ALLOWED)
        self.pitch_allowed = table(grammar.PITCH_ALLOWED)
        self.token_class = table(grammar.TOKEN_CLASS)
        self.to_complete = table(grammar.TOKENS_TO_COMPLETE)
        self.onset_after = table(grammar.LOWEST_ONSET_AFTER)
        self.limit_after = table(grammar.PITCH_LIMIT_AFTER)
        self.remaining = max_tokens[:, None] if isinstance(max_tokens, Tensor) else max_tokens
        state = grammar.PhraseGrammar.initial(batch)
        self.last_class = table(state.token_class)
        self.lowest_onset = table(state.lowest_onset)
        self.pitch_limit = table(state.pitch_limit)

    def mask(self, logits: Tensor) -> Tensor:
        """Logits (B, V) with everything that may not come next at minus infinity."""
        allowed = (
            self.allowed[self.last_class]
            & self.onset_allowed[self.lowest_onset]
            & self.pitch_allowed[self.pitch_limit]
            & (self.remaining >= self.to_complete)
        )
        return logits.masked_fill(~allowed, -torch.inf)

    def advance(self, tokens: Tensor) -> None:
        """One more token (B,) in each row, each allowed by the mask."""
        onset, limit = self.onset_after[tokens], self.limit_after[tokens]
        self.last_class = self.token_class[tokens]
        self.lowest_onset = torch.where(onset == grammar.KEEP, self.lowest_onset, onset)
        self.pitch_limit = torch.where(limit == grammar.KEEP, self.pitch_limit, limit)
        self.remaining = self.remaining - 1

    def only_end_may_come(self) -> Tensor:
        """Rows (B,) that hold a whole phrase of one token, or have ended."""
        return (self.last_class == grammar.SPECIAL) | (self.last_class == grammar.ENDED)

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these, by index."""
        self.last_class = self.last_class[rows]
        self.lowest_onset = self.lowest_onset[rows]
        self.pitch_limit = self.pitch_limit[rows]
        if isinstance(self.remaining, Tensor):
            self.remaining = self.remaining[rows]
