"""Writes `code_map.md` from the docstrings of folders and modules: python docs/make_code_map.py."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("flows", "tasks", "phrase_models", "storage")
MAP = ROOT / "docs" / "code_map.md"
HEAD = """# Map of the code

Every folder and module with the first sentence of its docstring, written by
`docs/make_code_map.py`; a test holds it to the code.
"""


def first_sentence(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<! al)\. ", paragraph)[0].removesuffix(".")


def lines_of(folder: Path) -> Iterator[str]:
    """A heading for a folder, a line for each module in it, then its folders."""
    yield f"\n## {folder.relative_to(ROOT).as_posix()}/"
    yield f"\n{first_sentence(folder / '__init__.py')}.\n"
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    if modules:
        yield "| module | |"
        yield "|---|---|"
    for path in modules:
        yield f"| `{path.name}` | {first_sentence(path)} |"
    for inner in sorted(folder.iterdir()):
        if (inner / "__init__.py").exists():
            yield from lines_of(inner)


def code_map() -> str:
    """The whole page."""
    return HEAD + "\n".join(line for name in PACKAGES for line in lines_of(ROOT / name)) + "\n"


if __name__ == "__main__":
    MAP.write_text(code_map(), encoding="utf-8")
