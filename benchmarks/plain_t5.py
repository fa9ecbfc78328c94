"""PhraseVAE the plain way: transformers' own T5, fp32, padded batches, `generate`.

What `bench_vae.py` compares with. The weights are those of a PhraseVAE, so the same must come out.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutput

from phrase_models.tokens import vocabulary
from phrase_models.vae.model import PhraseVAE

NEVER_DECODED = [
    vocabulary.PAD,
    vocabulary.BOS,
    vocabulary.MASK,
    *range(vocabulary.FIRST_QUERY, vocabulary.FIRST_PROGRAM),
]


def pad(phrases: Sequence[Sequence[int]]) -> Tensor:
    """Token ids as (B, T), padded to the longest."""
    longest = max(map(len, phrases))
    return torch.tensor([[*row, *[vocabulary.PAD] * (longest - len(row))] for row in phrases])


class RowLimits(StoppingCriteria):
    """Rows that have as many tokens as they may are done."""

    def __init__(self, limits: Tensor) -> None:
        self.limits = limits

    def __call__(self, input_ids: Tensor, _scores: Tensor, **_kwargs: object) -> Tensor:
        return input_ids.shape[1] - 1 >= self.limits


class PlainPhraseVAE(nn.Module):
    """The weights of a PhraseVAE of the paper's architecture in transformers' modules."""

    def __init__(self, vae: PhraseVAE) -> None:
        super().__init__()
        config = vae.config
        if config.state_embeddings or config.bottleneck != "multi_query":
            message = "The plain T5 knows no state embeddings and no other bottleneck than queries."
            raise SystemExit(message)
        self.config = config
        t5_config = T5Config(
            vocab_size=vocabulary.VOCABULARY_SIZE,
            d_model=config.model_dim,
            d_ff=config.feedforward_dim,
            d_kv=config.head_dim,
            num_heads=config.num_heads,
            num_layers=config.num_encoder_layers,
            num_decoder_layers=config.num_decoder_layers,
            dropout_rate=config.dropout,
            tie_word_embeddings=False,
            pad_token_id=vocabulary.PAD,
            eos_token_id=vocabulary.EOS,
            decoder_start_token_id=vocabulary.BOS,
        )
        self.t5 = T5ForConditionalGeneration(t5_config)
        self.t5.shared.weight = nn.Parameter(vae.embedding.weight.detach().clone())
        for part in (self.t5.encoder.embed_tokens, self.t5.decoder.embed_tokens, self.t5.lm_head):
            part.weight = self.t5.shared.weight
        self.t5.encoder.load_state_dict(vae.encoder.state_dict(), strict=False)
        self.t5.decoder.load_state_dict(vae.decoder.state_dict(), strict=False)
        self.norm, self.to_posterior = vae.bottleneck_norm, vae.to_posterior
        self.from_latent = vae.from_latent

    def posterior(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Padded tokens (B, T) -> mean and log-variance, both (B, D)."""
        num_queries = self.config.num_queries
        queries = torch.arange(num_queries) + vocabulary.FIRST_QUERY
        inputs = torch.cat((queries.expand(len(tokens), -1), tokens), 1)
        mask = (inputs != vocabulary.PAD).long()
        hidden = self.t5.encoder(input_ids=inputs, attention_mask=mask).last_hidden_state
        mean, log_variance = self.to_posterior(self.norm(hidden[:, :num_queries].flatten(1))).chunk(
            2, -1
        )
        return mean, log_variance

    def memory(self, latents: Tensor) -> BaseModelOutput:
        """Latents (B, D) -> what the decoder attends to (B, m, d)."""
        memory = self.from_latent(latents).view(len(latents), self.config.num_queries, -1)
        return BaseModelOutput(last_hidden_state=memory)

    def loss(self, phrases: Sequence[Sequence[int]], kl_weight: float) -> Tensor:
        """Cross-entropy plus the KL term of a batch of phrases."""
        labels = pad([[*phrase, vocabulary.EOS] for phrase in phrases])
        mean, log_variance = self.posterior(pad(phrases))
        latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        begin = torch.full_like(labels[:, :1], vocabulary.BOS)
        logits = self.t5(
            encoder_outputs=self.memory(latents),
            decoder_input_ids=torch.cat((begin, labels[:, :-1]), 1),
            use_cache=False,
        ).logits
        reconstruction = F.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=vocabulary.PAD
        )
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return reconstruction + kl_weight * divergence

    @torch.no_grad()
    def encode_songs(self, songs: Sequence[Sequence[Sequence[int]]]) -> NDArray[np.float32]:
        """Means of all slots, a padded batch a song: (slots of all songs, D)."""
        return np.concatenate([self.posterior(pad(song))[0].numpy() for song in songs])

    @torch.no_grad()
    def decode(self, latents: Tensor, limits: Sequence[int] | None = None) -> list[list[int]]:
        """Greedy `generate` of all rows until the longest ends: (N, D) -> token ids.

        Args:
            latents: raw.
            limits: most tokens of each row.
        """
        criteria = [] if limits is None else [RowLimits(torch.tensor(limits))]
        memory = self.memory(latents)
        outputs = self.t5.generate(
            encoder_outputs=memory,
            attention_mask=torch.ones(memory.last_hidden_state.shape[:2], dtype=torch.long),
            generation_config=GenerationConfig(
                max_new_tokens=self.config.max_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=vocabulary.PAD,
                eos_token_id=vocabulary.EOS,
                decoder_start_token_id=vocabulary.BOS,
                suppress_tokens=NEVER_DECODED,
            ),
            stopping_criteria=StoppingCriteriaList(criteria),
        )
        return [
            [token for token in row[1:] if token not in (vocabulary.PAD, vocabulary.EOS)]
            for row in outputs.tolist()
        ]


class PlainTraining:
    """AdamW over padded batches of phrases."""

    def __init__(self, model: PlainPhraseVAE) -> None:
        self.model = model.train()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0)

    def train(self, batches: Sequence[Sequence[Sequence[int]]]) -> int:
        """A step for each batch of phrases; returns how many tokens they have."""
        for batch in batches:
            self.model.loss(batch, 0.01).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return sum(len(phrase) for batch in batches for phrase in batch)
