"""A report as one HTML page that needs nothing but the pictures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from MgImplantSegLib.plain_text import html_text

STYLE = """
body { font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: 0.3rem 0.8rem; text-align: left; }
img { max-width: 100%; }
"""


@dataclass(frozen=True)
class Table:
    """A table with its title: header and rows of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class WebPage:
    """What a report holds, in the order in which it is shown."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[str] = field(default_factory=tuple)

    def html(self) -> str:
        """The page; all text is escaped."""
        parts = [f"<h1>{html_text(self.title)}</h1>"]
        parts += [f"<p>{html_text(text)}</p>" for text in self.paragraphs]
        parts += [_table(table) for table in self.tables]
        parts += [f'<p><img src="{html_text(name)}" alt="{html_text(name)}"></p>' for name in self.pictures]
        head = f'<meta charset="utf-8"><title>{html_text(self.title)}</title><style>{STYLE}</style>'
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _table(table: Table) -> str:
    header = "".join(f"<th>{html_text(cell)}</th>" for cell in table.header)
    rows = ("<tr>" + "".join(f"<td>{html_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{html_text(table.title)}</h2>\n<table><tr>{header}</tr>\n" + "\n".join(rows) + "</table>"
