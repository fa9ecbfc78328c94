"""PhraseVAE: a phrase of REMI-z tokens as one latent (paper section 3.2).

Encoder and decoder are transformers' T5 stacks (3 + 3 layers in the paper). Query tokens are put
before the phrase; their outputs are all the decoder sees. The VAE phase squeezes them further:
concatenated, layer-normalised, projected to mean and log-variance, sampled, projected back.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phrase_models.tokens import vocabulary
from phrase_models.vae import t5_stack
from phrase_models.vae.config import VAEConfig, VAEPhase
from phrase_models.vae.score_state import ScoreStateEmbedding

LOG_VARIANCE_RANGE = (-12.0, 8.0)


@dataclass(frozen=True, slots=True)
class Posterior:
    """Diagonal normal over latents; both tensors (B, D)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """Reparameterised sample (B, D), by standard normal noise (B, D) that is given or drawn."""
        noise = torch.randn_like(self.mean) if noise is None else noise
        return self.mean + noise * (0.5 * self.log_variance).exp()

    def kl_divergence(self, free_bits: float = 0.0) -> Tensor:
        """KL to the standard normal, meaned over dimensions: (B,) nats a dimension.

        A dimension whose mean over the batch is below `free_bits` nats counts as that much, so
        that nothing is gained by closing it.

        The released code divides by the number of dimensions, so the paper's weight of 0.01
        belongs to this mean.
        """
        divergence = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        divergence = 0.5 * divergence
        if free_bits:
            closed = divergence.mean(0, keepdim=True) < free_bits
            divergence = torch.where(closed, free_bits, divergence)
        return divergence.mean(-1)


def _t5_stack(config: VAEConfig, *, decoder: bool) -> nn.Module:
    # Imported here, for it takes seconds, and who only names the class needs none of it.
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Stack

    settings = T5Config(
        vocab_size=vocabulary.VOCABULARY_SIZE,
        d_model=config.model_dim,
        d_ff=config.feedforward_dim,
        d_kv=config.head_dim,
        num_heads=config.num_heads,
        num_layers=config.num_decoder_layers if decoder else config.num_encoder_layers,
        dropout_rate=config.dropout,
        is_decoder=decoder,
        is_encoder_decoder=False,
        use_cache=False,
    )
    stack: nn.Module = T5Stack(settings)
    return stack


class SingleQuery(nn.Module):
    """Cross-attention of one learned query over the encoder's output (paper section 4.2.2)."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(
            config.model_dim, config.num_heads, bias=False, batch_first=True
        )
        self.query = nn.Parameter(torch.randn(config.model_dim) * config.model_dim**-0.5)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (B, T, d) and their mask (B, T) -> (B, 1, d)."""
        query = self.query.expand(len(hidden), 1, -1).to(hidden.dtype)
        read: Tensor = self.attention(
            query, hidden, hidden, key_padding_mask=~mask, need_weights=False
        )[0]
        return read


