"""An HTML page that needs nothing beside it: all text is escaped, pictures are part of the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from MgImplantSegLib.base.plain_text import html_text

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
NUMBERS = re.compile(r"[-+<–\d](?:[-+.,\d\s±\[\]e%–<]|to)*")
STYLE = """
:root { color-scheme: light; }
body { font-family: system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c;
  line-height: 1.45; overflow-wrap: break-word; }
nav a { margin-right: 1rem; white-space: nowrap; }
h2 { border-bottom: 2px solid #ddd; padding-bottom: 0.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.6rem 0 1rem; font-size: 0.85rem; }
caption { text-align: left; font-weight: bold; padding: 0.4rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: 0.2rem 0.45rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0.5rem 0; flex: 1 1 22rem; min-width: 0; }
img { max-width: 100%; height: auto; }
figcaption { font-size: 0.85rem; color: #444; }
code { background: #f3f3f3; padding: 0.1rem 0.3rem; overflow-wrap: anywhere; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure { flex: 0 1 48%; }
  figure, tr { break-inside: avoid; } .wide { overflow-x: visible; } table { font-size: 8pt; } a { color: inherit; } }
"""


class Element(Protocol):
    """A part of a page."""

    def html(self) -> str:
        """Its HTML; all text is escaped."""


@dataclass(frozen=True)
class Heading:
    """A heading; with an anchor it is one of those at the top of the page, without one a smaller one."""

    text: str
    anchor: str = ""

    def html(self) -> str:
        """The heading."""
        if self.anchor:
            return f'<h2 id="{html_text(self.anchor)}">{html_text(self.text)}</h2>'
        return f"<h3>{html_text(self.text)}</h3>"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str

    def html(self) -> str:
        """The paragraph."""
        return f"<p>{html_text(self.text)}</p>"


@dataclass(frozen=True)
class Lines:
    """A list; as `code` words of a command line."""

    texts: Sequence[str]
    code: bool = False

    def html(self) -> str:
        """The list."""
        inner = (f"<code>{html_text(text)}</code>" if self.code else html_text(text) for text in self.texts)
        return "<ul>" + "".join(f"<li>{text}</li>" for text in inner) + "</ul>"


@dataclass(frozen=True)
class Links:
    """Files beside the page: folder and names, with what is in them."""

    folder: str
    names: Sequence[str]

    def html(self) -> str:
        """The links."""
        entries = (f'<li><a href="{self._address(name)}">{html_text(name)}</a></li>' for name in self.names)
        return f"<ul>{''.join(entries)}</ul>"

    def _address(self, name: str) -> str:
        return html_text(quote(f"{self.folder}/{name}", errors="surrogateescape"))


@dataclass(frozen=True)
class Table:
    """A table with its title: header and rows of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        """The table; it can be moved to the side where it is wider than the page."""
        header = "".join(f'<th scope="col">{html_text(cell)}</th>' for cell in self.header)
        rows = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in self.rows)
        head = f"<caption>{html_text(self.title)}</caption><thead><tr>{header}</tr></thead>"
        return f'<div class="wide"><table>{head}\n<tbody>{rows}</tbody></table></div>'


@dataclass(frozen=True)
class Picture:
    """A picture as part of the page: its bytes and their kind, ``image/png``."""

    content: bytes
    kind: str
    caption: str

    def html(self) -> str:
        """The picture with its caption."""
        data = base64.b64encode(self.content).decode("ascii")
        shown = html_text(self.caption)
        image = f'<img src="data:{html_text(self.kind)};base64,{data}" alt="{shown}">'
        return f"<figure>{image}<figcaption>{shown}</figcaption></figure>"


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side where there is room."""

    pictures: Sequence[Picture]

    def html(self) -> str:
        """The pictures."""
        return f'<div class="pictures">{"".join(picture.html() for picture in self.pictures)}</div>'


@dataclass(frozen=True)
class WebPage:
    """A page of elements in the order in which they are shown; nothing is loaded from elsewhere."""

    title: str
    elements: Sequence[Element] = field(default_factory=tuple)

    def html(self) -> str:
        """The page."""
        title = html_text(self.title)
        anchors = [element for element in self.elements if isinstance(element, Heading) and element.anchor]
        links = " ".join(f'<a href="#{html_text(entry.anchor)}">{html_text(entry.text)}</a>' for entry in anchors)
        parts = [f"<h1>{title}</h1>", *([f"<nav>{links}</nav>"] if len(anchors) > 1 else [])]
        parts += [element.html() for element in self.elements]
        policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
        head = f'<meta charset="utf-8">{policy}{view}<title>{title}</title><style>{STYLE}</style>'
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _cell(text: str) -> str:
    shown = html_text(text)
    return f'<td class="number">{shown}</td>' if NUMBERS.fullmatch(text) else f"<td>{shown}</td>"
