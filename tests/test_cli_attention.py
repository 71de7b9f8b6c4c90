"""`textkit attention`: the weights of a model whose attention is known, words made of pieces, heat maps and pictures."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.cells import cell_len
from small_bundle import write_small
from small_translator import SOURCE, SPACE, START, TARGET, encode_graph, step_graph, write_translator

import textkit.cli
from textkit.cli.options import Messages
from textkit.drawing import picture
from textkit.drawing.heatmap import SHADES, Screen, draw
from textkit.errors import TextkitError
from textkit.tasks.translate.serving.attention import merged, words

SHARP = np.array([[0.1, 0.5, 2.0], [0.3, 0.7, 1.0]], np.float32)  # [layer, head]
SENTENCE = "The dog runs."
SOURCE_IDS = [SOURCE.index(piece) for piece in (f"{SPACE}the", f"{SPACE}dog", f"{SPACE}runs", ".", "</s>")]
SAID_IDS = [START, *(TARGET.index(piece) for piece in (f"{SPACE}der", f"{SPACE}Hund", f"{SPACE}läuft", "."))]


def weights_of(rows: list[int], columns: list[int]) -> np.ndarray:
    """The weights that the graph `explain` below gives, f32[layer, head, row, column]."""
    scores = -SHARP[:, :, None, None] * abs(np.array(rows)[:, None] - np.array(columns))
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(-1, keepdims=True)


def explain_graph() -> bytes:
    """Each word looks at the words whose number is near its own; each head does so more or less sharply."""
    nodes = [
        helper.make_node("Cast", ["source"], ["s"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["target"], ["t"], to=TensorProto.FLOAT),
    ]
    for name, row, column in (("encoder", "s", "s"), ("decoder", "t", "t"), ("cross", "t", "s")):
        nodes += [
            helper.make_node("Unsqueeze", [row, "as_row"], [f"{name}.row"]),  # [line, 1, 1, row, 1]
            helper.make_node("Unsqueeze", [column, "as_column"], [f"{name}.column"]),
            helper.make_node("Sub", [f"{name}.row", f"{name}.column"], [f"{name}.difference"]),
            helper.make_node("Abs", [f"{name}.difference"], [f"{name}.distance"]),
            helper.make_node("Mul", [f"{name}.distance", "sharp"], [f"{name}.scores"]),
            helper.make_node("Softmax", [f"{name}.scores"], [name], axis=-1),
        ]
    value, layers = helper.make_tensor_value_info, list(SHARP.shape)
    sides = {"source": ["line", "source"], "target": ["line", "target"]}
    axes = {"encoder": ("source", "source"), "decoder": ("target", "target"), "cross": ("target", "source")}
    inputs = [value("source", TensorProto.INT64, sides["source"]), value("source_mask", TensorProto.BOOL, sides["source"]),
              value("target", TensorProto.INT64, sides["target"])]  # fmt: skip
    outputs = [value(name, TensorProto.FLOAT, ["line", *layers, *two]) for name, two in axes.items()]
    held = {"as_row": np.array([1, 2, 4]), "as_column": np.array([1, 2, 3]), "sharp": -SHARP[None, :, :, None, None]}
    constants = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "explain", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def blind_graph() -> bytes:
    """The step graph of a model without attention."""
    model = onnx.load_from_string(step_graph())
    for constant in model.graph.initializer:
        if constant.name == "off_on":
            constant.CopyFrom(numpy_helper.from_array(np.zeros(2, np.float32), "off_on"))
    return model.SerializeToString()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    graphs = {"encode": encode_graph(), "step": step_graph()}
    write_translator(folder / "plain")
    write_translator(folder / "reverse", reverse=True)
    write_translator(folder / "explained", graphs=graphs | {"explain": explain_graph()})
    write_translator(folder / "blind", graphs=graphs | {"step": blind_graph()})
    write_small(folder / "embedding")
    return folder


@pytest.fixture
def attention(models: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """attention(model, *args, given="", code=0) -> (stdout, stderr)."""

    def run(model: str, *args: str, given: str = "", code: int = 0) -> tuple[str, str]:
        stdin = tmp_path / "stdin"
        stdin.write_text(given, "utf-8")
        with stdin.open() as stream:
            monkeypatch.setattr(sys, "stdin", stream)
            got = textkit.cli.run(["attention", "-m", str(models / model), "--device", "cpu", *args], Messages())
        done = capfd.readouterr()
        assert got == code or pytest.fail(done.err)
        return done.out, done.err

    return run


def record(attention: Any, *args: str, **options: Any) -> dict[str, Any]:
    return json.loads(attention(*args, "--format", "jsonl", **options)[0])


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_the_weights_of_the_step_graph(attention: Any) -> None:
    found = record(attention, "plain", SENTENCE)
    assert found["source"] == ["the", "dog", "runs", ".", "</s>"]
    assert found["target"] == ["der", "Hund", "läuft", ".", "</s>"]
    assert found["weights"] == np.eye(5).tolist()


def test_a_translation_that_is_given(attention: Any) -> None:
    found = record(attention, "plain", SENTENCE, "--target", "ein Mann")
    assert found["target"] == ["ein", "Mann", "</s>"]
    assert found["weights"] == np.eye(5)[:3].tolist()


def test_a_source_that_is_read_backwards_is_shown_forwards(attention: Any) -> None:
    found = record(attention, "reverse", "the dog runs")
    assert found["source"] == ["the", "dog", "runs", "</s>"]
    assert found["target"] == ["läuft", "Hund", "der", "</s>"]
    assert found["weights"] == [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_pieces_or_the_words_they_make_up(attention: Any) -> None:
    found = record(attention, "plain", "dog-cat runs")
    assert found["source"] == ["dog-cat", "runs", "</s>"]
    assert found["weights"] == [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    found = record(attention, "plain", "dog-cat runs", "--pieces")
    assert found["source"] == ["▁dog", "-", "cat", "▁runs", "</s>"]
    assert found["target"][-2:] == ["▁läuft", "</s>"]
    assert found["weights"] == np.eye(5).tolist()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], weights_of(SAID_IDS, SOURCE_IDS)[-1].mean(0)),
        (["--layer", "1"], weights_of(SAID_IDS, SOURCE_IDS)[0].mean(0)),
        (["--head", "3"], weights_of(SAID_IDS, SOURCE_IDS)[-1, 2]),
        (["--layer", "1", "--head", "2"], weights_of(SAID_IDS, SOURCE_IDS)[0, 1]),
        (["--all"], weights_of(SAID_IDS, SOURCE_IDS)),
        (["--kind", "encoder", "--layer", "2", "--head", "1"], weights_of(SOURCE_IDS, SOURCE_IDS)[1, 0]),
        (["--kind", "decoder"], weights_of(SAID_IDS, SAID_IDS)[-1].mean(0)),
    ],
)
def test_layers_and_heads(attention: Any, args: list[str], expected: np.ndarray) -> None:
    found = record(attention, "explained", SENTENCE, *args)
    assert np.array(found["weights"]) == pytest.approx(expected, abs=2e-6)
    assert np.array(found["weights"]).sum(-1) == pytest.approx(1, abs=1e-5)
    words, said = ["the", "dog", "runs", ".", "</s>"], ["der", "Hund", "läuft", "."]
    rows = {"encoder": words, "decoder": ["<s>", *said]}.get(dict(zip(args, args[1:], strict=False)).get("--kind", ""))
    assert found["target"] == (rows or [*said, "</s>"])
    assert found["source"] == (["<s>", *said] if "decoder" in args else words)


def test_a_line_a_sentence(attention: Any) -> None:
    given = "the dog\n\nSENTENCE TOO LONG " + "a " * 20 + "\na man"
    out, err = attention("plain", "--format", "jsonl", "--on-error", "skip", given=given)
    records = [json.loads(line) for line in out.splitlines()]
    assert [found["target"] for found in records] == [["der", "Hund", "</s>"], [], [], ["ein", "Mann", "</s>"]]
    assert records[1] == {"source": [], "target": [], "weights": []}
    assert "1 sentences could not be shown" in err
    out, err = attention("plain", "--format", "jsonl", given=given, code=1)
    assert len(out.splitlines()) == 2
    assert err == "textkit: line 3: the sentence has 24 tokens, the model takes 12\n"


def test_heat_maps_of_a_line_each(attention: Any) -> None:
    out, _ = attention("plain", given="the dog\n \na man\n")
    first, second = out.split("\n\n\n")
    assert first.splitlines() == [
        "      the dog </s>",
        "der   100   .    .",
        "Hund    . 100    .",
        "</s>    .   .  100",
        "attention  in percent",
    ]
    assert second.startswith("        a man </s>\n")
    assert attention("plain", given="")[0] == ""


@pytest.mark.parametrize(
    ("model", "args", "said", "code"),
    [
        ("plain", [" "], "the sentence is blank", 2),
        ("plain", [SENTENCE, "--target", ""], "--target: the translation is blank", 2),
        ("plain", ["--target", "Hund"], "--target: is for a SENTENCE that is given with it", 2),
        ("plain", ["a " * 20], "the sentence has 21 tokens, the model takes 12", 1),
        ("plain", ["a", "--target", "ein " * 20], "the translation that is given has 21 tokens, the model takes 12", 1),
        ("plain", [SENTENCE, "--head", "1"], "exported with 'textkit export-onnx --explain'", 2),
        ("plain", [SENTENCE, "--kind", "encoder"], "exported with 'textkit export-onnx --explain'", 2),
        ("plain", [SENTENCE, "--all", "--format", "jsonl"], "exported with 'textkit export-onnx --explain'", 2),
        ("explained", [SENTENCE, "--layer", "3"], "--layer 3: the model's cross attention has 2, counted from 1", 2),
        ("explained", [SENTENCE, "--head", "4"], "--head 4: the model's cross attention has 3, counted from 1", 2),
        ("explained", [SENTENCE, "--all"], "--all: is too much for a terminal; say -o PICTURE or --format jsonl", 2),
        (
            "explained",
            [SENTENCE, "--all", "--format", "jsonl", "--head", "1"],
            "--head: is one of those that --all shows",
            2,
        ),
        ("blind", [SENTENCE], "the model has no attention", 1),
        ("embedding", [SENTENCE], "a model for 'embed', not for 'translate'", 1),
        ("plain", [SENTENCE, "-o", "x.gif"], "-o x.gif: ends with none of .png, .svg, .pdf", 2),
        (
            "plain",
            [SENTENCE, "-o", "x.png", "--format", "jsonl"],
            "-o x.png: is a picture; --format jsonl is for stdout",
            2,
        ),
        ("plain", ["-o", "x.png"], "-o x.png: a picture shows one sentence, stdin has 0 lines", 1),
        ("plain", [SENTENCE, "-o", "/nowhere/x.png"], "/nowhere/x.png: cannot be written", 1),
    ],
)
def test_mistakes_are_one_line(attention: Any, model: str, args: list[str], said: str, code: int) -> None:
    out, err = attention(model, *args, code=code)
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ("▁a ▁bi ke . </s>", "a:0 bike:1 .:3 </s>:4"),
        ("▁it ' s ▁well - known ▁( x ) ▁ ok", "it's:0 well-known:3 (:6 x:7 ):8 ok:9"),
        ("▁dogs ' ▁- ▁x", "dogs:0 ':1 -:2 x:3"),
        ("▁3 . 5 ▁%", "3:0 .:1 5:2 %:3"),
        ("▁我 爱你 。", "我:0 爱你:1 。:2"),
        ("▁한국 어", "한국어:0"),
        ("▁हि न् दी", "हिन्दी:0"),
        ("▁x <0xC3> <0xA9> y ▁ <0xE7> <0x8C> <0xAB>", "xéy:0 猫:4"),
        ("a man rides", "a:0 man:1 rides:2"),
        ("▁ ▁a", "▁:0 a:1"),
    ],
)
def test_words_of_pieces(pieces: str, expected: str) -> None:
    assert " ".join(f"{word}:{at}" for word, at in words(pieces.split())) == expected


def test_merged_by_hand() -> None:
    weights = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0, 0, 1]], np.float32)  # [target, source]
    assert merged(weights, [0, 2], [0, 1]).tolist() == [[0.375, 0.625], [0, 1]]
    assert merged(np.stack([[weights]]), [0, 2], [0, 1])[0, 0].tolist() == [[0.375, 0.625], [0, 1]]


# --- the heat map -----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "style", "colors"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "color", "truecolor"),
        ({"TERM": "xterm-256color"}, "color", "256"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "shades", "256"),
        ({"TERM": "xterm"}, "shades", "truecolor"),
        ({"TERM": "dumb"}, "shades", "truecolor"),
    ],
)
def test_what_a_terminal_can_show(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], style: str, colors: str
) -> None:
    for name in ("COLORTERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (environment | {"COLUMNS": "72"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert Screen.of_stdout() == Screen(72, style, colors)
    assert Screen.of_stdout("numbers").style == "numbers"
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Screen.of_stdout() == Screen(72, "numbers", "truecolor")


@pytest.mark.parametrize("style", ["color", "shades", "numbers"])
@pytest.mark.parametrize("count", [1, 4, 11, 25, 33, 90])
def test_it_fits_into_80_columns(style: str, count: int) -> None:
    from rich.text import Text

    source = ["Bundesausbildungsförderungsgesetz", "a", "猫が好き", "e\u0301te\u0301"] * 25
    target = ["Donaudampfschifffahrtsgesellschaft", "x"]
    weights = np.full((2, count), 1 / count)
    lines = draw(source[:count], target, weights, Screen(80, style, "truecolor"), "title").splitlines()
    assert max(cell_len(Text.from_ansi(line).plain) for line in lines) <= 80
    assert sum("Donaudampf" in line for line in lines) == _blocks(style, count)


def _blocks(style: str, count: int) -> int:
    """How many blocks there must be in 80 columns, of which a label and a space take 25."""
    return -(-count * {"color": 2, "shades": 2, "numbers": 4}[style] // 55)


def test_shades_by_hand() -> None:
    weights = np.array([[0.8, 0.0, 0.4], [0.0, 0.1, 0.7]])
    assert draw(["a", "猫", "longer"], ["x", "我"], weights, Screen(80, "shades")).splitlines() == [
        "   a  猫 longer",
        "x  @@    ======".replace("=", SHADES[4]),  # 0.4 is half of the largest: 4.5, rounded to even
        "我    .. %%%%%%".replace(".", SHADES[1]).replace("%", SHADES[8]),
        "0% ' .:-=+*#%@' 80%",
    ]


def test_words_stand_upright_where_they_do_not_fit() -> None:
    text = draw(["one", "猫", "e\u0301t"] * 4, ["x"], np.eye(1, 12), Screen(40, "shades"))
    assert text.splitlines() == [
        "   o        o        o        o",
        "   n     e\u0301  n     e\u0301  n     e\u0301  n     e\u0301",
        "   e 猫  t  e 猫  t  e 猫  t  e 猫  t",
        "x @@",
        "0% ' .:-=+*#%@' 100%",
    ]


def test_colors() -> None:
    text = draw(["a", "b"], ["x"], np.array([[0.0, 1.0]]), Screen(80, "color", "truecolor"))
    assert text.splitlines()[1] == "x \x1b[48;2;8;29;88m   \x1b[0m\x1b[48;2;255;255;217m   \x1b[0m"
    text = draw(["a", "b"], ["x"], np.array([[0.0, 1.0]]), Screen(80, "color", "256"))
    assert text.splitlines()[1] == "x \x1b[48;5;17m   \x1b[0m\x1b[48;5;230m   \x1b[0m"


def test_words_of_strangers_are_shown_not_obeyed() -> None:
    text = draw(["\x1b[2J", "\u202eab", "[bold]"], ["\r\n", "\ufffd"], np.ones((2, 3)) / 3, Screen(80, "numbers"))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "?[2J" in text
    assert "[bold]" in text
    assert len(text.splitlines()) == 4


# --- the picture ------------------------------------------------------------------------------------------------------


def test_a_picture(attention: Any, tmp_path: Path) -> None:
    file = tmp_path / "picture.PNG"
    for args in ([SENTENCE], [SENTENCE, "--all"]):
        out, err = attention("explained", *args, "-o", str(file))
        assert (out, err) == ("", "")
        content = file.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", content[16:24])
        assert 300 < width < 1200
        assert 200 < height < 1200
    attention("explained", "--all", "-o", str(file), given=SENTENCE)
    assert file.read_bytes() == content  # the file holds no time of its making
    assert [entry.name for entry in tmp_path.iterdir()] == ["stdin", "picture.PNG"] or len(
        list(tmp_path.iterdir())
    ) == 2


def test_what_a_picture_shows() -> None:
    weights = np.array([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]])
    figure = picture.one(["a", "$b$ $", "c"], ["x", "y"], weights, "title")
    axes = figure.axes[0]
    figure.draw_without_rendering()
    assert axes.images[0].get_array().tolist() == weights.tolist()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "$b$ $", "c"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    assert [label.get_parse_math() for label in axes.get_xticklabels()] == [False] * 3
    figure = picture.every(["a", "b", "c"], ["x", "y"], np.stack([[weights, weights]] * 3), "title")
    assert len(figure.axes) == 3 * 2 + 1


@pytest.mark.parametrize(("name", "begins"), [("a.svg", b"<?xml"), ("b.pdf", b"%PDF")])
def test_other_formats(tmp_path: Path, name: str, begins: bytes) -> None:
    found = []
    for _ in range(2):
        stream = io.BytesIO()
        assert picture.write(stream, name, ["a"], ["b"], np.ones((1, 1)), "title") == ""
        found.append(stream.getvalue())
    assert found[0].startswith(begins)
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_long_sentence_gets_no_endless_picture() -> None:
    stream = io.BytesIO()
    picture.write(stream, "a.png", ["word"] * 400, ["x"] * 300, np.ones((300, 400)) / 400)
    assert max(struct.unpack(">II", stream.getvalue()[16:24])) < 42 * picture.DPI


def test_a_character_that_no_font_has() -> None:
    stream = io.BytesIO()
    assert picture.write(stream, "a.png", ["\U000f8ff0", "é"], ["b"], np.ones((1, 2)) / 2) == "\U000f8ff0"
    assert stream.getvalue()


def test_without_matplotlib(attention: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = "a picture needs matplotlib, which is not installed: pip install 'textkit-onnx[plot]'"
    assert attention("no-such-model", SENTENCE, "-o", str(tmp_path / "a.png"), code=1)[1] == f"textkit: {said}\n"
    assert attention("plain", SENTENCE)[0]


def test_nothing_is_left_of_a_picture_that_fails(
    attention: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(stream: Any, *_: Any) -> None:
        stream.write(b"half")
        raise TextkitError("no")

    monkeypatch.setattr(picture, "write", fail)
    attention("plain", SENTENCE, "-o", str(tmp_path / "a.png"), code=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stdin"]


def test_the_readme_s_picture_is_what_its_command_draws(tmp_path: Path) -> None:
    """Drawn again, it is the same picture except for what another processor or release of matplotlib may round."""
    image = pytest.importorskip("matplotlib.image")
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (command,) = re.findall(r"^\$ textkit (attention .*-o )picture\.png", readme, re.MULTILINE)
    assert "](docs/attention.png)" in readme
    assert textkit.cli.run([*shlex.split(command), str(tmp_path / "picture.png")], Messages()) == 0
    drawn = image.imread(tmp_path / "picture.png")
    shown = image.imread(Path(__file__).parent.parent / "docs" / "attention.png")
    assert np.abs(np.subtract(drawn.shape, shown.shape)).max() <= 6
    high, wide, _ = np.minimum(drawn.shape, shown.shape)
    assert np.abs(drawn[:high, :wide] - shown[:high, :wide]).mean() < 0.02


def test_nobody_is_told_to_export_what_the_family_has_not(attention: Any, models: Path, tmp_path: Path) -> None:
    """A seq2seq has one attention, and --explain fails for it; so the error must not advise --explain."""
    folder = shutil.copytree(models / "plain", tmp_path / "recurrent")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["made"]["explainable"], manifest["plugin"] = False, {"name": "seq2seq", "version": "1"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for option in (["--kind", "encoder"], ["--layer", "1"], ["--head", "1"]):
        error = attention(str(folder), SENTENCE, *option, code=2)[1]
        assert "a model of the family seq2seq has no other kinds, layers or heads" in error
        assert "--explain" not in error
    assert attention(str(folder), SENTENCE)[0]
