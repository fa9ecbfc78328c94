"""Which errors are the user's to mend, whatever layer they come from."""

from phrase_models.errors import UserError
from storage.errors import NotReadable, StorageError


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
