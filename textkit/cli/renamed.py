"""The former names of options: an old spelling is answered with the new one, and never taken for something else.

One word stands for one thing in all verbs. Imported only to report an error.
"""

from __future__ import annotations

# verb -> old spelling -> new spelling
OPTIONS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("models", "plugins", "doctor"), {"--json": "--format json"}),
    **dict.fromkeys(
        ("nearest", "analogy", "attention", "evaluate"), {"--json": "--format jsonl", "--jsonl": "--format jsonl"}
    ),
    "export-onnx": {"--licence": "--license"},
    "generate": {"--samples": "--number"},
    "import": {"--licence": "--license", "--sample": "--text"},
}


# verb -> what people try because other verbs or tools have it -> what textkit has
TRIED: dict[str, dict[str, str]] = {
    **dict.fromkeys(
        ("embed", "score", "generate", "translate", "classify"),
        {"--json": "--format jsonl", "--jsonl": "--format jsonl"},
    ),
}


def answer(verb: str | None, option: str) -> str | None:
    """The answer to somebody who types `option`; None where there is none."""
    if new := OPTIONS.get(verb or "", {}).get(option):
        return f"{option} is now {new}"
    if new := TRIED.get(verb or "", {}).get(option):
        return f"no such option {option}: it is {new}"
    return None
