"""Ways to damage a file, by chance and by its structure; the same random generator gives the same damage."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD = re.compile(rb"[A-Za-z_]{2,}")
NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"2",
    b"7",
    b"65536",
    b"2147483648",
    b"-2147483649",
    b"4294967296",
    b"18446744073709551616",
)
NUMBERS += (
    b"9" * 40,
    b"1" * 5000,
    b"0.5",
    b"1e308",
    b"1e400",
    b"-1e-320",
    b"nan",
    b"inf",
    b"-inf",
    b"0x10",
    b"1_0",
    b"",
    b"x",
)
INTEGERS = (0, 1, -1, 2, 255, 256, 0x7FFF, -0x8000, 0x7FFFFFFF, -0x80000000, 0x7FFFFFFFFFFFFFFF)
HEADER_BYTES = 512
MOST_CHANGES = 4
DEEP = 3000
VALUES = (
    None,
    True,
    0,
    -1,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x" * 3000,
    "\ud800",
    "../../etc",
    [],
    {},
    [[]],
)

Mutation = Callable[[bytes, Random], bytes]


def damaged(content: bytes, random: Random, kind: str) -> bytes:
    """The content with one to four changes that fit its kind: text, json, zip, gzip or binary."""
    wrapped = WRAPPED.get(kind)
    if wrapped is not None and random.random() < 0.7:
        return wrapped(content, random)
    for _ in range(random.randint(1, MOST_CHANGES)):
        content = random.choice(OF_KIND.get(kind, BINARY))(content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    """A position, in the header as often as behind it."""
    end = min(len(content), HEADER_BYTES) if random.random() < 0.6 else len(content)
    return random.randrange(end) if end else 0


def _flip_bit(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :] if content else content


def _set_byte(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))]) + content[at + 1 :]


def _set_integer(content: bytes, random: Random) -> bytes:
    size = random.choice((2, 4, 8))
    at = _place(content, random) // 2 * 2
    value = random.choice(INTEGERS) & (1 << 8 * size) - 1
    return content[:at] + value.to_bytes(size, random.choice(("little", "big"))) + content[at + size :]


def _set_float(content: bytes, random: Random) -> bytes:
    at = _place(content, random) // 4 * 4
    value = random.choice((float("nan"), float("inf"), -1.0, 0.0, 1e38, 1e-40))
    return content[:at] + struct.pack(random.choice("<>") + "f", value) + content[at + 4 :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _remove(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    return content[:at] + content[at + random.choice((1, 2, 4, 16, 200)) :]


def _repeat(content: bytes, random: Random) -> bytes:
    at = _place(content, random)
    piece = content[at : at + random.choice((1, 8, 64))]
    return content[:at] + piece * random.choice((2, 3, 50)) + content[at:]


def _move(content: bytes, random: Random) -> bytes:
    source, target, size = _place(content, random), _place(content, random), random.choice((4, 12, 64))
    return content[:target] + content[source : source + size] + content[target + size :]


def _number(content: bytes, random: Random) -> bytes:
    return _replaced(
        content, NUMBER, random, lambda old: random.choice((*NUMBERS, b"-" + old, old + b"0", old + b" " + old))
    )


def _word(content: bytes, random: Random) -> bytes:
    words = WORD.findall(content[: 8 * HEADER_BYTES]) or [b"x"]
    return _replaced(
        content, WORD, random, lambda old: random.choice((random.choice(words), old.swapcase(), old[:-1], b""))
    )


def _replaced(content: bytes, pattern: re.Pattern[bytes], random: Random, new: Callable[[bytes], bytes]) -> bytes:
    found = list(pattern.finditer(content[: 8 * HEADER_BYTES]))
    if not found:
        return content
    match = random.choice(found)
    return content[: match.start()] + new(match.group()) + content[match.end() :]


def _lines(content: bytes, random: Random) -> bytes:
    """A line left out, doubled, at another place, made long, or of odd characters."""
    head, rest = content[: 8 * HEADER_BYTES], content[8 * HEADER_BYTES :]
    lines = head.split(b"\n")
    at, line = random.randrange(len(lines)), random.choice(lines)
    odd = (
        line,
        line * 2,
        b"",
        b"#",
        b"\xff\xfe",
        b"\0",
        b"\xef\xbb\xbf" + line,
        line + b"\r",
        b"a" * 20000,
        line.replace(b" ", b"\t"),
    )
    lines[at : at + random.choice((0, 1, 1, 2))] = [random.choice(odd)]
    return b"\n".join(lines) + rest


def _nested(content: bytes, random: Random) -> bytes:
    opened = random.choice((b"[", b"{", b"(", b'{"a":', b"[["))
    at = _place(content, random)
    return content[:at] + opened * DEEP + content[at:]


def _json_tree(content: bytes, random: Random) -> bytes:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):  # damaged before, perhaps by deep nesting
        return _number(content, random)
    for _ in range(random.randint(1, MOST_CHANGES)):
        tree = _changed_tree(tree, random)
    return json.dumps(tree).encode()


def _changed_tree(tree: Any, random: Random) -> Any:
    """The tree with one node at any depth left out or replaced by something else."""
    if not isinstance(tree, (dict, list)) or not tree or random.random() < 0.15:
        if isinstance(tree, float) and random.random() < 0.3:
            return tree * random.choice((-1, 0, 1e6, 1e-9))
        return random.choice(VALUES)
    key = random.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
    changed = tree.copy()
    choice = random.random()
    if choice < 0.15:
        del changed[key]
    elif choice < 0.25 and isinstance(tree, dict):
        changed[random.choice((key + " ", key.upper(), "unknown", ""))] = changed.pop(key)
    elif choice < 0.3 and isinstance(tree, list):
        changed.append(changed[key])
    else:
        changed[key] = _changed_tree(changed[key], random)
    return changed


def _zip_member(content: bytes, random: Random) -> bytes:
    """A zip file with one member left out, renamed or damaged by its own kind."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError):
        return _flip_bit(content, random)
    at = random.randrange(len(members))
    name, inner = members[at]
    action = random.random()
    if action < 0.1:
        del members[at]
    elif action < 0.2:
        members[at] = (name + "x", inner)
    elif action < 0.25:
        members.append(members[at])
    else:
        members[at] = (name, damaged(inner, random, "json" if inner[:1] == b"{" else "binary"))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, inner in members:
            archive.writestr(name, inner)
    return target.getvalue()


def _gzip_inside(content: bytes, random: Random) -> bytes:
    """A gzip stream whose plain bytes are damaged; of NRRD only the header is plain."""
    try:
        inner = gzip.decompress(content)
    except (OSError, EOFError, ValueError):
        return _flip_bit(content, random)
    return gzip.compress(damaged(inner, random, "binary"), 1)


BINARY: tuple[Mutation, ...] = (
    _flip_bit,
    _set_byte,
    _set_integer,
    _set_integer,
    _set_float,
    _cut,
    _remove,
    _repeat,
    _move,
)
TEXT: tuple[Mutation, ...] = (
    _number,
    _number,
    _number,
    _word,
    _lines,
    _lines,
    _flip_bit,
    _cut,
    _remove,
    _repeat,
    _nested,
)
OF_KIND = {"binary": BINARY, "text": TEXT, "json": (*TEXT, _json_tree), "mixed": (*TEXT, *BINARY)}
WRAPPED: dict[str, Mutation] = {"zip": _zip_member, "gzip": _gzip_inside, "json": _json_tree}
