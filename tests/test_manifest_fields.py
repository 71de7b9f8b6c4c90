"""Every field of a manifest with every kind of nasty value: the model is refused in one line, or serves as before."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_embedder import write_ngrams
from small_language import write_language
from small_translator import write_translator

from textkit.bundle import bundle, manifest_fields
from textkit.bundle.manifest import FILE
from textkit.errors import TextkitError, TextkitWarning, quoted
from textkit.kinds import Wrong
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.tasks.language.serving.scorer import LanguageModel
from textkit.tasks.language.task import TASK
from textkit.tasks.translate.serving.translator import Translator

HUGE = 10**30
NASTY = [
    None, [], {}, "", "x", "../../etc/passwd", -1, 0, 1, 2**31, 2**62, HUGE, 1e308, 0.5, True, [1, 2], {"a": 1},
    "a" * 100_000, "\ud800", "\x1b[31m", [[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]],
]  # fmt: skip


FAMILIES: dict[str, tuple[Callable[[Path], Path], Callable[[Any], Any]]] = {
    "embed": (write_ngrams, lambda found: Embedder(found, device="cpu", threads=1)(["dog doggy"])),
    "translate": (write_translator, lambda found: Translator(found, device="cpu", threads=1)(["dog sees"])),
    "language": (write_language, lambda found: LanguageModel(found, "cpu", 1)(["the man"])),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    write, serve = FAMILIES[request.param]
    return write(tmp_path_factory.mktemp(request.param) / "model"), serve


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a manifest, including objects and lists; of a list only the first entry."""
    entries = values.items() if isinstance(values, dict) else enumerate(values[:1]) if isinstance(values, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def with_value(values: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(values))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def test_every_field_with_every_nasty_value(family):
    """Refused in one line that names the manifest, or served: no other exception, no endless line."""
    folder, serve = family
    sound = json.loads((folder / FILE).read_bytes())
    refused = served = 0
    try:
        for path in places(sound):
            for value in NASTY:
                (folder / FILE).write_text(json.dumps(with_value(sound, path, value)))
                try:
                    found = bundle.read(folder)
                    if path[0] in ("text", "limits", "dim", "defaults"):
                        found.verify()
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore", TextkitWarning)
                            serve(found)
                        served += 1
                except TextkitError as error:
                    said = str(error).removeprefix(str(folder))
                    assert "\n" not in said, (path, value)
                    assert len(said) < 400, (path, value)
                    assert said.isprintable(), (path, value)
                    refused += 1
    finally:
        (folder / FILE).write_text(json.dumps(sound))
    assert refused > 300
    assert served


def test_every_field_of_the_table_and_no_other():
    from dataclasses import fields

    from textkit.bundle.manifest import Manifest

    assert {*manifest_fields.FIELDS, "schema", "facts"} == {field.name for field in fields(Manifest)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({("text", "subwords", "max"): 5000}, "'text.subwords.max' is 5000, not a whole number from 0 to 64"),
        ({("text", "subwords", "min"): 10**9}, "'text.subwords.min' is 1000000000, not a whole number from 1 to 64"),
        ({("text", "subwords", "max"): HUGE}, f"{HUGE} is too large a number"),
        ({("dim",): 2**62}, f"'dim' is {2**62}, not a whole number from 1 to 1048576"),
        ({("graphs", "embed", "outputs", 0, "axes", 1): 2**62}, f"axes.1' is {2**62}, not a whole number from 0 to"),
        ({("licence",): "\ud800"}, "'\\ud800' has half a character"),
        ({("made",): {"a": 1e999}}, "not a manifest: Infinity is no JSON"),
        ({("scores",): json.loads("[" * 20 + "]" * 20)}, "nested more than 16 deep"),
        ({("precision",): "fp64"}, "'precision' is 'fp64', not one of fp32, fp16, int8"),
        ({("text", "kind"): "a" * 1000}, f"unknown kind {quoted('a' * 1000)}"),
    ],
)
def test_bounds_by_example(tmp_path, changes, said):
    folder = write_ngrams(tmp_path / "m")
    values = json.loads((folder / FILE).read_bytes())
    for path, value in changes.items():
        values = with_value(values, path, value)
    (folder / FILE).write_text(json.dumps(values))
    with pytest.raises(TextkitError) as caught:
        bundle.read(folder)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "value", ["x", "", None, [], [1, 2], {"a": 1}, "/etc/passwd", "\ud800", "\x1b[31m", "a" * 100_000, 0, -1, 2**62, True]
)  # fmt: skip
def test_a_target_s_limit_of_every_wrong_type(tmp_path, value):
    folder = write_translator(tmp_path / "m")
    values = with_value(json.loads((folder / FILE).read_bytes()), ("limits", "target"), value)
    (folder / FILE).write_text(json.dumps(values))
    with pytest.raises(TextkitError, match="limits.target|half a character"):
        bundle.read(folder)


def test_more_state_than_a_line_can_have(tmp_path):
    """Each axis is within bounds, but their product is not: the first state of a step is allocated from these numbers."""
    folder = write_translator(tmp_path / "m")
    values = json.loads((folder / FILE).read_bytes())
    for graph, side in (("encode", "outputs"), ("step", "inputs"), ("step", "outputs")):
        for port in values["graphs"][graph][side]:
            if port["name"].startswith("state."):
                port["axes"] = [*port["axes"], 5000, 5000]
    (folder / FILE).write_text(json.dumps(values))
    with pytest.raises(TextkitError, match=r"port 'state\.place' has more than 16777216 numbers"):
        bundle.read(folder)


def test_a_number_that_json_cannot_say_is_refused(tmp_path):
    folder = write_ngrams(tmp_path / "m")
    text = (folder / FILE).read_text()
    for number in ("1e999", "-1e999", "9" * 5000, "1e308"):
        (folder / FILE).write_text(text.replace('"parity": {', f'"parity": {{"a": {number},', 1))
        with pytest.raises(TextkitError, match=r"too large a number|not a manifest: "):
            bundle.read(folder)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a" * 80, f"'{'a' * 80}'"),
        ("a" * 81, f"'{'a' * 78}…'"),
        ("\x1b[31m\n\u202e", "'\\x1b[31m\\n\\u202e'"),
        ("\ud800", "'\\ud800'"),
        ([1] * 1000, "[" + "1, " * 26 + "1" + "…"),
        (10**100, "1" + "0" * 79 + "…"),
        (None, "None"),
    ],
)
def test_what_a_file_says_is_cut_and_escaped(value, shown):
    assert quoted(value) == shown
    assert shown.isprintable()


def state(name: str, dtype: str, *axes: int | str) -> dict[str, Any]:
    return {"name": f"state.{name}", "dtype": dtype, "axes": ["line", *axes]}


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ([state("a", "bfloat16", 2)], "not one of float16"),
        ([state("a", "str", 2)], "not one of float16"),
        ([state(str(at), "float64", 1 << 24) for at in range(1000)], "all together"),
        ([state("a", "int8", 1 << 24), state("b", "int8", 1)], "all together"),
        ([state("a", "int8", 1 << 24, 2)], "'state.a' has more than"),
    ],
)
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_what_ports_have_is_bounded(tmp_path, ports, said, side):
    values = json.loads((write_language(tmp_path / "m") / FILE).read_bytes())
    values["graphs"]["score"][side] = ports
    with pytest.raises(Wrong, match=said.replace("'", ".")):
        manifest_fields.check({"served_by": "", **values}, TASK)