class BottleneckProjection(nn.Module):
    """A linear layer and, beside it, a small network with one hidden layer."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.widen, self.narrow = nn.Linear(inputs, hidden), nn.Linear(hidden, outputs)

    def forward(self, values: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        projected: Tensor = self.linear(values) + self.narrow(F.gelu(self.widen(values)))
        return projected


def _projection(config: VAEConfig, inputs: int, outputs: int) -> nn.Module:
    if config.bottleneck_hidden_dim:
        return BottleneckProjection(inputs, config.bottleneck_hidden_dim, outputs)
    return nn.Linear(inputs, outputs)


class NoiseLevel(nn.Module):
    """What the decoder's memory gets for the noise on the latent; nothing at level 0.

    The output layer starts at zero, so a VAE that was trained without it is not disturbed.
    """

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.widen = nn.Linear(1, hidden, bias=False)
        self.narrow = nn.Linear(hidden, outputs, bias=False)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, level: Tensor) -> Tensor:
        """Levels (B, 1) in standard deviations -> (B, outputs)."""
        added: Tensor = self.narrow(F.gelu(self.widen(level)))
        return added


class PhraseVAE(nn.Module):
    """Encoder, bottleneck and decoder; the phase decides which part of the bottleneck is used."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary.VOCABULARY_SIZE, config.model_dim)
        self.output = (
            None
            if config.tied_embedding
            else nn.Linear(config.model_dim, vocabulary.VOCABULARY_SIZE, bias=False)
        )
        self.state_embedding = (
            ScoreStateEmbedding(config.model_dim) if config.state_embeddings else None
        )
        self.encoder = _t5_stack(config, decoder=False)
        self.decoder = _t5_stack(config, decoder=True)
        del self.encoder.embed_tokens, self.decoder.embed_tokens  # one table, above
        self.single_query = SingleQuery(config) if config.bottleneck == "single_query" else None
        width = config.memory_length * config.model_dim
        self.bottleneck_norm = nn.LayerNorm(width)
        self.to_posterior = _projection(config, width, 2 * config.latent_dim)
        self.from_latent = _projection(config, config.latent_dim, width)
        self._initialise()
        self.noise_level = NoiseLevel(config.model_dim, width) if config.noise_level_input else None

    def _initialise(self) -> None:
        """Weights at a scale that suits Adam; an unsure posterior at the start.

        T5's own initialisation (embeddings at 1, queries at (d * d_kv) ** -0.5) was made for
        Adafactor's relative updates: under Adam the embeddings hardly move and the queries jump.
        """
        config = self.config
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=config.model_dim**-0.5)
        balanced = config.model_dim**-0.5 * config.head_dim**-0.25
        for name, parameter in self.named_parameters():
            if name.endswith((".q.weight", ".k.weight")):
                nn.init.normal_(parameter, std=balanced)
            elif name.endswith((".v.weight", ".wi.weight")):
                nn.init.normal_(parameter, std=config.model_dim**-0.5)
            elif name.endswith(".o.weight"):
                nn.init.normal_(parameter, std=(config.num_heads * config.head_dim) ** -0.5)
            elif name.endswith(".wo.weight"):
                nn.init.normal_(parameter, std=config.feedforward_dim**-0.5)
            elif "relative_attention_bias" in name:
                nn.init.zeros_(parameter)
        with torch.no_grad():
            for name, parameter in self.to_posterior.named_parameters():
                if "widen" not in name:
                    parameter[config.latent_dim :].zero_()
                if name in ("bias", "linear.bias"):
                    parameter[config.latent_dim :].fill_(-4.0)

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) from the start of a sequence -> what the stacks read (B, T, d)."""
        embedded: Tensor = self.embedding(tokens)
        if self.state_embedding is not None:
            embedded = embedded + self.state_embedding.of_tokens(tokens)
        return embedded

    def embed_step(self, tokens: Tensor, lowest_onset: Tensor, pitch_limit: Tensor) -> Tensor:
        """One token a row (B, 1) in the grammar's state after it, two of (B,) -> (B, 1, d)."""
        embedded: Tensor = self.embedding(tokens)
        if self.state_embedding is not None:
            embedded = embedded + self.state_embedding(lowest_onset, pitch_limit)[:, None]
        return embedded

    # ------------------------------------------------------------------ encoder
    def encode_tokens(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), padded by PAD -> hidden states (B, T, d), mask (B, T); no bottleneck."""
        mask = tokens != vocabulary.PAD
        hidden = self._run_encoder(self.embed(tokens), mask)
        return hidden, mask

    def compress(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T), padded by PAD -> what the bottleneck lets through (B, M, d)."""
        embedded, mask = self.embed(tokens), tokens != vocabulary.PAD  # (B, T, d), (B, T)
        if self.state_embedding is not None:  # (B, T', d), (B, T'): a place a note
            embedded, mask = self.state_embedding.one_place_per_note(tokens, embedded)
        if self.config.bottleneck == "multi_query":
            return self._read_by_queries(embedded, mask)  # (B, m, d)
        hidden = self._run_encoder(embedded, mask)  # (B, T', d)
        if self.single_query is not None:
            return self.single_query(hidden, mask)  # (B, 1, d)
        weights = mask[..., None].to(hidden.dtype)  # (B, T', 1)
        return (hidden * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)  # (B, 1, d)

    def _read_by_queries(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Outputs of the query tokens, put before the embedded unit: (B, m, d)."""
        num_queries = self.config.num_queries
        ids = torch.arange(
            vocabulary.FIRST_QUERY, vocabulary.FIRST_QUERY + num_queries, device=embedded.device
        )
        queries = self.embedding(ids).expand(len(embedded), -1, -1)
        mask = torch.cat((mask.new_ones(len(mask), num_queries), mask), dim=1)
        return self._run_encoder(torch.cat((queries, embedded), dim=1), mask, num_queries)

    def _run_encoder(self, hidden: Tensor, mask: Tensor, num_outputs: int | None = None) -> Tensor:
        length = hidden.shape[1]
        bias = t5_stack.position_bias(self.encoder, length, length) + t5_stack.padding_bias(mask)
        return t5_stack.run_stack(self.encoder, hidden, bias, num_outputs=num_outputs)

    def posterior(self, tokens: Tensor) -> Posterior:
        """Tokens (B, T) -> posterior over latents (B, D), in fp32."""
        compressed = self.compress(tokens).flatten(1)  # (B, M d)
        projected = self.to_posterior(self.bottleneck_norm(compressed)).float()  # (B, 2 D)
        mean, log_variance = projected.chunk(2, -1)  # (B, D) each
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCE_RANGE))

    # ------------------------------------------------------------------ decoder
    def memory(self, latents: Tensor, noise_level: Tensor | None = None) -> Tensor:
        """Latents (B, D) -> what the decoder attends to (B, m, d).

        `noise_level` (B, 1) is the noise on each, in standard deviations; None for none. Only a
        model with `noise_level_input` heeds it.
        """
        memory: Tensor = self.from_latent(latents)
        if self.noise_level is not None and noise_level is not None:
            memory = memory + self.noise_level(noise_level)
        return memory.view(len(latents), self.config.memory_length, -1)

    def decode(self, inputs: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        """Teacher forcing: inputs (B, T) that begin with BOS -> logits (B, T, V)."""
        length = inputs.shape[1]
        bias = t5_stack.position_bias(self.decoder, length, length)
        bias = bias + t5_stack.causal_bias(length, inputs.device)
        hidden = t5_stack.run_stack(
            self.decoder,
            self.embed(inputs),
            bias,
            memory=memory,
            memory_bias=None if memory_mask is None else t5_stack.padding_bias(memory_mask),
        )
        return self.logits(hidden)

    @property
    def output_weight(self) -> Tensor:
        """What the decoder's output is multiplied by for logits (V, d); the embedding if tied."""
        return self.embedding.weight if self.output is None else self.output.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., d) -> logits (..., V)."""
        return F.linear(hidden, self.output_weight)

    def forward(
        self,
        tokens: Tensor,
        inputs: Tensor,
        phase: VAEPhase,
        noise: Tensor | None = None,
        added: Tensor | None = None,
    ) -> tuple[Tensor, Posterior | None]:
        """Logits of one training phase but "decoder" (see `decoder_tuning`).

        Args:
            tokens: what the encoder reads (B, T); corrupted in phase "infilling".
            inputs: what the decoder reads (B, U), beginning with BOS.
            phase: which bottleneck lies between.
            noise: what the latent is sampled by, standard normal (B, D); drawn unless given.
            added: to the sampled latent (B, D).

        Returns:
            Logits (B, U, V), and the posterior in phase "vae".
        """
        if phase == "infilling":
            hidden, mask = self.encode_tokens(tokens)
            return self.decode(inputs, hidden, mask), None
        if phase == "autoencoder":
            return self.decode(inputs, self.compress(tokens)), None
        posterior = self.posterior(tokens)
        latents = posterior.sample(noise).to(self.embedding.weight.dtype)
        if added is not None:
            latents = latents + added
        return self.decode(inputs, self.memory(latents)), posterior
