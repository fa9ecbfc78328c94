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

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from storage.errors import UnresolvedCode
from storage.fingerprint import digest_json

FIRST_PARTY_ROOTS = ("tasks", "phrase_models", "storage")
WIRING = "(which module each import leads to)"
"""Stands beside the modules' names in `code_components`."""


@dataclass(frozen=True, slots=True)
class ImportedNames:
    """One import statement or call of first-party modules.

    Attributes:
        text: the statement without the modules' names.
        modules: dotted names that must be modules.
        members: dotted names from `from a import b`, which may be modules or not.
    """

    text: str
    modules: tuple[str, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModuleCode:
    """What one source file says.

    Attributes:
        digest: of the syntax tree, without docstrings and first-party modules' names.
        imports: of first-party modules.
        empty: whether nothing but docstrings is there.
    """

    digest: str
    imports: tuple[ImportedNames, ...]
    empty: bool


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
        return _module_code(path.read_text(encoding="utf-8"), roots)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UnresolvedCode(f"{path} is not valid Python: {error}.") from error
    except _RelativeImportError as error:
        raise UnresolvedCode(
            f"{path} uses a relative import in line {error}: write the full module name."
        ) from error


class _RelativeImportError(Exception):
    """Carries the line."""


@cache
def _module_code(text: str, roots: tuple[str, ...]) -> ModuleCode:
    tree = ast.parse(text)
    imports: list[ImportedNames] = []
    for node in _executed_nodes(tree):
        names = _imported_names(node)
        modules = tuple(name for name in names.modules if _root(name) in roots)
        members = tuple(name for name in names.members if _root(name) in roots)
        if modules:
            imports.append(ImportedNames(_describe(node, roots), modules, members))
    digest = hashlib.sha256(_describe(tree, roots).encode("utf-8", "surrogatepass")).hexdigest()
    return ModuleCode(digest, tuple(imports), empty=not _statements(tree.body, roots))


def _root(name: str) -> str:
    return name.partition(".")[0]


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


def _imported_names(node: ast.AST) -> ImportedNames:
    """Of an import of any kind; no names for every other node."""
    if isinstance(node, ast.Import):
        return ImportedNames("", tuple(alias.name for alias in node.names))
    if isinstance(node, ast.ImportFrom):
        if node.level or node.module is None:
            raise _RelativeImportError(node.lineno)
        members = tuple(f"{node.module}.{alias.name}" for alias in node.names)
        return ImportedNames("", (node.module,), members)
    if isinstance(node, ast.Call) and (name := _name_of_import_call(node)):
        return ImportedNames("", (name,))
    return ImportedNames("", ())


def _name_of_import_call(node: ast.Call) -> str | None:
    """Of `importlib.import_module("a.b")` with the name written out."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in {"import_module", "__import__"} and node.args:
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return argument.value
    return None


def _describe(node: Any, roots: tuple[str, ...]) -> str:
    """The tree as text, without positions, docstrings, first-party modules' names, empty fields.

    Unlike `ast.dump`, empty fields are left out, so a field that a newer Python adds to the
    grammar does not change the digest of code that does not use it.
    """
    if isinstance(node, list):
        return f"[{','.join(_statements(node, roots))}]"
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    unnamed = _module_fields(node, roots)
    fields = (
        f"{name}={_describe(value, roots)}"
        for name, value in ast.iter_fields(node)
        if (value is not None or isinstance(node, ast.Constant))
        and value != []
        and name != "kind"
        and name not in unnamed
    )
    return f"{type(node).__name__}({','.join(fields)})"


def _module_fields(node: ast.AST, roots: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a node that name a first-party module and nothing that other code spells."""
    if isinstance(node, ast.ImportFrom) and node.module and _root(node.module) in roots:
        return ("module",)
    if isinstance(node, ast.alias) and node.asname and "." in node.name:  # of `import a.b as c`
        return ("name",) if _root(node.name) in roots else ()
    if isinstance(node, ast.Call):
        name = _name_of_import_call(node)
        return ("args",) if name and _root(name) in roots else ()
    return ()


def _statements(nodes: list[Any], roots: tuple[str, ...]) -> list[str]:
    """Items of a list described; imports that stand together in one order, dead code left out."""
    described: list[str] = []
    imports: list[str] = []
    for node in _live(nodes):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(_describe(node, roots))
        else:
            described += [*sorted(imports), _describe(node, roots)]
            imports = []
    return described + sorted(imports)


def _live(nodes: list[Any]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _live(node.orelse)
        elif not _is_docstring(node):
            yield node


def _is_docstring(node: Any) -> bool:
    """A bare string as a statement has no effect: docstrings of anything, attributes included."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
