"""Digest of the code a stage runs: its modules and every first-party module they import.

The digest is taken from the syntax tree without positions and docstrings, so comments, layout and
documentation may change freely. Nothing is imported: files are found from the packages' folders.
Not followed: modules started by name in another process (list them), imports whose name is
computed, and imports below `if TYPE_CHECKING:`, which never run.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from storage.errors import UnresolvedCode
from storage.fingerprint import digest_json

FIRST_PARTY_ROOTS = ("tasks", "phrase_models", "storage")


@dataclass(frozen=True, slots=True)
class ModuleCode:
    """What one source file says.

    Attributes:
        digest: of the syntax tree without docstrings.
        imports: dotted names that must be modules if first-party.
        members: dotted names from `from a import b`, which may be modules or not.
    """

    digest: str
    imports: frozenset[str]
    members: frozenset[str]


def code_digest(modules: Sequence[str], roots: Sequence[str] = FIRST_PARTY_ROOTS) -> str:
    """One digest over modules and everything first-party they import, at any depth.

    Args:
        modules: dotted names, such as "tasks.stages.encode_latents".
        roots: top-level packages that count as first-party.

    Returns:
        64 hexadecimal digits.

    Raises:
        UnresolvedCode: if a module has no source file, or uses a relative import.
    """
    return digest_json(code_components(modules, roots))


def code_components(
    modules: Sequence[str], roots: Sequence[str] = FIRST_PARTY_ROOTS
) -> dict[str, str]:
    """The parts of `code_digest`: module name to digest, sorted by name."""
    found: dict[str, str] = {}
    waiting = [name for module in modules for name in _with_packages(module)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _source_path(name)
        if path is None:
            raise UnresolvedCode(
                f"Module {name} has no source file: correct the import or the stage's module list."
            )
        code = _read_module(path)
        found[name] = code.digest
        waiting.extend(_first_party_imports(code, frozenset(roots)))
    return dict(sorted(found.items()))


def _first_party_imports(code: ModuleCode, roots: frozenset[str]) -> Iterator[str]:
    for name in code.imports:
        if name.partition(".")[0] in roots:
            yield from _with_packages(name)
    for name in code.members:
        if name.partition(".")[0] in roots and _source_path(name) is not None:
            yield name


def _with_packages(name: str) -> Iterator[str]:
    """`a.b.c` runs `a` and `a.b` first."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


@cache
def _package_folders(root: str) -> tuple[Path, ...]:
    # find_spec of a top-level name does not execute the package.
    spec = importlib.util.find_spec(root)
    if spec is None or spec.submodule_search_locations is None:
        return ()
    return tuple(Path(location) for location in spec.submodule_search_locations)


@cache
def _source_path(name: str) -> Path | None:
    root, *parts = name.split(".")
    for folder in _package_folders(root):
        base = folder.joinpath(*parts)
        candidates = [base / "__init__.py"]
        if parts:
            candidates.append(base.with_name(f"{base.name}.py"))
        for candidate in candidates:
            if candidate.is_file():
                return candidate
    return None


@cache
def _read_module(path: Path) -> ModuleCode:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UnresolvedCode(f"{path} is not valid Python: {error}.") from error
    imports: set[str] = set()
    members: set[str] = set()
    for node in _executed_nodes(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            _read_import_from(node, path, imports, members)
        elif isinstance(node, ast.Call):
            imports.update(_imported_by_call(node))
    digest = hashlib.sha256(_describe(tree).encode("utf-8", "surrogatepass")).hexdigest()
    return ModuleCode(digest, frozenset(imports), frozenset(members))


def _executed_nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but those below `if TYPE_CHECKING:`, whose imports never run."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _read_import_from(
    node: ast.ImportFrom, path: Path, imports: set[str], members: set[str]
) -> None:
    if node.level or node.module is None:
        raise UnresolvedCode(
            f"{path} uses a relative import in line {node.lineno}: write the full module name."
        )
    imports.add(node.module)
    members.update(f"{node.module}.{alias.name}" for alias in node.names)


def _imported_by_call(node: ast.Call) -> Iterator[str]:
    """`importlib.import_module("a.b")` with the name written out."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in {"import_module", "__import__"} and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _describe(node: Any) -> str:
    """The tree as text, without positions, docstrings and empty fields.

    Unlike `ast.dump`, empty fields are left out, so a field that a newer Python adds to the
    grammar does not change the digest of code that does not use it.
    """
    if isinstance(node, list):
        return f"[{','.join(_describe(item) for item in node if not _is_docstring(item))}]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    fields = (
        f"{name}={_describe(value)}"
        for name, value in ast.iter_fields(node)
        if (value is not None or isinstance(node, ast.Constant)) and value != [] and name != "kind"
    )
    return f"{type(node).__name__}({','.join(fields)})"


def _is_docstring(node: Any) -> bool:
    """A bare string as a statement has no effect: docstrings of anything, attributes included."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
