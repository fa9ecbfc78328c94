"""PianoTree VAE (Wang et al. 2020, arXiv 2008.07118): a bar as one latent, by nested GRUs.

Our own code of the paper's model, as a baseline for PhraseVAE with whole bars. Upwards, a
bidirectional GRU reads the notes of each position into a vector, and another reads the positions
into a normal posterior. Downwards, a GRU goes over the positions; at each, a GRU goes over the
notes from the lowest pitch until it says END; for each note a small GRU goes over the bits of its
duration. Both upper GRUs of the decoder are told what has been written so far.

With teacher forcing all positions, notes and bits of a batch are three calls of a GRU, the latter
two over packed sequences. Scheduled sampling keeps it that way by a second pass: the first, without
gradients, yields what the decoder would have written after the true notes; the second reads these
in the place of some true notes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from phrase_models.baselines.pianotree.config import PianoTreeConfig
from phrase_models.baselines.pianotree.grid import END, NUM_PITCHES
from phrase_models.vae.model import LOG_VARIANCE_RANGE, Posterior

START = END + 1
"""What the GRU over notes reads first."""
NUM_SYMBOLS = START + 1
BIT_START = 2


@dataclass(frozen=True, slots=True)
class DecoderOutput:
    """Predictions with teacher forcing, of the cells that count only.

    S decisions are the notes of all positions and the END after each; M of them are notes.

    Attributes:
        cells: of each decision, its place in (B, P, N + 1) flattened, (S,).
        pitch_logits: (S, 129), END the last.
        pitches: what was right, (S,).
        bit_logits: of a bit being 1, (M, bits).
        bits: what was right, (M, bits).
    """

    cells: Tensor
    pitch_logits: Tensor
    pitches: Tensor
    bit_logits: Tensor
    bits: Tensor


def _packed_places(lengths: Tensor, width: int) -> PackedSequence:
    """Places in (M, width) flattened of the first `lengths` (M,) cells of each row, packed."""
    places = torch.arange(len(lengths) * width, device=lengths.device).view(-1, width)
    return pack_padded_sequence(places, lengths.cpu(), batch_first=True, enforce_sorted=False)


def _filled(places: PackedSequence, data: Tensor) -> PackedSequence:
    """The same packing with `data` (S, ...) at its places."""
    return PackedSequence(data, places.batch_sizes, places.sorted_indices, places.unsorted_indices)


def _initialise_gru(gru: nn.GRU) -> None:
    """Orthogonal matrices from state to state, Xavier's from the input, for each of three gates."""
    for name, parameter in gru.named_parameters():
        for gate in parameter.detach().chunk(3):
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(gate)
            else:
                nn.init.zeros_(gate)


def num_notes(grid: Tensor) -> Tensor:
    """Notes of each position, (B, P)."""
    return (grid[..., 0] != END).sum(-1)


class NoteEmbedding(nn.Module):
    """A note, or START, as a vector."""

    def __init__(self, num_bits: int, dim: int) -> None:
        super().__init__()
        self.pitch = nn.Embedding(NUM_SYMBOLS, dim)
        self.bits = nn.Linear(num_bits, dim, bias=False)

    def forward(self, notes: Tensor) -> Tensor:
        """Notes (..., 1 + bits) -> (..., note_dim)."""
        embedded: Tensor = self.pitch(notes[..., 0])
        return embedded + self.bits(notes[..., 1:].to(embedded.dtype))


class PositionReader(nn.Module):
    """The notes of one position ("simu_note") as a vector, by a bidirectional GRU."""

    def __init__(self, note_dim: int, dim: int) -> None:
        super().__init__()
        self.gru = nn.GRU(note_dim, dim, batch_first=True, bidirectional=True)
        self.dim = 2 * dim

    def forward(self, grid: Tensor, embedding: NoteEmbedding) -> Tensor:
        """Grid (B, P, N, 1 + bits) -> (B, P, 2 * dim); zeros for positions without notes."""
        lengths = num_notes(grid).flatten()
        occupied = lengths.nonzero().squeeze(1)
        if not len(occupied):
            return embedding.bits.weight.new_zeros(*grid.shape[:2], self.dim)
        notes = grid.flatten(0, 1)[occupied]
        places = _packed_places(lengths[occupied], notes.shape[1])
        embedded = embedding(notes.flatten(0, 1)[places.data])
        _, last = self.gru(_filled(places, embedded))
        vectors = last.transpose(0, 1).flatten(1)
        empty = vectors.new_zeros(len(lengths), self.dim)
        return empty.index_copy(0, occupied, vectors).view(*grid.shape[:2], self.dim)


