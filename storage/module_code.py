"""What one source file says that decides a result, from its syntax tree."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storage.fingerprint import digest_bytes

_IMPORT_CALLS = ("import_module", "__import__")
_STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What statements can be in."""


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


class RelativeImportError(Exception):
    """Carries the line."""


def module_code(text: str, roots: tuple[str, ...]) -> ModuleCode:
    """What a source file says.

    Args:
        text: of the file.
        roots: top-level packages that count as first-party.

    Raises:
        SyntaxError: if it is not Python.
        RelativeImportError: if it has a relative import.
    """
    tree = ast.parse(text)
    imports: list[ImportedNames] = []
    calls = any(name in text for name in _IMPORT_CALLS)
    for node in _executed_nodes(tree, expressions=calls):
        names = _imported_names(node)
        modules = tuple(name for name in names.modules if _root(name) in roots)
        members = tuple(name for name in names.members if _root(name) in roots)
        if modules:
            imports.append(ImportedNames(_describe(node, roots), modules, members))
    digest = digest_bytes(_describe(tree, roots).encode("utf-8", "surrogatepass"))
    return ModuleCode(digest, tuple(imports), empty=not any(_live(tree.body)))


def _root(name: str) -> str:
    return name.partition(".")[0]


def _executed_nodes(tree: ast.Module, *, expressions: bool) -> Iterator[ast.AST]:
    """Every statement but those below `if TYPE_CHECKING:`, whose imports never run.

    Args:
        tree: of a file.
        expressions: whether what is in the statements is looked at as well, which takes ten times
            as long.
    """
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting.extend(node.orelse)
        elif expressions:
            waiting.extend(ast.iter_child_nodes(node))
        else:
            waiting.extend(n for n in ast.iter_child_nodes(node) if isinstance(n, _STATEMENTS))


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def _imported_names(node: ast.AST) -> ImportedNames:
    """Of an import of any kind; no names for every other node."""
    if isinstance(node, ast.Import):
        return ImportedNames("", tuple(alias.name for alias in node.names))
    if isinstance(node, ast.ImportFrom):
        if node.level or node.module is None:
            raise RelativeImportError(node.lineno)
        members = tuple(f"{node.module}.{alias.name}" for alias in node.names)
        return ImportedNames("", (node.module,), members)
    if isinstance(node, ast.Call) and (name := _name_of_import_call(node)):
        return ImportedNames("", (name,))
    return ImportedNames("", ())


def _name_of_import_call(node: ast.Call) -> str | None:
    """Of `importlib.import_module("a.b")` with the name written out."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in _IMPORT_CALLS and node.args:
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
    kind = type(node)
    if not isinstance(node, ast.AST):
        return f"{kind.__name__}:{node!r}"
    unnamed = _module_fields(node, roots)
    is_constant = kind is ast.Constant
    fields = []
    for name in kind._fields:
        value = getattr(node, name, None)
        is_empty = (value is None and not is_constant) or (type(value) is list and not value)
        if not is_empty and name != "kind" and name not in unnamed:
            fields.append(f"{name}={_describe(value, roots)}")
    return f"{kind.__name__}({','.join(fields)})"


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
