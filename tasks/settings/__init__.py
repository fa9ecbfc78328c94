"""The configuration of a whole pipeline, and its named presets."""
