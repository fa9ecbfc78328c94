"""Digest of the code a stage runs: its modules and the first-party modules they import.

The digest is taken from the syntax tree without positions and docstrings, so comments, layout and
documentation may change freely. Nothing is imported: files are found from the packages' folders.

A module's name is no part of it, so that files can move: the tree leaves out what first-party
modules are called, and which module an import leads to is told by that module's content. So are
the order of imports that stand together, packages that hold nothing but a docstring, and what
stands below `if TYPE_CHECKING:`, which never runs. (Names are seen where code spells them out:
`import a.b` without `as`, and then `a.b.c`.)

Not followed: modules started by name in another process (list them), imports whose name is
computed, and *leaves*, modules of which the caller says that they cannot decide a result.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from storage.errors import UnresolvedCode
from storage.fingerprint import digest_json
from storage.module_code import ImportedNames, ModuleCode, RelativeImportError
from storage.module_code_cache import cached_module_code

FIRST_PARTY_ROOTS = ("tasks", "phrase_models", "storage")
WIRING = "(which module each import leads to)"
"""Stands beside the modules' names in `code_components`."""


@dataclass(frozen=True, slots=True)
class CodeScope:
    """Which modules are looked at, and where.

    Attributes:
        roots: top-level packages that count as first-party.
        leaves: dotted names of modules that cannot decide a result, and of packages of them.
        folder: that holds the packages; None takes those that Python would import.
    """

    roots: tuple[str, ...] = FIRST_PARTY_ROOTS
    leaves: tuple[str, ...] = ()
    folder: Path | None = None

    def is_leaf(self, name: str) -> bool:
        """Whether a module is one of the leaves, or in a package of them."""
        return any(name == leaf or name.startswith(f"{leaf}.") for leaf in self.leaves)

    def source_path(self, name: str) -> Path | None:
        """The file of a module, if there is one."""
        return _source_path(name, self.folder)

    def read(self, name: str) -> ModuleCode:
        """The code of a module.

        Raises:
            UnresolvedCode: if it has no source file, or one that cannot be followed.
        """
        path = self.source_path(name)
        if path is None:
            raise UnresolvedCode(
                f"Module {name} has no source file: correct the import or the stage's module list."
            )
        return _read_module(path, self.roots)

    def reached(self, names: ImportedNames) -> Iterator[str]:
        """The modules that an import runs, without leaves; packages before what is in them."""
        for name in names.modules:
            if not self.is_leaf(name):
                yield from _with_packages(name)
        for name in names.members:
            if not self.is_leaf(name) and self.source_path(name) is not None:
                yield from _with_packages(name)


def code_digest(modules: Sequence[str], scope: CodeScope | None = None) -> str:
    """One digest over modules and everything first-party they import, at any depth.

    Args:
        modules: dotted names, such as "tasks.stages.encode_latents".
        scope: what is followed.

    Returns:
        64 hexadecimal digits; the same however the modules are called.

    Raises:
        UnresolvedCode: if a module has no source file, or uses a relative import.
    """
    return digest_json(content_digests(code_components(modules, scope)))


def content_digests(components: Mapping[str, str]) -> list[str]:
    """What of `code_components` counts towards a key: the contents, whatever they are called."""
    return sorted(components.values())


def code_components(modules: Sequence[str], scope: CodeScope | None = None) -> dict[str, str]:
    """The parts of `code_digest`: module name to digest, sorted by name, and `WIRING`.

    Modules that hold nothing but docstrings are left out.
    """
    scope = scope or CodeScope()
    found: dict[str, ModuleCode] = {}
    waiting = [name for module in modules for name in _with_packages(module)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = scope.read(name)
            waiting.extend(
                reached for item in found[name].imports for reached in scope.reached(item)
            )
    said = {name: code for name, code in found.items() if not code.empty}
    digests = {name: said[name].digest for name in sorted(said)}
    return digests | {WIRING: digest_json(_wiring(said, scope))}


def _wiring(found: Mapping[str, ModuleCode], scope: CodeScope) -> list[list[Any]]:
    """Of every import of every module: by content, who imports what from whom."""
    lines = [
        [
            code.digest,
            names.text,
            [found[name].digest for name in scope.reached(names) if name in found],
        ]
        for code in found.values()
        for names in code.imports
    ]
    return sorted(line for line in lines if line[-1])


def _with_packages(name: str) -> Iterator[str]:
    """`a.b.c` runs `a` and `a.b` first."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


@cache
def _package_folders(root: str, folder: Path | None) -> tuple[Path, ...]:
    if folder is not None:
        return (folder / root,)
    # find_spec of a top-level name does not execute the package.
    spec = importlib.util.find_spec(root)
    if spec is None or spec.submodule_search_locations is None:
        return ()
    return tuple(Path(location) for location in spec.submodule_search_locations)


@cache
def _source_path(name: str, folder: Path | None) -> Path | None:
    root, *parts = name.split(".")
    for package in _package_folders(root, folder):
        base = package.joinpath(*parts)
        candidates = [base / "__init__.py"]
        if parts:
            candidates.append(base.with_name(f"{base.name}.py"))
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    return None


@cache
def _read_module(path: Path, roots: tuple[str, ...]) -> ModuleCode:
    """Each file once in a process, which runs the code as it was when it started."""
    try:
        return cached_module_code(path, roots)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UnresolvedCode(f"{path} is not valid Python: {error}.") from error
    except RelativeImportError as error:
        raise UnresolvedCode(
            f"{path} uses a relative import in line {error}: write the full module name."
        ) from error
