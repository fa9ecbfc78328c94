"""Errors of the store: each message is one plain sentence: what is wrong, where, and the cure."""

# Named for what is wrong, as users read them in a traceback.
# ruff: noqa: N818


class StorageError(Exception):
    """Something on the disk that cannot be used; the command line prints the message."""


class MissingArtifact(StorageError):
    """A file, table or artifact that should be there and is not."""


class DamagedArtifact(StorageError):
    """A committed artifact whose files are not what its manifest says."""


class NonFinite(StorageError):
    """A result with a weight or training figure that is nan or infinite."""


class NothingToAccept(StorageError):
    """No artifact differs from the one wanted in its code alone."""


class NewerSchema(StorageError):
    """A store, manifest, table or latents file written by a newer version of the program."""


class SchemaMismatch(StorageError):
    """Rows or files whose columns, types or shapes are not those of the schema."""


class UnresolvedCode(StorageError):
    """Source code whose imports cannot be followed, so that its digest would be a guess."""


class NotWritable(StorageError):
    """A folder that may not be written."""


class UnusablePath(StorageError):
    """A path that this computer's files cannot have."""


class NotReadable(StorageError):
    """A file that this user may not read."""

    def __init__(self, path: object) -> None:
        super().__init__(
            f"You may not open {path}: ask whoever made it to share it, with `chmod -R g+rX` on "
            "the store's folder, or name another."
        )


class StoreUnreachable(StorageError):
    """A shared store that does not answer; it may later."""


class StoreRefused(StorageError):
    """A shared store that refuses access, or is not there."""


class DiskFull(StorageError):
    """No space left on the device, or the quota is used up."""
