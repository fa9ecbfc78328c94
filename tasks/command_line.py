"""What every word of a command line has to be, looked at in one place before a command starts."""

import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from phrase_models.errors import ConfigurationError
from storage.paths import check_local_path
from tasks.errors import plain_reason

MAX_WORD_LENGTH = 10_000
"""Characters of one argument: five times the chords of the longest song."""
MAX_SHOWN_LENGTH = 300
MAX_SENTENCE_LENGTH = 1500
_LONG_WORD = re.compile(rf"\S{{{MAX_SHOWN_LENGTH},}}")


class CommandLine(typer.Typer):
    """A Typer application whose commands refuse, in one sentence, what makes no sense anywhere.

    That is: empty and endless words, numbers that are not finite, addresses in place of paths,
    paths that the system cannot have, and whatever Typer itself refuses.
    """

    def command(  # type: ignore[override]
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """As in Typer, with the checks."""
        return super().command(name, cls=CheckedCommand, **settings)


class CheckedCommand(TyperCommand):
    """A command whose arguments are looked at before it runs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Typer's parsing, between the checks of words and of values."""
        _check_words(args)
        with _refusing_in_a_sentence(ctx):
            rest = super().parse_args(ctx, args)
        for parameter in self.params:
            if parameter.name is not None:
                _check_value(parameter.opts[0], ctx.params.get(parameter.name))
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Typer's; what the command itself says of an option is one sentence, too."""
        with _refusing_in_a_sentence(ctx):
            return super().invoke(ctx)


class CheckedGroup(TyperGroup):
    """A group that names what it does not know in one sentence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer's; without any argument it shows its help."""
        if not args:
            return super().parse_args(ctx, args)
        with _refusing_in_a_sentence(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's."""
        with _refusing_in_a_sentence(ctx):
            return super().resolve_command(ctx, args)


@contextmanager
def _refusing_in_a_sentence(ctx: Any) -> Iterator[None]:
    """Typer's complaints, which fill a frame, as a sentence that says where to look."""
    try:
        yield
    except typer.TyperException as error:
        option, colon, reason = error.format_message().partition(": ")
        said = f"{option}{colon}{plain_reason(reason)}" if colon else option.rstrip(". ")
        message = f"{said}; see `{ctx.command_path} --help`."
        raise ConfigurationError(shortened(message)) from error


def _check_words(words: Sequence[str]) -> None:
    before = ""
    for word in words:
        name, equals, value = word.partition("=")
        if not word or (equals and not value and name.startswith("--")):
            option = name if equals else before if before.startswith("-") else ""
            what = f"What {option} is given" if option else "An argument"
            message = f"{what} is empty; write a value, or leave it out."
            raise ConfigurationError(message)
        if len(word) > MAX_WORD_LENGTH:
            message = (
                f"An argument is {len(word):,} characters long, and at most {MAX_WORD_LENGTH:,} "
                f"are read: {word[:40]!r}..."
            )
            raise ConfigurationError(message)
        before = word


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, list | tuple):
        for item in value:
            _check_value(name, item)
    elif isinstance(value, Path):
        check_local_path(value)
    elif isinstance(value, float) and not math.isfinite(value):
        message = f"{name} is {value}; it must be a finite number."
        raise ConfigurationError(message)


def shortened(sentence: str) -> str:
    """A sentence cut where it repeats what is endless, such as a number of 5,000 digits."""
    cut = _LONG_WORD.sub(lambda word: f"{word[0][:60]}... ({len(word[0]):,} characters)", sentence)
    return cut if len(cut) <= MAX_SENTENCE_LENGTH else f"{cut[:MAX_SENTENCE_LENGTH]}..."


def write_utf8() -> None:
    """Make the program's own output UTF-8, whatever the locale says.

    What cannot be encoded, as in names of files from another system, is shown by its codes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
