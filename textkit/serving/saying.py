"""What onnxruntime says, as one short line."""

from __future__ import annotations

import re

from textkit.errors import MOST_QUOTED

_AROUND_NAMES = (("Name:'", "' Status Message: "), ("Node (", ") Op ("), ("Op (", ") ["))  # around a stranger's names


def reason(error: Exception) -> str:
    """onnxruntime's message without its code and source positions, in one line."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"\S*/onnxruntime/\S+:\d+ ", "", text)
    text = re.sub(r"[\w:]+ [\w:~<>]+::[\w~]+\([^()]*\)( const)? ", "", text)  # a C++ function
    for before, after in _AROUND_NAMES:
        start, end = text.find(before), text.rfind(after)
        if 0 <= start < end:
            start += len(before)
            text = text[:start] + _short(text[start:end]) + text[end:]
    text = " ".join(map(_short, text.split(" ")))
    text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return text[:300] or type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= MOST_QUOTED + 4 else f"{text[: MOST_QUOTED - 1]}…"
