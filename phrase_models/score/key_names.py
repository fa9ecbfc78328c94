"""Names of pitch classes and keys."""

from phrase_models.errors import ConfigurationError

PITCH_CLASSES = {
    "C": 0, "C#": 1, "Db": 1, "D": 2, "D#": 3, "Eb": 3, "E": 4, "F": 5, "F#": 6, "Gb": 6,
    "G": 7, "G#": 8, "Ab": 8, "A": 9, "A#": 10, "Bb": 10, "B": 11, "Cb": 11, "E#": 5, "B#": 0,
    "Fb": 4,
}  # fmt: skip


def key_name(semitones: int) -> str:
    """Major key so many semitones from C, with flats."""
    return next(
        name for name, step in PITCH_CLASSES.items() if step == semitones % 12 and "#" not in name
    )


def semitones_to(key: str) -> int:
    """Semitones from C major to a major key, -6..5, so that songs stay in their register.

    Raises:
        ConfigurationError: for a name that is no key.
    """
    name = key.strip().capitalize()
    if name not in PITCH_CLASSES:
        message = f"There is no major key {key!r}; there are {', '.join(PITCH_CLASSES)}."
        raise ConfigurationError(message)
    shift = PITCH_CLASSES[name]
    return shift - 12 if shift > 5 else shift


def relative_major(key: str) -> int:
    """Pitch class of the major key with the notes of a key such as "Bb", "Am" or "C#m".

    Raises:
        ConfigurationError: for a name that is no key.
    """
    text = key.strip()
    is_minor = text.endswith("m")
    name = text.removesuffix("m").capitalize()
    if name not in PITCH_CLASSES:
        message = f"There is no key {key!r}; write one such as C, Bb or F#m."
        raise ConfigurationError(message)
    return (PITCH_CLASSES[name] + 3 * is_minor) % 12