class DurationDecoder(nn.Module):
    """The bits of a note's duration, most significant first, by a small GRU."""

    def __init__(self, input_dim: int, dim: int, num_bits: int) -> None:
        super().__init__()
        self.num_bits = num_bits
        self.begin = nn.Linear(input_dim, dim)
        self.embedding = nn.Embedding(BIT_START + 1, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.to_logit = nn.Linear(dim, 1)

    def forward(self, context: Tensor, bits: Tensor) -> Tensor:
        """Teacher forcing: context (M, input_dim), bits (M, bits) -> logits of a 1 (M, bits)."""
        begin = torch.full_like(bits[:, :1], BIT_START)
        inputs = self.embedding(torch.cat((begin, bits[:, :-1]), 1))
        hidden, _ = self.gru(inputs, self.begin(context).tanh()[None])
        logits: Tensor = self.to_logit(hidden).squeeze(-1)
        return logits

    def greedy(self, context: Tensor) -> Tensor:
        """Context (M, input_dim) -> bits (M, bits)."""
        state = self.begin(context).tanh()[None]
        bit = torch.full((len(context), 1), BIT_START, device=context.device)
        bits = []
        for _ in range(self.num_bits):
            hidden, state = self.gru(self.embedding(bit), state)
            bit = (self.to_logit(hidden).squeeze(-1) > 0).long()
            bits.append(bit)
        return torch.cat(bits, 1)


class PianoTreeDecoder(nn.Module):
    """Latents to grids, with teacher forcing or greedily."""

    def __init__(self, config: PianoTreeConfig) -> None:
        super().__init__()
        self.shape = config.shape
        note_dim, hidden_dim = config.note_dim, config.decoder_note_dim
        self.reader = PositionReader(note_dim, config.written_dim)
        self.first_written = nn.Parameter(torch.zeros(self.reader.dim))
        self.to_first_state = nn.Linear(config.latent_dim, config.decoder_dim)
        self.to_input = nn.Linear(config.latent_dim, self.reader.dim)
        self.over_positions = nn.GRU(2 * self.reader.dim, config.decoder_dim, batch_first=True)
        self.to_context = nn.Linear(config.decoder_dim, hidden_dim)
        self.over_notes = nn.GRU(note_dim + hidden_dim, hidden_dim, batch_first=True)
        self.to_pitch = nn.Linear(hidden_dim, NUM_PITCHES + 1)
        self.duration = DurationDecoder(
            hidden_dim + note_dim, config.duration_dim, self.shape.num_bits
        )

    def forward(
        self, latents: Tensor, grid: Tensor, read: Tensor, embedding: NoteEmbedding
    ) -> DecoderOutput:
        """Teacher forcing.

        Args:
            latents: (B, D).
            grid: what is right, (B, P, N, 1 + bits).
            read: what the decoder is told it has written, of the same shape and with as many
                notes at each position.
            embedding: of notes.
        """
        context = self._contexts(latents, read, embedding).flatten(0, 1)
        width = grid.shape[2] + 1
        lengths = num_notes(grid).flatten() + 1
        places = _packed_places(lengths, width)
        begin = torch.zeros_like(read[:, :, :1])
        begin[..., 0] = START
        told = torch.cat((begin, read), 2).flatten(0, 2)[places.data]
        inputs = torch.cat((embedding(told), context[places.data // width]), 1)
        packed, _ = self.over_notes(_filled(places, inputs), context.tanh()[None])
        end = torch.zeros_like(begin)
        end[..., 0] = END
        right = torch.cat((grid, end), 2).flatten(0, 2)[places.data]
        pitches, is_note = right[:, 0], right[:, 0] != END
        bits = right[is_note, 1:]
        duration_context = torch.cat((packed.data, embedding.pitch(pitches)), 1)[is_note]
        return DecoderOutput(
            cells=places.data,
            pitch_logits=self.to_pitch(packed.data),
            pitches=pitches,
            bit_logits=self.duration(duration_context, bits),
            bits=bits,
        )

    def _contexts(self, latents: Tensor, read: Tensor, embedding: NoteEmbedding) -> Tensor:
        """What the GRU over notes is told at each position, (B, P, decoder_note_dim)."""
        written = self.reader(read[:, :-1], embedding)
        first = self.first_written.expand(len(latents), 1, -1)
        told = self.to_input(latents)[:, None].expand(-1, read.shape[1], -1)
        inputs = torch.cat((torch.cat((first, written), 1), told), 2)
        hidden, _ = self.over_positions(inputs, self.to_first_state(latents).tanh()[None])
        context: Tensor = self.to_context(hidden)
        return context

    def greedy(self, latents: Tensor, embedding: NoteEmbedding) -> Tensor:
        """Latents (B, D) -> the likeliest grid step by step, (B, P, N, 1 + bits)."""
        state = self.to_first_state(latents).tanh()[None]
        told = self.to_input(latents)
        written = self.first_written.expand(len(latents), -1)
        positions = []
        for _ in range(self.shape.num_positions):
            inputs = torch.cat((written, told), 1)[:, None]
            hidden, state = self.over_positions(inputs, state)
            positions.append(self._greedy_position(self.to_context(hidden[:, 0]), embedding))
            written = self.reader(positions[-1][:, None], embedding)[:, 0]
        return torch.stack(positions, 1)

    def _greedy_position(self, context: Tensor, embedding: NoteEmbedding) -> Tensor:
        """Context (B, decoder_note_dim) -> notes (B, N, 1 + bits) of one position.

        Pitches rise, as they do in every grid: only those above the last one may follow it.
        """
        notes = context.new_zeros((len(context), *self.shape.cells[1:]), dtype=torch.long)
        notes[..., 0] = END
        writing = torch.arange(len(context), device=context.device)
        last = torch.zeros_like(notes[:, 0])
        last[:, 0] = START
        state = context.tanh()
        for slot in range(self.shape.max_notes):
            inputs = torch.cat((embedding(last), context[writing]), 1)[:, None]
            hidden, following = self.over_notes(inputs, state[None])
            logits = self.to_pitch(hidden[:, 0])
            if slot:
                symbols = torch.arange(END + 1, device=context.device)
                logits = logits.masked_fill(symbols <= last[:, :1], -torch.inf)
            pitches = logits.argmax(-1)
            going_on = pitches != END
            writing, state, pitches = writing[going_on], following[0][going_on], pitches[going_on]
            if not len(writing):
                break
            duration_context = torch.cat((hidden[going_on, 0], embedding.pitch(pitches)), 1)
            last = torch.cat((pitches[:, None], self.duration.greedy(duration_context)), 1)
            notes[writing, slot] = last
        return notes


class PianoTreeVAE(nn.Module):
    """Encoder, posterior and decoder of grids."""

    def __init__(self, config: PianoTreeConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = NoteEmbedding(len(config.bit_weights), config.note_dim)
        self.reader = PositionReader(config.note_dim, config.position_dim)
        self.over_positions = nn.GRU(
            self.reader.dim, config.encoder_dim, batch_first=True, bidirectional=True
        )
        self.to_posterior = nn.Linear(2 * config.encoder_dim, 2 * config.latent_dim)
        self.decoder = PianoTreeDecoder(config)
        self._initialise()

    def _initialise(self) -> None:
        """Weights that carry notes as far as the latent; an unsure posterior at the start.

        By torch's own initialisation each of the nested GRUs shrinks what it is told: 20 random
        bars were still at a loss of 5.5 a note after 250 steps, with this one at 1.0.
        """
        for module in self.modules():
            if isinstance(module, nn.GRU):
                _initialise_gru(module)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.to_posterior.weight[self.config.latent_dim :].zero_()
            self.to_posterior.bias[self.config.latent_dim :].fill_(-4.0)

    def posterior(self, grid: Tensor) -> Posterior:
        """Grid (B, P, N, 1 + bits) -> posterior over latents (B, D), in fp32."""
        _, last = self.over_positions(self.reader(grid, self.embedding))
        values = self.to_posterior(last.transpose(0, 1).flatten(1)).float()
        mean, log_variance = values.chunk(2, -1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCE_RANGE))

    def decode(self, latents: Tensor, grid: Tensor, sampled_share: float = 0.0) -> DecoderOutput:
        """Teacher forcing with latents (B, D) and the right grid (B, P, N, 1 + bits).

        Args:
            latents: (B, D).
            grid: (B, P, N, 1 + bits).
            sampled_share: share of the notes that are read as the decoder would have written them.
        """
        # Cells beyond the fullest position of the batch cost time and say nothing.
        grid = grid[:, :, : max(1, int(num_notes(grid).max()))]
        read = self._sampled(latents, grid, sampled_share) if sampled_share else grid
        output: DecoderOutput = self.decoder(latents, grid, read, self.embedding)
        return output

    @torch.no_grad()
    def _sampled(self, latents: Tensor, grid: Tensor, share: float) -> Tensor:
        """The grid with a share of its notes as the decoder writes them after the true ones."""
        output = self.decoder(latents, grid, grid, self.embedding)
        is_note = output.pitches != END
        pitches = output.pitch_logits[is_note, :END].argmax(-1, keepdim=True)
        notes = torch.cat((pitches, (output.bit_logits > 0).long()), 1)
        chosen = torch.rand(len(notes), device=grid.device) < share
        width = grid.shape[2] + 1
        cells = output.cells[is_note]
        cells = cells // width * grid.shape[2] + cells % width
        read = grid.flatten(0, 2).clone()
        read[cells[chosen]] = notes[chosen]
        return read.view_as(grid)

    @torch.no_grad()
    def greedy(self, latents: Tensor) -> Tensor:
        """Latents (B, D) -> grids (B, P, N, 1 + bits); ends after at most P * N notes."""
        grid: Tensor = self.decoder.greedy(latents, self.embedding)
        return grid

    def reconstruction_loss(self, output: DecoderOutput) -> Tensor:
        """Cross-entropy of pitches and weighted bits, both a note.

        The sum over the batch is divided by the number of notes, so that a position's END has no
        more weight against a pitch than it has in the likelihood of a bar.
        """
        pitch = F.cross_entropy(output.pitch_logits.float(), output.pitches, reduction="sum")
        weights = output.bit_logits.new_tensor(self.config.bit_weights).float()
        duration = F.binary_cross_entropy_with_logits(
            output.bit_logits.float(), output.bits.float(), weight=weights, reduction="sum"
        )
        return (pitch + duration) / max(1, len(output.bits))
