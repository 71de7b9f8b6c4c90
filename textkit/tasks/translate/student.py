"""The options of a student that translates, as large as it may be: many layers that read the source once, few that run once per
word (Kasai et al. 2021, arXiv 2006.10369), and no self-attention in those (Kim et al. 2019). Knows no training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textkit.errors import UsageError

_DIMS = range(64, 1025, 32)
_AROUND = 60_000  # bytes of the manifest, and of the nodes and names around the layers
_LAYER = 9_000  # bytes of the nodes and names of a layer
_PIECE = 31  # bytes of tokenizer.json for each piece and its merge
# What a student reads and writes as its teacher does.
_TEXT = (
    "source_language", "target_language", "lowercase", "clean", "unicode", "digits", "sentinels", "augment", "max_tokens",
)  # fmt: skip


def plan(
    most: float,
    layers: int | None = None,
    given: Mapping[str, str] | None = None,
    teacher: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The options of the family `transformer` for a model of at most `most` MB in int8; what is `given` stays.

    `layers`: those of the encoder; `teacher`: the options of the teacher's text. Raises UsageError if no student is so small.
    """
    given, teacher = given or {}, teacher or {}
    text = {key: teacher[key] for key in _TEXT if teacher.get(key) not in (None, "", 0) and key not in given}
    if ("sentinels" in text) != ("augment" in text):  # each needs the other
        text = {key: value for key, value in text.items() if key not in ("sentinels", "augment")}
    wanted: dict[str, Any] = {
        "encoder_layers": layers or 6, "decoder_layers": 2, "decoder_autoreg": "ssru", "vocab_size": 8000, "heads": 4,
    }  # fmt: skip
    sizes: dict[str, Any] = {key: int(value) for key, value in given.items() if value.isdecimal()}
    whole = {**wanted, **sizes}
    if "dim" in sizes or "feedforward" in sizes:
        return {**text, **{key: value for key, value in wanted.items() if key not in given}}
    fitting = [dim for dim in _DIMS if size(dim, whole) <= most * 1e6 and dim % whole["heads"] == 0]
    if not fitting:
        least = size(_DIMS[0], whole) / 1e6
        raise UsageError(
            f"--max-mb {most:g}: the smallest student takes {least:.1f} MB; a smaller vocab_size or fewer --layers need less"
        )
    wanted |= {"dim": fitting[-1], "feedforward": 4 * fitting[-1]}
    return {**text, **{key: value for key, value in wanted.items() if key not in given}}


def size(dim: int, options: Mapping[str, Any]) -> int:
    """About the bytes in int8 of a student of `dim` channels and 4 * dim units. Both graphs have the table of pieces."""
    square = dim * dim
    autoreg = 2 if options["decoder_autoreg"] == "ssru" else 4
    encoder = options["encoder_layers"] * (12 * square + 4 * 18 * dim + _LAYER)
    decoder = options["decoder_layers"] * ((12 + autoreg) * square + 4 * 24 * dim + _LAYER)
    tables = options["vocab_size"] * (2 * (dim + 4) + _PIECE) + 4 * 256 * dim
    return int(encoder + decoder + tables + _AROUND)
