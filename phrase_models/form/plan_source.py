"""Where what a request leaves open of a plan is taken from."""

from typing import Literal

PlanSource = Literal["training", "lent", "drawn"]
"""All of it of one training song; or sections by the prior of layouts, and the rest of a training
song of similar sections, fitted to them; or sections and form by the priors, and chords and texture
of such a song."""
