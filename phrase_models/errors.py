"""Errors a user can act on: each message is one plain sentence saying what is wrong and where."""


class UserError(Exception):
    """Bad input or configuration; the command line prints the message and exits with code 2."""


class BadMidiError(UserError):
    """A MIDI file that cannot be read or holds nothing to read."""


class BadAnnotationError(UserError):
    """An annotation file of a song that is missing or malformed."""


class DivergedError(UserError):
    """A training whose loss, gradient, weights or validation score are no longer finite."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(
            f"Training diverged at step {step}: {what}. Try a lower learning rate, a longer "
            "warm-up or precision fp32."
        )


class ConfigurationError(UserError):
    """A configuration, or a request, that cannot be met."""
