"""The benchmark scripts: arithmetic against hand-computed figures, processes, what is written. Nothing is timed."""

from __future__ import annotations

import gzip
import importlib
import json
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of benchmarks/, which import one another from that folder, as scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    shared = ("clone", "comparison", "cost", "parts_page", "report", "trained")
    scripts = ("gpu", "parts", "recipes", "run", "search", "similar", "training", "translate", "translating")
    names = (*(f"measuring.{name}" for name in shared), *scripts)
    for name in ("measuring", *names):
        monkeypatch.delitem(sys.modules, name, raising=False)
    modules = {name.rpartition(".")[2]: importlib.import_module(name) for name in names}
    yield SimpleNamespace(**modules)
    for name in ("measuring", *names):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("script", ["embed", "training", "gpu", "language", "translate", "search", "run"])
def test_each_script_tells_how_it_is_called(script: str) -> None:
    done = subprocess.run([sys.executable, BENCHMARKS / f"{script}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--peers" in done.stdout


@pytest.mark.parametrize(
    ("script", "peers"),
    [
        ("run", ["--peers", "python"]),
        ("training", ["--peers", "python"]),
        ("search", []),
        ("gpu", []),
        ("parts", []),
        ("recipes", ["runs"]),
    ],
)
def test_a_folder_that_is_not_there_is_named(script: str, peers: list[str]) -> None:
    command = [sys.executable, BENCHMARKS / f"{script}.py", "no/such/data", *peers]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no/such/data" in done.stderr.strip().split("\n")[-1]


def test_a_section_replaces_its_own_part_of_the_page_alone(bench: SimpleNamespace, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    bench.report.section("one", "## One\n\nbefore it was", page, "AMD")
    bench.report.section("two", "## Two", page, "AMD")
    bench.report.section("one", "## One\n\nnew, with \\1 in it", page, "AMD")
    text = page.read_text()
    assert text.count("<!-- begin one, AMD -->") == 1
    assert "before it was" not in text
    assert text.index("new, with \\1 in it") < text.index("## Two (AMD)")
    assert text.startswith("# Benchmarks")


def test_a_section_leaves_that_of_another_maker_and_stands_beside_it(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    bench.report.section("one", "## One\n\n2.5 times", page, "Intel")
    bench.report.section("two", "## Two", page, "Intel")
    monkeypatch.setattr(bench.report, "processor", lambda: "AMD EPYC (avx512_bf16)")
    bench.report.section("one", "## One\n\n1.3 times", page)
    text = page.read_text()
    places = [
        text.index(part) for part in ("## One (Intel)", "2.5 times", "## One (AMD)", "1.3 times", "## Two (Intel)")
    ]
    assert places == sorted(places)


def test_a_table_in_markdown(bench: SimpleNamespace) -> None:
    assert bench.report.table(["a", "b"], [[1, "x"], [2, "y"]]) == "| a | b |\n| --- | ---: |\n| 1 | x |\n| 2 | y |"


def test_a_command_costs_its_own_memory_and_not_its_parents(bench: SimpleNamespace) -> None:
    ours = np.ones(40_000_000)  # 320 MB
    spent = bench.cost.cost([sys.executable, "-c", "print('said')"])
    assert spent.stdout == "said\n"
    assert 0 < spent.seconds < 60
    assert 1 < spent.peak_mb < 100
    big = bench.cost.cost([sys.executable, "-c", "x = bytearray(b'1') * 200_000_000"])
    assert 200 < big.peak_mb < 300
    assert ours.sum() == 40_000_000


def test_a_command_that_fails_says_why(bench: SimpleNamespace) -> None:
    with pytest.raises(bench.cost.Failed, match=r"exit code 3: no luck"):
        bench.cost.cost([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(bench.cost.Failed, match="no-such-program"):
        bench.cost.cost(["no-such-program"])


def test_the_environment_of_a_command_is_added_to(bench: SimpleNamespace) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'], 'PATH' in os.environ)"
    assert bench.cost.cost([sys.executable, "-c", code], bench.trained.limited(3)).stdout == "3 True\n"


def test_the_corpus_is_lower_case_words_without_unk(bench: SimpleNamespace, tmp_path: Path) -> None:
    source = tmp_path / "train.txt.gz"
    source.write_bytes(gzip.compress(" \n = The <unk> Title = \n <unk> \n A\u00a0Word , \n".encode()))
    corpus = bench.trained.Corpus.write(source, tmp_path / "corpus.txt")
    assert corpus.path.read_text() == "= the title =\na word ,\n"
    assert corpus.words == 7
    assert bench.trained.Corpus.write(source, tmp_path / "part.txt", 3).words == 3  # lines 0 and 3


EVENTS = [
    {"event": "progress", "words": 100, "seconds": 2.0},
    {"event": "progress", "words": 300, "seconds": 2.5},
    {"event": "epoch", "epoch": 1, "seconds": 3.0},
    {"event": "progress", "words": 900, "seconds": 4.0},
    {"event": "epoch", "epoch": 2, "seconds": 4.0},
    {"event": "epoch", "epoch": 3, "seconds": 4.75},
    {"event": "done"},
]


def test_the_rate_is_that_of_the_loop_in_words_of_the_text(bench: SimpleNamespace) -> None:
    # 800 words of the vocabulary in 2 s are 400 words/s; 900 of them are 1,080 words of the text, a fifth more.
    assert bench.trained.rate(EVENTS, 1080) == pytest.approx(480)
    assert bench.trained.first_seconds(EVENTS) == 2.0
    assert bench.trained.epoch_seconds(EVENTS) == [1.0, 0.75]
    assert math.isnan(bench.trained.rate(EVENTS[:1], 1080))
    assert math.isnan(bench.trained.rate([{**event, "words": 0} for event in EVENTS[:2]], 1080))


def test_medians_leave_out_what_was_not_measured(bench: SimpleNamespace) -> None:
    assert bench.trained.median([3.0, math.nan, 1.0, 2.0]) == 2.0
    assert math.isnan(bench.trained.median([math.nan]))


def test_both_sides_in_a_table(bench: SimpleNamespace) -> None:
    def one(rate: float, rho: float) -> object:
        return bench.trained.Trained(rate, 2.0, 1.0, rho, {})

    theirs, ours = [one(1000, 0.3), one(2000, 0.2), one(1000, 0.1)], [one(3000, 0.3), one(4000, 0.1), one(5000, 0.2)]
    assert bench.comparison.speeds(theirs, ours) == ["1,000", "4,000", "**3.00**", "3.00 2.00 5.00"]
    assert bench.comparison.processes(theirs, ours) == ["2.0", "2.0"]
    table = bench.comparison.seed_table("peer", list(zip(theirs, ours, strict=True)))
    assert "| 1 | 0.300 | 0.300 | yes |\n| 2 | 0.200 | 0.100 | **no** |\n| 3 | 0.100 | 0.200 | yes |" in table
    assert table.endswith("No lower on 2 of 3 seeds.")
    collapsed = bench.comparison.seed_table("peer", [(one(1, 0.1), one(1, math.nan))])
    assert "**no**" in collapsed


PEER = """
import json, sys
import numpy as np
job = json.loads(open(sys.argv[1]).read())
if job["seed"] == 2:
    print(json.dumps({"error": "Encountered NaN."}))
    sys.exit()
assert job["wanted"] == ["cat", "car", "dog", "bus", "none"], job
angle = np.array([0.0, 1.5, 0.2, 1.4, 0.0])
matrix = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
having = np.array([True, True, True, True, False])
np.savez(job["output"], matrix=matrix, having=having, inside=having)
print("something a library prints")
print(json.dumps({"seconds": 2.0, "raw_words": 50}))
"""


def test_a_peer_is_measured_by_textkits_own_evaluation(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "peer.py").write_text(PEER)
    (tmp_path / "pairs.tsv").write_text("# pairs\nCat\tDog\t9\nCar\tBus\t10\nCat\tCar\t1\ndog\tnone\t5\n")
    monkeypatch.setattr(bench.trained, "PEERS", tmp_path)
    pairs = bench.trained.word_pairs(tmp_path / "pairs.tsv")
    assert pairs.first == ["cat", "car", "cat", "dog"]
    told = bench.trained.peer(sys.executable, "peer.py", {"threads": 1, "seed": 1}, tmp_path, pairs)
    assert told.rate == 25.0
    assert told.rho == pytest.approx(
        1.0
    )  # cosines of 0.2, 0.1 and 1.5 rad; the pair with an unknown word does not count
    with pytest.raises(bench.cost.Failed, match="Encountered NaN"):
        bench.trained.peer(sys.executable, "peer.py", {"threads": 1, "seed": 2}, tmp_path, pairs)


@pytest.mark.slow
def test_a_training_by_textkit_is_measured(bench: SimpleNamespace, tmp_path: Path) -> None:
    corpus = bench.trained.Corpus(tmp_path / "corpus.txt", 12_000)
    corpus.path.write_text("The cat ran, .\nthe Dog ran .\nThe bus ran .\n" * 1000)
    pairs = SimpleNamespace(
        first=["cat", "Dog", "bus"], second=["Dog", "bus", "ran,"], scores=np.array([1.0, 2.0, 3.0])
    )
    told = bench.trained.textkit("word2vec", corpus, tmp_path, {"dim": 4, "epochs": 3}, pairs, seed=2, threads=1)
    assert told.rate > 0
    assert told.seconds > 0
    assert -1 <= told.rho <= 1
    assert told.detail["vocabulary"] == 8  # words as they stand: The the cat Dog bus ran ran, .
    assert told.detail["device"] == "cpu"
    assert len(told.detail["epochs"]) == 2
    assert '"seed": 2' in (tmp_path / "run" / "run.json").read_text()


def test_fasttext_that_stops_with_nan_is_run_again_with_another_seed(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def peer(self: object, script: str, job: dict[str, int]) -> str:
        seeds.append(job["seed"])
        if len(seeds) < 3:
            raise bench.cost.Failed("Encountered NaN.")
        return "trained"

    monkeypatch.setattr(bench.training.Bench, "peer", peer)
    setting = bench.training.Bench(Path(), "python", None, Path(), True)
    assert bench.training.unstopped(setting, {"seed": 7}) == ("trained", 2)
    assert seeds == [7, 107, 207]
    seeds[:] = range(-100, -90)
    monkeypatch.setattr(bench.training, "TRIES", 0)
    assert bench.training.unstopped(setting, {"seed": 7}) == (None, 0)


def test_a_part_that_fails_stops_no_other(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(setting: object) -> str:
        raise bench.cost.Failed("gensim has gone")

    (tmp_path / "wikitext2").mkdir()
    (tmp_path / "wikitext2" / "train.txt.gz").write_bytes(gzip.compress(b"one two\n\n\n\nthree\n"))
    page = tmp_path / "page.md"
    call = ["training.py", str(tmp_path), "--peers", "py", "--page", str(page)]
    good = lambda setting: f"## Good, {setting.corpus.words} words"  # noqa: E731
    monkeypatch.setattr(bench.training, "PARTS", {"bad": broken, "good": good})
    monkeypatch.setattr(sys, "argv", call)
    with pytest.raises(SystemExit, match="^bad: gensim has gone$"):
        bench.training.main()
    assert "## Good, 3 words" in page.read_text()
    page.unlink()
    for arguments, written in ((["--quick"], False), ([], True)):
        monkeypatch.setattr(sys, "argv", [*call, "--only", "good", *arguments])
        with pytest.raises(SystemExit) as ended:
            bench.training.main()
        assert ended.value.code is None
        assert page.exists() == written


def test_a_script_that_fails_stops_no_other(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.py").write_text("raise SystemExit(1)")
    (tmp_path / "good.py").write_text("import sys; open(sys.argv[0] + '.called', 'w').write(' '.join(sys.argv[1:]))")
    monkeypatch.setattr(bench.run, "HERE", tmp_path)
    monkeypatch.setattr(bench.run, "SCRIPTS", {"bad": [], "good": ["--small"]})
    monkeypatch.setattr(sys, "argv", ["run.py", str(tmp_path), "--peers", "py", "--quick"])
    with pytest.raises(SystemExit, match="failed: bad"):
        bench.run.main()
    assert (tmp_path / "good.py.called").read_text() == f"{tmp_path} --peers py --small"


def test_a_script_with_peers_of_its_own_gets_those_and_is_left_out_without(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "translate.py").write_text("import sys; open(sys.argv[0] + '.called', 'w').write(sys.argv[3])")
    monkeypatch.setattr(bench.run, "HERE", tmp_path)
    call = ["run.py", str(tmp_path), "--peers", "py", "--only", "translate"]
    monkeypatch.setattr(sys, "argv", call)
    bench.run.main()
    assert "translate: left out, --translation-peers is not given" in capsys.readouterr().err
    assert not (tmp_path / "translate.py.called").exists()
    monkeypatch.setattr(sys, "argv", [*call, "--translation-peers", "other"])
    bench.run.main()
    assert (tmp_path / "translate.py.called").read_text() == "other"


def test_translation_is_compared_round_by_round(bench: SimpleNamespace) -> None:
    rates = {"textkit": iter([100.0, 400.0, 300.0]), "ctranslate2": iter([200.0, 200.0, 200.0]),
             "optimum": iter([50.0, 100.0, 50.0])}  # fmt: skip
    fake = SimpleNamespace(rate=lambda side, case, again, device: {"rate": next(rates[side]), "tokens": 18})
    # Ratios 0.5, 2, 1.5 and 2, 4, 6; medians of the rounds' ratios, not ratios of the medians (300 / 50 would be 6).
    assert bench.translate.compared(fake, {"a case": (1, 4, "fp32")}, ("ctranslate2", "optimum"), 3) == [
        ["a case", "300", "200", "**1.50** (0.50-2.00)", "50", "**4.00** (2.00-6.00)"]
    ]
    # optimum has no int8 here.
    rates |= {"textkit": iter([3.0]), "ctranslate2": iter([2.0])}
    assert bench.translate.compared(fake, {"int8": (32, 1, "int8")}, ("ctranslate2", "optimum"), 1) == [
        ["int8", "3", "2", "**1.50** (1.50-1.50)", "", ""]
    ]


def test_the_first_line_comes_while_the_input_is_open(bench: SimpleNamespace) -> None:
    answers = "import sys; print(sys.stdin.readline(), flush=True); sys.stdin.read()"
    assert 0 < bench.cost.first_line([sys.executable, "-c", answers], b"a line\n", 3) < 30
    with pytest.raises(bench.cost.Failed, match="ended without a line"):
        bench.cost.first_line([sys.executable, "-c", "input()"], b"a line\n", 3)


def test_without_a_gpu_the_page_stays_as_it_is(
    bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(bench.gpu, "no_gpu", lambda: "no driver")
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path), "--page", str(page)])
    bench.gpu.main()
    assert "No GPU to measure: no driver" in capsys.readouterr().out
    assert not page.exists()


FAKE_PARTS = """
import json, os, sys, time
part, job = sys.argv[1], json.loads(sys.argv[2])
head = {"title": part + " on " + job["device"], "text": "What it is.", "columns": ["side", "rate"]}
print(json.dumps({"head": head}), flush=True)
print("a library's own line", flush=True)
print(json.dumps({"row": ["textkit", "12"]}), flush=True)
print(json.dumps({"remark": "a peer was left out"}), flush=True)
if part == "embed":
    import subprocess
    subprocess.run([sys.executable, "-c", "import time; time.sleep(60)"])
if part == "score":
    sys.exit("CUDA out of memory")
if part == "train":
    os.kill(os.getpid(), 11)
"""


@pytest.fixture
def parts(bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    script = tmp_path / "parts.py"
    script.write_text(FAKE_PARTS)
    monkeypatch.setattr(bench.gpu, "PARTS", script)
    return bench.gpu


def test_a_part_of_the_gpu_page_that_fails_or_hangs_keeps_what_it_had(parts: ModuleType) -> None:
    job = {"device": "cuda"}
    found = {name: parts.run(name, job, 3) for name in ("probe", "score", "train", "embed")}
    for one in found.values():
        assert (one.columns, one.rows, one.remarks) == (["side", "rate"], [["textkit", "12"]], ["a peer was left out"])
    assert found["probe"].problem == ""
    assert found["score"].problem == "CUDA out of memory"
    assert found["train"].problem == "exit code -11"
    assert found["embed"].problem == "its limit of 3 s"
    assert 3 <= found["embed"].seconds < 20  # with the process that it had started
    text = found["score"].markdown()
    assert text.startswith("### score on cuda\n\nWhat it is.\n\n| side | rate |")
    assert text.endswith("s: CUDA out of memory**")


def test_each_part_is_written_down_as_it_ends(
    parts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, figures = tmp_path / "page.md", tmp_path / "figures.jsonl"
    seen: list[tuple[int, bool]] = []
    run = parts.run

    def watched(part: str, job: dict[str, object], limit: float) -> object:
        seen.append((len(figures.read_text().splitlines()) if figures.exists() else 0, page.exists()))
        return run(part, job, limit)

    monkeypatch.setattr(parts, "run", watched)
    words = ["--page", str(page), "--figures", str(figures), "--try-on-cpu"]
    only = [word for part in ("score", "probe", "generate") for word in ("--only", part)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path), *words, *only])
    with pytest.raises(SystemExit) as ended:
        parts.main()
    assert ended.value.code == 1  # one failed, and the others ran
    assert seen == [(0, False), (1, True), (2, True)]
    assert [json.loads(line)["problem"] for line in figures.read_text().splitlines()] == ["CUDA out of memory", "", ""]
    written = page.read_text()
    assert written.index("### score on cpu") < written.index("### probe on cpu") < written.index("### generate on cpu")
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path), *words, "--only", "probe", "--minutes", "0.01"])
    with pytest.raises(SystemExit):
        parts.main()
    assert "the time was used up before it began" in page.read_text()


def test_every_part_has_a_limit_and_a_function(bench: SimpleNamespace) -> None:
    import gpu_parts

    assert set(gpu_parts.NAMED) == set(bench.gpu.LIMITS)
    sys.modules.pop("gpu_parts")


def test_lines_for_a_gpu_are_ragged(bench: SimpleNamespace, tmp_path: Path) -> None:
    import gpu_parts

    (tmp_path / "tatoeba").mkdir()
    with gzip.open(tmp_path / "tatoeba/train.en-de.tsv.gz", "wt") as out:
        out.writelines(f"line {'word ' * (number % 7)}\tZeile\n" for number in range(100))
    told = {
        "data": tmp_path,
        "scratch": tmp_path,
        "device": "cpu",
        "small": False,
        "peers": "",
        "translation_peers": "",
    }
    lines = gpu_parts.Job(told).english(60)
    assert len(lines) == 60
    assert len(set(map(len, lines))) > 5
    assert len(lines[20].split()) > 2 * max(len(line.split()) for line in lines[1:20])
    sys.modules.pop("gpu_parts")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/work/shared/data/tatoeba").is_dir(), reason="needs the data")
def test_the_gpu_page_can_be_tried_on_a_cpu(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    words = ["--try-on-cpu", "--page", str(page), "--only", "probe", "--only", "parity", "--only", "score"]
    command = [sys.executable, BENCHMARKS / "gpu.py", "/work/shared/data", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| en-lm | largest difference of a line's log-probability | 0.0e+00 |" in page.read_text()


def test_a_clone_that_is_not_installed_runs(bench: SimpleNamespace, tmp_path: Path) -> None:
    bench.clone._lay_out(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from importlib.metadata import entry_points, version\n"
        "import textkit, textkit_plugins, textkit_models\n"
        "print(version('textkit-onnx') == textkit.__version__, *sorted(e.name for e in entry_points(group='textkit.plugins')))"
    )
    # Without site-packages there is no other textkit to be found.
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, tmp_path], capture_output=True, text=True)
    known = [
        "classifier", "dssm", "fasttext", "few-shot", "glove", "multitask", "nnlm", "ppmi-svd", "rnn-lm",
        "sentence-encoder", "seq2seq", "transformer", "transformer-lm", "word2vec",
    ]  # fmt: skip
    assert done.stdout.split() == ["True", *known], done.stderr


def test_a_recipe_is_scored_in_both_precisions_with_what_its_training_took(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[list[str]] = []

    def textkit(*arguments: object) -> str:
        called.append([*map(str, arguments)])
        return '{"metric": "bleu", "value": 41.234}\n{"metric": "chrf", "value": 1}\n'

    facts = {"seconds": 5400.0, "device": "cpu", "parameters": 2605056, "steps": 9600}
    monkeypatch.setattr(bench.recipes, "textkit", textkit)
    monkeypatch.setattr(bench.recipes, "trained", lambda *_: SimpleNamespace(folder=tmp_path / "run", facts=facts))
    recipe = bench.recipes.RECIPES_OF["multi30k"][0]
    row = bench.recipes.row(recipe, Path("data"), tmp_path)
    assert row == ["`multi30k-transformer`", "2,605,056", "9,600", "1.5 h, cpu", "41.23", "41.23", "41.0"]
    assert [words[0] for words in called] == ["export-onnx", "evaluate"] * 2
    assert [words[words.index("--precision") + 1] for words in called[::2]] == ["fp32", "int8"]
    tested = ["data/multi30k/tok/test_2016_flickr.en", "data/multi30k/tok/test_2016_flickr.de"]
    assert called[1][3:] == [*tested, "--beam-size", "5", "--tokenize", "none", "--format", "jsonl"]


def test_every_recipe_of_the_benchmark_is_a_file(bench: SimpleNamespace) -> None:
    names = [recipe.name for recipes in bench.recipes.RECIPES_OF.values() for recipe in recipes]
    assert len(names) == 6
    assert all((bench.recipes.RECIPES / f"{name}.toml").is_file() for name in names)


def test_an_interrupted_run_is_gone_on_with_and_a_missing_one_trained(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(bench.recipes, "textkit", lambda *arguments: called.append([*map(str, arguments)]))
    monkeypatch.setattr(bench.recipes.Run, "open", lambda folder: SimpleNamespace(complete=False, folder=folder))
    recipe = bench.recipes.RECIPES_OF["wikitext2"][0]
    bench.recipes.trained(recipe, Path("data"), tmp_path)
    assert called.pop()[:5] == ["train", "rnn-lm", "data/wikitext2/train.txt.gz", "--dev", "data/wikitext2/valid.txt"]
    (tmp_path / recipe.name).mkdir()
    bench.recipes.trained(recipe, Path("data"), tmp_path)
    assert called == [["train", "-o", str(tmp_path / recipe.name), "--resume"]]


def test_searches_are_told_of(bench: SimpleNamespace, tmp_path: Path) -> None:
    spent = [bench.cost.Cost(seconds, 100.0, "", seconds / 2) for seconds in (3.0, 1.0, 2.0)]
    assert bench.search.medians(spent) == {"seconds": 2.0, "processors": 1.0, "mb": 100.0}
    speed = {
        "made_seconds": {"embed": 8.0, "index": 10.0}, "made_mb": {"embed": 1.0, "index": 300.0}, "index_bytes": 5_000_000,
        "query": {"hybrid": bench.search.medians(spent), "faiss": bench.search.medians(spent)}, "queries_per_second": 1234.0,
    }  # fmt: skip
    graphs = {"lines": 1_500_000, "queries": 1000, "recall@10": 0.9876, "made_seconds": 60.0, "made_mb": 900.0}
    sets = {"cranfield": {"words": 0.4, "hybrid": 0.44}, "xquad_en": {"words": 0.8, "hybrid": 0.9}}
    found = {"machine": "M", "load": 0.1, "model": "m", "rounds": 3, "quality": sets, "speed": {"1000": speed}}
    page = bench.search.markdown(found | {"approximate": graphs})
    assert "| textkit search | 0.4400 | 0.9000 |" in page
    assert "| faiss IndexFlatIP, vector given | 2.00 | 1.00 | 100 |" in page
    assert (
        "Indexing takes 10 s and 300 MB (100 lines/s, 0.80 of the rate of `textkit embed`); the index has 5 MB." in page
    )
    assert "recall@10 0.988 of 1,000 queries" in page
    (tmp_path / "english").mkdir()
    with gzip.open(tmp_path / "english" / "a.txt.gz", "wt") as stream:
        stream.write("".join(f"{'word ' * 8}number {number} and {'more ' * 3}\n" for number in range(20)))
    lines = bench.search.lines_of(tmp_path, 30)
    assert len(set(lines)) == 30
    assert bench.search.lines_of(tmp_path, 30) == lines


def test_parts_are_compared_turn_by_turn(bench: SimpleNamespace) -> None:
    def run(
        way: str, turn: int, seconds: float, at_work: float | None = None, equal: bool | None = True
    ) -> dict[str, object]:
        facts = {"what": "embed", "way": way, "turn": turn, "seconds": seconds, "at_work": at_work, "equal": equal}
        return {**facts, "lines": 1000, "bytes": 2_000_000}

    figures = [
        run("one process", 0, 40.0, equal=None), run("ray", 0, 25.0, 20.0), run("ray started", 0, 32.0, 20.0),
        run("one process", 1, 60.0, equal=None), run("ray", 1, 30.0, 30.0), run("two shards", 2, 1.0),
    ]  # fmt: skip
    commands = {"embed": "textkit embed", "translate": "textkit translate"}
    page = bench.parts_page.page(figures, commands)
    assert "`textkit embed`, 1,000 lines, 2.0 MB." in page
    assert "| one process, `--threads 1` | 50.0 | 1.00 | 1.00 to 1.00 |  |  |" in page
    assert "| two workers of a Ray that runs, `--address` | 27.5 | 1.80 | 1.60 to 2.00 | 2.00 | 2.00 to 2.00 |" in page
    assert "| two workers of a Ray started for it | 32.0 | 1.25 | 1.25 to 1.25 | 2.00 | 2.00 to 2.00 |" in page
    assert "two processes, `--shard" not in page  # a turn without its one process
    assert "Joined, the parts were what one process writes" in page
    assert "were **not** what" in bench.parts_page.page([*figures, run("ray", 0, 1.0, 1.0, False)], commands)
    # Four parts by two workers, the first two done at 10 and 12 s: the other two took 8 s.
    assert bench.parts.at_work([10.0, 12.0, 18.0, 20.0]) == 16.0
    assert bench.parts.at_work([10.0, 12.0]) is None


def test_overhead_and_kills_of_parts_are_told(bench: SimpleNamespace) -> None:
    figures = [
        {
            "what": "overhead",
            "way": way,
            "turn": turn,
            "seconds": seconds,
            "processors": 10.0,
            "bytes": 50_000_000,
            "parts": 20,
        }
        for way, turn, seconds in (
            ("one stream", 0, 10.0),
            ("parts", 0, 10.2),
            ("parts", 1, 10.0),
            ("one stream", 1, 10.0),
        )
    ]
    facts = {"what": "heads", "killed": True, "equal": True, "kept": True, "parts": 40, "lines": 1_000_000, "reruns": 1}
    figures += [{**facts, "behind": 3}, {**facts, "behind": 30}, {**facts, "behind": 31, "equal": False}]
    page = bench.parts_page.page([*figures, {**facts, "behind": 40, "killed": False}], {"embed": "textkit embed"})
    assert "| seconds | 10.00 | 10.10 | +1.0 | +0.0 to +2.0 |" in page
    assert "| seconds of processors | 10.00 | 10.00 | +0.0 | +0.0 to +0.0 |" in page
    assert (
        "The head was killed at a random moment 3 times, behind 3 to 31 of 40 parts of 1,000,000 lines. 2 times" in page
    )


def test_what_a_run_has_started_is_found_by_its_mark(bench: SimpleNamespace) -> None:
    with bench.parts.environment() as env:
        run = subprocess.Popen(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], env=env, stdout=-1
        )
        assert run.stdout is not None
        run.stdout.readline()
        assert bench.parts.started(env[bench.parts.MARK], "time.sleep") == [run.pid]
        assert bench.parts.started(env[bench.parts.MARK], "gcs_server") == []
    with run:
        assert run.wait(10) == -9
