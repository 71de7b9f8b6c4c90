"""What options were called before: an old spelling is answered with the new one, and never taken for something else.

One word stands for one thing over all verbs. Imported on the way out alone.
"""

from __future__ import annotations

# verb -> old spelling -> what it is now
OPTIONS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("models", "plugins", "doctor"), {"--json": "--format json"}),
    **dict.fromkeys(
        ("nearest", "analogy", "attention", "evaluate"), {"--json": "--format jsonl", "--jsonl": "--format jsonl"}
    ),
    "export-onnx": {"--licence": "--license"},
    "generate": {"--samples": "--number"},
    "import": {"--licence": "--license", "--sample": "--text"},
}


# What people try, because other verbs or other tools have it.
TRIED: dict[str, dict[str, str]] = {
    **dict.fromkeys(
        ("embed", "score", "generate", "translate"), {"--json": "--format jsonl", "--jsonl": "--format jsonl"}
    ),
}


def answer(verb: str | None, option: str) -> str | None:
    """What to say to somebody who writes `option`; None where it was never there."""
    if new := OPTIONS.get(verb or "", {}).get(option):
        return f"{option} is now {new}"
    if new := TRIED.get(verb or "", {}).get(option):
        return f"no such option {option}: it is {new}"
    return None
