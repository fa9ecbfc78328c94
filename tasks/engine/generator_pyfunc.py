"""The generator as MLflow serves it: this file goes along with the weights and runs beside them.

It needs `phrase_models` alone, whose code goes along, too. A row of the input is a song to write,
by its number; what it shall be is said by parameters, which mean what the options of `phraseldm
generate` mean: the same seed and number give the same file, byte for byte.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Read when torch is loaded: beside other programs threads that spin make a song ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from phrase_models.diffusion.pretrained import EMPTY_SLOTS_FILE
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import UserError
from phrase_models.form.form_text import layout_of_headings, parse_form
from phrase_models.form.texture_text import parse_texture
from phrase_models.generator import SongRequest, request_from_layout
from phrase_models.phrase_ldm import LDM_FOLDER, PhraseLDMGenerator, release_sampler
from phrase_models.request_text import chords_of_text
from phrase_models.score.key_names import semitones_to
from phrase_models.song_batch import midi_path, write_song

MAX_SONGS = 64
"""Of one call: some minutes on a slow machine."""
SAMPLING = {"steps": "num_sampling_steps", "guidance": "guidance_scale"}


class SongModel(mlflow.pyfunc.PythonModel):
    """PhraseVAE and PhraseLDM; see the module."""

    def load_context(self, context: Any) -> None:
        """Read the weights.

        Args:
            context: of MLflow; its artifact `models` is the folder of a release, and its
                configuration may have the `digest` that songs name their model by.
        """
        self.folder = Path(context.artifacts["models"])
        self.usual = release_sampler(self.folder)
        self.generator = PhraseLDMGenerator.from_pretrained(self.folder, self.usual)
        self.generator.digest = context.model_config.get("digest") or self.generator.digest

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """The songs as a table of `song`, `midi_base64`, `num_bars`, `num_notes` and `sections`.

        Type hints on the input would replace the signature, and drop the parameters.

        Args:
            context: of MLflow.
            model_input: table with a column `song`, the numbers of the songs.
            params: see `signature` of `model_registry`.

        Raises:
            MlflowException: for a request that cannot be met, with a sentence that says why.
        """
        try:
            return self._songs([int(number) for number in model_input["song"]], params or {})
        except (UserError, ValueError, KeyError) as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def _songs(self, numbers: list[int], params: Mapping[str, Any]) -> Any:
        if len(numbers) > MAX_SONGS or any(number < 0 for number in numbers):
            message = f"At most {MAX_SONGS} songs are written at once, of numbers from 0 on."
            raise ValueError(message)
        semitones = semitones_to(params.get("key") or "C")
        request = self._request(params, semitones)
        self.generator.sampler = self._sampler(params)
        self.generator.check(request)
        seed = int(params.get("seed") or 0)
        return pd.DataFrame([self._song(request, seed, number, semitones) for number in numbers])

    def _request(self, params: Mapping[str, Any], semitones: int) -> SongRequest:
        form, texture = params.get("form"), params.get("texture")
        layouts = (layout_of_headings(words) for words in (form, texture) if words)
        sections = params.get("sections") or next(filter(None, layouts), None)
        request = request_from_layout(
            sections,
            params.get("num_bars"),
            float(params.get("tempo") or 90.0),
            form=parse_form(form) if form else None,
            chords=chords_of_text(params.get("chords"), semitones),
            variation=float(params.get("variation") or 0.0),
        )
        return replace(
            request,
            texture=parse_texture(texture) if texture else None,
            plans=params.get("plans") or None,
        )

    def _sampler(self, params: Mapping[str, Any]) -> SamplerConfig:
        chosen = {
            field: params[name] for name, field in SAMPLING.items() if params.get(name) is not None
        }
        writes_silence = params.get("form") or params.get("texture")
        if writes_silence and (self.folder / LDM_FOLDER / EMPTY_SLOTS_FILE).exists():
            chosen["force_silence"] = True
        return SamplerConfig.model_validate(self.usual.model_dump() | chosen)

    def _song(self, request: SongRequest, seed: int, number: int, semitones: int) -> dict[str, Any]:
        song = self.generator.generate(request, seed, number)
        with TemporaryDirectory() as folder:
            write_song(song, semitones, Path(folder))
            content = midi_path(Path(folder), song.name).read_bytes()
        return {
            "song": number,
            "midi_base64": base64.b64encode(content).decode(),
            "num_bars": song.song.num_bars,
            "num_notes": song.song.num_notes,
            "sections": song.request.section_layout,
        }


mlflow.models.set_model(SongModel())
