"""The norm's own backward pass against torch's composed one."""

import torch
import torch.nn.functional as F

from phrase_models.vae.rms_norm import rms_norm


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def test_values_and_both_gradients_are_those_of_the_composed_norm():
    hidden, weight, upstream = random(3, 5, 7), random(7), random(3, 5, 7).detach()
    results = []
    for norm in (rms_norm, lambda h, w, e: F.rms_norm(h, w.shape, w, e)):
        value = norm(hidden, weight, 1e-6)
        results.append((value, *torch.autograd.grad(value, (hidden, weight), upstream)))
    for own, composed in zip(*results, strict=True):
        torch.testing.assert_close(own, composed, rtol=1e-12, atol=1e-12)


def test_a_large_epsilon_counts_in_the_gradient():
    hidden, weight = random(2, 4), random(4)
    assert torch.autograd.gradcheck(lambda h, w: rms_norm(h, w, 0.5), (hidden, weight))
