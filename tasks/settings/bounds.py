"""How large a setting may be: far above what anybody trains, far below what fills a memory.

The configurations know what is too small; what is too large for any computer is known here, for all
of them, so that it is refused before the first song is read.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from phrase_models.errors import ConfigurationError

LARGEST = {
    **dict.fromkeys(("num_layers", "num_encoder_layers", "num_decoder_layers"), 512),
    **dict.fromkeys(("num_heads", "num_chords", "max_notes"), 4096),
    **dict.fromkeys(("num_bars", "min_bars", "max_bars", "bar_lags"), 2000),
    **dict.fromkeys(("max_songs", "num_reference_songs", "num_floor_songs"), 1_000_000),
    "num_held_out_songs": 1_000_000,
    "num_songs": 100_000,
    "batch_size": 10_000_000,
    "num_timesteps": 100_000,
    "num_sampling_steps": 10_000,
    "guidance_scale": 100,
    "audio_seconds": 3600,
}
"""By the last part of a setting's name."""
LARGEST_WIDTH = 65_536
"""Of every setting whose name ends in `_dim`."""
LARGEST_NUMBER = 2**63 - 1
MAX_WEIGHTS = 4_000_000_000
"""Of one network."""


def check_bounds(settings: Mapping[str, Any]) -> None:
    """See that every number of a configuration is finite, and no size beyond all computers.

    Args:
        settings: of the whole pipeline, section by section.

    Raises:
        ConfigurationError: naming the first that does not do.
    """
    for name, number in _numbers(settings):
        if not math.isfinite(number):
            message = f"Setting {name} = {number} does not do: it must be a finite number."
            raise ConfigurationError(message)
        largest = _largest(name.rpartition(".")[2])
        if abs(number) > largest:
            message = f"Setting {name} = {number} does not do: it must be at most {largest:,}."
            raise ConfigurationError(message)
    vae, denoiser = settings["vae"], settings["denoiser"]
    for section, weights in (
        ("vae", _layer_weights(vae) * (vae["num_encoder_layers"] + 2 * vae["num_decoder_layers"])),
        ("denoiser", _layer_weights(denoiser) * denoiser["num_layers"]),
    ):
        if weights > MAX_WEIGHTS:
            message = (
                f"The network of section {section} would have over {weights:,} weights, and at "
                f"most {MAX_WEIGHTS:,} can be trained: give it fewer or narrower layers."
            )
            raise ConfigurationError(message)


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _largest(field: str) -> int:
    return LARGEST.get(field, LARGEST_WIDTH if field.endswith("_dim") else LARGEST_NUMBER)


def _layer_weights(section: Mapping[str, Any]) -> int:
    """Weights of attention and feedforward of one layer, about."""
    width = section["model_dim"]
    inner = section["num_heads"] * section["head_dim"] if "head_dim" in section else width
    count: int = 4 * width * inner + 3 * width * section["feedforward_dim"]
    return count
