"""Our arithmetic over T5 weights against transformers' own forward pass."""

import torch
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration

from phrase_models.tokens import vocabulary
from phrase_models.vae import decoder_step, t5_stack
from phrase_models.vae.config import VAEConfig
from phrase_models.vae.model import PhraseVAE

CONFIG = VAEConfig(
    model_dim=32,
    feedforward_dim=64,
    num_heads=3,
    head_dim=8,
    num_encoder_layers=2,
    num_decoder_layers=2,
    num_queries=4,
    latent_dim=8,
    dropout=0.1,
    max_tokens=40,
)


def make_vae() -> PhraseVAE:
    torch.manual_seed(0)
    vae = PhraseVAE(CONFIG).eval()
    with torch.no_grad():  # zero at the start, which would hide a wrong bias
        for stack in (vae.encoder, vae.decoder):
            stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_()
    return vae


def t5_config() -> T5Config:
    return T5Config(
        vocab_size=vocabulary.VOCABULARY_SIZE,
        d_model=32,
        d_ff=64,
        d_kv=8,
        num_heads=3,
        num_layers=2,
        num_decoder_layers=2,
        tie_word_embeddings=False,
        pad_token_id=vocabulary.PAD,
    )


def random_tokens(batch: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    first, last = vocabulary.FIRST_PROGRAM, vocabulary.VOCABULARY_SIZE
    return torch.randint(first, last, (batch, length), generator=generator)


def test_encoder_and_decoder_equal_transformers_with_the_same_weights():
    vae = make_vae()
    theirs = T5ForConditionalGeneration(t5_config()).eval()
    weights = {f"encoder.{k}": v for k, v in vae.encoder.state_dict().items()}
    weights |= {f"decoder.{k}": v for k, v in vae.decoder.state_dict().items()}
    for name in ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
        weights[name] = vae.embedding.weight.detach()
    weights["lm_head.weight"] = vae.embedding.weight.detach()
    theirs.load_state_dict(weights, strict=True)
    tokens, inputs = random_tokens(3, 11), random_tokens(3, 9)
    tokens[1, 7:] = vocabulary.PAD
    mask = tokens != vocabulary.PAD
    with torch.no_grad():
        hidden, our_mask = vae.encode_tokens(tokens)
        ours = vae.decode(inputs, hidden, our_mask)
        expected = theirs(
            input_ids=tokens, attention_mask=mask.long(), decoder_input_ids=inputs
        ).logits
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)


def test_padding_does_not_change_the_encoding():
    vae = make_vae()
    tokens = random_tokens(2, 10)
    padded = torch.cat((tokens, torch.full((2, 6), vocabulary.PAD)), 1)
    with torch.no_grad():
        torch.testing.assert_close(
            vae.posterior(tokens).mean, vae.posterior(padded).mean, atol=1e-6, rtol=1e-5
        )


def test_one_step_at_a_time_equals_the_whole_sequence():
    vae = make_vae()
    inputs = random_tokens(3, 12)
    memory = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = vae.decode(inputs, memory)
        products = decoder_step.StepProducts.of(vae.decoder, vae.output_weight)
        cache = decoder_step.DecoderCache.empty(vae.decoder, products, memory, 12)
        bias = t5_stack.position_bias(vae.decoder, 12, 12)
        steps = []
        for position in range(12):
            embedded = vae.embedding(inputs[:, position : position + 1])
            steps.append(decoder_step.decode_step(vae.decoder, embedded, bias, cache))
    torch.testing.assert_close(torch.stack(steps, 1), whole, atol=2e-5, rtol=1e-4)


def test_our_encoder_weights_load_into_transformers_by_name():
    vae = make_vae()
    names = set(T5EncoderModel(t5_config()).encoder.state_dict()) - {"embed_tokens.weight"}
    assert set(vae.encoder.state_dict()) == names
