"""Where in the score each token stands: the onset and the pitch that the tokens before it said.

Attention would have to look both up again in every layer. The state is that of the grammar
(`phrase_models.tokens.grammar`), so a decoder that follows the grammar knows it anyway.
"""

import numpy as np
import torch
from torch import Tensor, nn

from phrase_models.tokens import grammar, vocabulary

NOTES_MULTIPLE = 4
"""Padded numbers of notes are multiples of it: few distinct shapes."""
_STANDS_FOR_ITSELF = ~np.isin(grammar.TOKEN_CLASS, (grammar.ONSET, grammar.PITCH))
_STANDS_FOR_ITSELF[vocabulary.PAD] = False


class ScoreStateEmbedding(nn.Module):
    """What is added to the embedding of a token: the onset and the pitch it stands under."""

    onset_after: Tensor
    limit_after: Tensor
    stands_for_itself: Tensor

    def __init__(self, model_dim: int) -> None:
        super().__init__()
        self.onset = nn.Embedding(vocabulary.NUM_ONSETS + 1, model_dim)
        self.pitch = nn.Embedding(vocabulary.NUM_PITCHES + 1, model_dim)
        # On the device of the weights: a table that is copied there at every step is waited for.
        for name, table in (
            ("onset_after", grammar.LOWEST_ONSET_AFTER),
            ("limit_after", grammar.PITCH_LIMIT_AFTER),
            ("stands_for_itself", _STANDS_FOR_ITSELF),
        ):
            self.register_buffer(name, torch.as_tensor(table), persistent=False)

    def forward(self, lowest_onset: Tensor, pitch_limit: Tensor) -> Tensor:
        """States (...) as in `GrammarState` -> (..., d)."""
        combined: Tensor = self.onset(lowest_onset) + self.pitch(pitch_limit)
        return combined

    def of_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens from the start of a unit (B, T) -> (B, T, d)."""
        return self(*self.state(tokens))

    def state(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The grammar's lowest onset and pitch limit after each token of (B, T); each (B, T)."""
        onset = _last_known(self.onset_after[tokens], 0)
        return onset, _last_known(self.limit_after[tokens], vocabulary.NUM_PITCHES)

    def one_place_per_note(self, tokens: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Leave out onset and pitch tokens, for the duration that follows says both by its state.

        Args:
            tokens: units (B, T), padded by PAD.
            embedded: their embeddings with their states (B, T, d).

        Returns:
            Embeddings (B, N, d) in the order of the tokens, and a mask (B, N), True where one is.
        """
        kept = self.stands_for_itself[tokens]
        lengths = kept.sum(1)
        # Asking an accelerator for a number stops everything until it has it.
        most = int(lengths.max()) if tokens.is_cpu else most_places(tokens.shape[1])
        width = min(-(-most // NOTES_MULTIPLE) * NOTES_MULTIPLE, tokens.shape[1])
        places = torch.argsort(~kept, dim=1, stable=True)[:, :width]
        mask = torch.arange(width, device=tokens.device) < lengths[:, None]
        gathered = embedded.gather(1, places[..., None].expand(-1, -1, embedded.shape[-1]))
        return gathered, mask


def most_places(num_tokens: int) -> int:
    """Places of programs, durations and special phrases that a valid unit may have, at most.

    A program is followed by an onset and each duration follows a pitch; a special phrase is alone.
    """
    return (num_tokens + 1) // 2


def _last_known(values: Tensor, initial: int) -> Tensor:
    """Carry each value forward over the KEEPs that follow it, along the last axis."""
    places = torch.arange(values.shape[-1], device=values.device).expand_as(values)
    last = torch.where(values == grammar.KEEP, -1, places).cummax(-1).values
    return torch.where(last < 0, initial, values.gather(-1, last.clamp(min=0)))
