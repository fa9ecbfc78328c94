"""A table of the report, as Markdown and as HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass

NOT_RUN = "*not run*"


@dataclass(frozen=True)
class ReportTable:
    """One table: its title, its header, its rows as text, and what to know to read it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Title, table and note."""
        lines = [self.header, tuple("---" for _ in self.header), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        note = f"\n\n{self.note}" if self.note else ""
        return f"### {self.title}\n\n{table}{note}"

    def html(self) -> str:
        """The same as elements of a page."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell.strip('*'))}</td>" for cell in line) + "</tr>"
            for line in self.rows
        )
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"<h2>{html.escape(self.title)}</h2><table><tr>{head}</tr>{rows}</table>{note}"
