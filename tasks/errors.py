"""Which errors are the user's to mend, whatever layer they come from."""

import re

from phrase_models.errors import UserError
from storage.errors import NotReadable, StorageError

_WORDS = {
    r"[Ii]nput should( be)?": r"it must\1",
    r"a valid integer\b.*": "a whole number",
    r"a valid number\b.*": "a number",
    r"a valid boolean\b.*": "true or false",
    r"[Uu]nable to parse input string as an integer.*": "it must be a whole number, and smaller",
    r"[Ee]xtra inputs are not permitted": "there is no such setting",
    r"^Value error, ": "",
}


def plain_reason(reason: str) -> str:
    """What a library says of a value, in the words of this program, to go on a sentence with."""
    for pattern, words in _WORDS.items():
        reason = re.sub(pattern, words, reason)
    return f"{reason[:1].lower()}{reason[1:]}".rstrip(". ")


def plain_sentence(error: BaseException) -> str | None:
    """The one sentence to show for an error, or None where it is a fault of the program."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, UserError | StorageError):
            return str(found)
        if isinstance(found, PermissionError) and found.filename:
            return str(NotReadable(found.filename))
        found = found.__cause__ or found.__context__
    return None
