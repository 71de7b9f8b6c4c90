"""Turns bytes of other encodings into UTF-8, and tells when bytes are not UTF-8. Knows no file and no lines.

`--encoding` holds for all text that a command reads: one command reads one encoding (`read_as`).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from textkit.errors import UsageError, quoted

# Python's names for codecs that no file is encoded in: transformations, and notations of literals and host names.
_NO_FILES = {
    "idna",
    "punycode",
    "raw-unicode-escape",
    "unicode-escape",
    "raw_unicode_escape",
    "unicode_escape",
    "undefined",
}
_MARKED = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 4096  # bytes that are looked at
_FEWEST = 8  # bytes; in fewer, NULs say nothing
_SHARE, _FEW = 0.7, 0.1  # the least share of ASCII in UTF-16 or UTF-32 without a mark; see `foreign`
_chosen: list[str] = []


def checked(name: str) -> str:
    """Python's name for a text encoding. Raises UsageError for any other name."""
    try:
        found = codecs.lookup(name)
        codecs.getincrementaldecoder(name)("replace").decode(b"", True)
    except (LookupError, ValueError, AttributeError, TypeError, AssertionError):
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True) or found.name in _NO_FILES:
        raise UsageError(
            f"--encoding {quoted(name)[1:-1]}: unknown; utf-16, latin-1, cp1252, shift_jis, gb18030 are some"
        )
    return found.name


def read_as(name: str | None) -> None:
    """Sets the encoding of all text read from now on; None: UTF-8, and other encodings are reported."""
    _chosen[:] = [] if name is None else [checked(name)]


def chosen() -> str | None:
    return _chosen[0] if _chosen else None


def foreign(head: bytes) -> str | None:
    """The form of UTF-16 or UTF-32 that the first bytes of a file plainly are, otherwise None.

    They begin with its byte order mark, or have NULs where it has them in ASCII text and nowhere else.
    """
    head = head[:_HEAD]
    for mark, name in _MARKED:
        if head.startswith(mark) and (name == "utf-32" or not _reads_as_bytes(head[len(mark) :])):
            return name
    if len(head) < _FEWEST or b"\0" not in head:
        return None
    for width, order, name in (
        (4, "le", "utf-32-le"), (4, "be", "utf-32-be"), (2, "le", "utf-16-le"), (2, "be", "utf-16-be"),
    ):  # fmt: skip
        whole = head[: len(head) // width * width]
        ascii_at = 0 if order == "le" else width - 1
        others = [whole[at::width] for at in range(width) if at != ascii_at]
        units = len(whole) // width
        share = min(part.count(0) for part in others) / units
        # ASCII in the other places may be bytes with a NUL here and there; without any, fewer NULs will do.
        bytes_of_text = any(0x09 <= byte < 0x7F for part in others for byte in part)
        if not whole[ascii_at::width].count(0) and share >= (_SHARE if bytes_of_text else _FEW):
            return name
    return None


def _reads_as_bytes(rest: bytes) -> bool:
    """Whether the bytes after what looks like a byte order mark are UTF-8 all the same.

    They have spaces or line ends, hardly any control characters (which are the upper bytes of Latin, Greek, Cyrillic,
    Hebrew and Arabic in UTF-16), and are valid UTF-8.
    """
    if not (b" " in rest or b"\n" in rest) or sum(byte < 9 for byte in rest) > _FEW / 2 * len(rest):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(rest)
    except UnicodeDecodeError:
        return False
    return True


class Decoder:
    """Turns bytes of an encoding, in parts, into UTF-8; `invalid` counts what could not be decoded."""

    def __init__(self, name: str) -> None:
        self.invalid = 0
        codecs.register_error(_ERRORS, self._replaced)
        self._decoder = codecs.getincrementaldecoder(name)(_ERRORS)

    def _replaced(self, error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeDecodeError):
            raise error
        self.invalid += 1
        return "\ufffd", error.end

    def __call__(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """The parts as UTF-8; an empty part, which is a pause, stays one."""
        for part in parts:
            if not part:
                yield b""
            elif text := self._text(part):
                yield text
        if text := self._text(b"", True):
            yield text

    def _text(self, part: bytes, last: bool = False) -> bytes:
        codecs.register_error(_ERRORS, self._replaced)  # another file may be read at the same time
        return self._decoder.decode(part, last).encode("utf-8", "replace")


_ERRORS = "textkit-replaced"
