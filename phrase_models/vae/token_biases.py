"""What is added to the logits of a decoder that reads drawn latents.

Of a latent with errors the decoder says what is likeliest, and errors shift that: durations come
out too short, onsets too close to each other.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from phrase_models.tokens import vocabulary
from phrase_models.tokens.vocabulary import (
    FIRST_DURATION,
    FIRST_ONSET,
    FIRST_PITCH,
    NUM_DURATIONS,
    NUM_ONSETS,
)


@dataclass(frozen=True, slots=True)
class TokenBiases:
    """Weights of natural logarithms of steps, 48 a bar, that are added to logits.

    Attributes:
        duration: of the logarithm of a duration, for its token.
        onset_gap: of the logarithm of the steps from the newest onset to a later one, or to the end
            of the bar where the phrase might end, for that token. The first onset has none.
    """

    duration: float = 0.0
    onset_gap: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is added at all."""
        return bool(self.duration or self.onset_gap)

    def by_lowest_onset(self, device: torch.device) -> Tensor:
        """What is added to the logits of a phrase by its lowest onset still allowed, (49, V).

        That is 0 before the first onset, and one step after the newest one from then on.
        """
        added = torch.zeros(NUM_ONSETS + 1, vocabulary.VOCABULARY_SIZE)
        durations = torch.arange(1, NUM_DURATIONS + 1)
        added[:, FIRST_DURATION:] = self.duration * durations.log()
        newest = torch.arange(NUM_ONSETS)[:, None]
        gaps = (torch.arange(NUM_ONSETS + 1) - newest).clamp(min=1)
        logarithms = self.onset_gap * gaps.log()
        added[1:, FIRST_ONSET:FIRST_PITCH] = logarithms[:, :NUM_ONSETS]
        added[1:, :FIRST_ONSET] = logarithms[:, NUM_ONSETS:]
        return added.to(device)


NO_BIASES = TokenBiases()
