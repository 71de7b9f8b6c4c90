"""Folders for sentence-transformers, transformers, fastembed and optimum: their vectors are textkit's; the rest is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="models are exported with torch: pip install 'textkit-onnx[train]'")

import torch
from encoder_checkpoints import ENGLISH, LIMIT, RUSSIAN, make_sentences, their_vectors, tokenizer_of
from small_embedder import TABLE, WORDS, write_ngrams, write_words
from tokenizers import Tokenizer

from textkit.bundle.writing import amend
from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.exporting.parity import load
from textkit.interop import encoder
from textkit.interop.encoder_write import bucket_of_distance
from textkit.interop.sentence_write import check_vectors, folder_of, write_folder
from textkit.registry import registry
from textkit.tasks.embed.exporting.export import export_embedding_table
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.text.normalizer import Normalizer
from textkit.text.tokenizer import Pretokenized
from textkit.text.words import Words

LINES = [
    *ENGLISH, *RUSSIAN, "naïve Café", "日本語", "\U0001f600 xqzz", "  two  spaces ", "e\u0301\u0323", "The children " * 40,
]  # fmt: skip
# As in test_encoder_import.py: torch then traces each once for both files.
MODELS = {"bert": {}, "mpnet": {"family": "mpnet", "dense": "torch.nn.modules.activation.Tanh"}}


def rule_of(family: str) -> Pretokenized:
    return Pretokenized(tokenizer_of(family).to_str().encode())


class Models:
    """Each model, and the folder written of it, made once."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def original(self, name: str) -> Path:
        """A folder of random weights that is imported."""
        folder = self.base / f"{name}-original"
        if not folder.exists():
            make_sentences(folder, **MODELS[name])
        return folder

    def model(self, name: str, precision: str = "fp32") -> Path:
        folder = self.base / f"{name}-{precision}"
        if not folder.exists():
            read = encoder.read(self.original(name))
            encoder.make_bundle(read, folder, source="test", sample=ENGLISH, precision=precision)
        return folder

    def folder(self, name: str) -> Path:
        folder = self.base / f"{name}-folder"
        if not folder.exists():
            write_folder(str(self.model(name)), folder, "cpu", 1)
        return folder

    def vectors(self, name: str) -> np.ndarray:
        return Embedder(self.model(name), "cpu", 1)(LINES)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    pytest.importorskip("transformers", reason="transformers makes the checkpoints: pip install '.[test]'")
    return Models(tmp_path_factory.mktemp("written"))


def read_back(folder: Path) -> tuple[encoder.Encoder, np.ndarray]:
    """What `textkit import` reads, and the vectors f32[line, dim] of its network."""
    read = encoder.read(folder)
    plugin = registry.get(read.plugin)
    config = plugin.Config(**read.options)
    network = plugin.network(config, read.rule).eval()
    network.load_state_dict({**network.state_dict(), **read.state})
    found = []
    for line in LINES:
        ids, weight = map(torch.from_numpy, padded(read.rule, [line], read.limit))
        with torch.no_grad():
            found.append(network.projected(network.encoder(ids, weight)[0])[0].numpy())
    vectors = np.array(found)
    return read, vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if config.normalize else vectors


# ---- transformers


@pytest.mark.parametrize("name", MODELS)
def test_import_reads_back_what_was_written(models, name):
    wanted = models.vectors(name)
    read, found = read_back(models.folder(name))
    assert np.abs(found - wanted).max() < 1e-5
    assert np.abs(wanted @ wanted.T).min() < 0.9  # vectors that are all alike would prove nothing
    original = encoder.read(models.original(name))
    assert (read.options, read.limit, read.defaults) == (original.options, LIMIT, {"long": "cut"})
    assert read.rule.encode(LINES).ids.tolist() == original.rule.encode(LINES).ids.tolist()


def test_weights_that_are_equal_are_all_written(models, tmp_path):
    """torch keeps one of equal weights; norms and biases are equal as long as no training has changed them."""
    read = encoder.read(models.original("bert"))
    equal = {name: "weight" in name for name in read.state if "norm." in name or name.endswith(".bias")}
    for name, one in equal.items():
        read.state[name] = torch.full_like(read.state[name], float(one))
    encoder.make_bundle(read, tmp_path / "model", source="test", sample=ENGLISH, precision="fp32")
    write_folder(str(tmp_path / "model"), tmp_path / "folder", "cpu", 1)
    again = encoder.read(tmp_path / "folder")
    assert len(equal) > 20
    assert all(torch.equal(again.state[name], read.state[name]) for name in equal)


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_beside_it_gives_these_vectors(models, name):
    graph = load((models.folder(name) / "onnx" / "model.onnx").read_bytes())
    tokenizer = Tokenizer.from_file(str(models.folder(name) / "tokenizer.json"))  # as fastembed goes about it
    tokenizer.enable_truncation(LIMIT)
    tokenizer.enable_padding(pad_id=1, pad_token="?")
    encoded = tokenizer.encode_batch(LINES)
    mask = np.array([each.attention_mask for each in encoded])
    assert mask.min() == 0
    feeds = {"input_ids": np.array([each.ids for each in encoded]), "attention_mask": mask}
    if name == "bert":
        feeds["token_type_ids"] = np.zeros_like(mask)
    tokens = graph.run(feeds, ["last_hidden_state"])["last_hidden_state"]
    vectors = (tokens * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    if name == "mpnet":
        read = encoder.read(models.folder(name))
        vectors = np.tanh(vectors @ read.state["dense.weight"].numpy().T + read.state["dense.bias"].numpy())
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.abs(vectors - models.vectors(name)).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
def test_transformers_opens_it(models, name):
    import transformers

    folder = models.folder(name)
    made, loading = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(made).__name__ == {"bert": "BertModel", "mpnet": "MPNetModel"}[name]
    dense = MODELS[name].get("dense", "")
    assert np.abs(their_vectors(folder, made.eval(), LINES, dense=dense) - models.vectors(name)).max() < 1e-5
    auto = transformers.AutoTokenizer.from_pretrained(folder)(LINES, truncation=True)
    assert auto["input_ids"] == [
        ids if len(ids) <= LIMIT else [*ids[: LIMIT - 1], ids[-1]]
        for ids in (encoder.read(folder).rule.encode([line]).ids.tolist() for line in LINES)
    ]
    assert ("token_type_ids" in auto) == (name == "bert")


@pytest.mark.parametrize("name", MODELS)
def test_sentence_transformers_opens_it(models, name):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
    found = sentence_transformers.SentenceTransformer(str(models.folder(name)), device="cpu").encode(LINES)
    assert np.abs(found - models.vectors(name)).max() < 1e-5


def test_fastembed_opens_it(models):
    fastembed = pytest.importorskip("fastembed", reason="pip install fastembed")
    from fastembed.common.model_description import ModelSource, PoolingType

    fastembed.TextEmbedding.add_custom_model(
        model="textkit/test", pooling=PoolingType.MEAN, normalization=True, sources=ModelSource(hf="textkit/test"), dim=32,
        model_file="onnx/model.onnx",
    )  # fmt: skip
    opened = fastembed.TextEmbedding(
        "textkit/test", specific_model_path=str(models.folder("bert")), providers=["CPUExecutionProvider"]
    )
    assert np.abs(np.array(list(opened.embed(LINES))) - models.vectors("bert")).max() < 1e-5


def test_an_int8_model_is_written_with_what_its_integers_stand_for(models, tmp_path):
    said: list[str] = []
    write_folder(str(models.model("bert", "int8")), tmp_path / "folder", "cpu", 1, said.append)
    assert [line for line in said if line.startswith("int8: ")] == said
    assert len(said) == 1
    _, found = read_back(tmp_path / "folder")
    cosines = (found * models.vectors("bert")).sum(1)
    assert 0.95 < cosines.min() < cosines.max() < 1
    assert not np.array_equal(
        encoder.read(tmp_path / "folder").state["encoder.tokens.embedding.weight"],
        encoder.read(models.folder("bert")).state["encoder.tokens.embedding.weight"],
    )


def test_distances_fall_into_the_buckets_of_the_network():
    from textkit_plugins.encoder.transformer import relative_buckets

    assert bucket_of_distance(514).tolist() == relative_buckets(514, 32, 128).tolist()


# ---- tables


def in_a_bag(folder: Path, lines: list[str]) -> np.ndarray:
    """What StaticEmbedding makes of lines, f32[line, dim], not normalised."""
    from safetensors.numpy import load_file

    table = load_file(folder / "0_StaticEmbedding" / "model.safetensors")["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / "0_StaticEmbedding" / "tokenizer.json"))
    ids = [each.ids for each in tokenizer.encode_batch(lines, add_special_tokens=False)]
    return np.array([table[each].mean(0) if each else np.zeros(table.shape[1]) for each in ids])


def test_words_outside_of_the_table_are_left_out(tmp_path):
    rule, table = Words([*WORDS, "c"], Normalizer(clean=True)), np.vstack([TABLE, [[7, 7, 7]]]).astype(np.float32)
    model = write_words(tmp_path / "model", rule=rule, table=table, probability=None)
    said: list[str] = []
    write_folder(str(model), tmp_path / "folder", "cpu", 1, said.append)
    lines = ["The cat xqz.", "thecat xc ca", "", "cat,CAT\u00a0dog...the\tca\u0301t"]
    the, cat, _, dog, dot = TABLE
    wanted = [(the + cat + dot) / 3, 0 * the, 0 * the, (2 * cat + dog + 3 * dot + the) / 7]
    np.testing.assert_allclose(in_a_bag(tmp_path / "folder", lines), wanted, atol=1e-6)
    np.testing.assert_allclose(Embedder(model, "cpu", 1)(lines), wanted, atol=1e-6)
    assert said == [
        "textkit first leaves out invisible characters and spells out ligatures and full-width forms; readers of the folder "
        "do not"
    ]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_special_tokens_around_a_line_stay_in_its_mean(tmp_path, precision):
    rule = rule_of("bert")
    table = np.random.default_rng(3).standard_normal((len(rule), 16)).astype(np.float32)
    model = export_embedding_table(tmp_path / "model", rule=rule, table=table, precision=precision)
    write_folder(str(model), tmp_path / "folder", "cpu", 1)
    wanted = Embedder(model, "cpu", 1)(LINES)
    assert np.abs(in_a_bag(tmp_path / "folder", LINES) - wanted).max() < 1e-5  # exactly those of the integers, too
    assert not in_a_bag(tmp_path / "folder", ["", "  \t"]).any()
    read = encoder.read(tmp_path / "folder")
    encoded = read.rule.encode(["a", ""])
    assert encoded.lengths.tolist() == [3, 0]
    assert read.options["encoder"] == "bag"
    if precision == "fp32":  # a plain StaticEmbedding ignores special tokens
        fresh = shutil.copytree(tmp_path / "folder", tmp_path / "fresh") / "0_StaticEmbedding"
        (fresh / "tokenizer.json").write_bytes(rule.files()["tokenizer.json"])
        assert encoder.read(tmp_path / "fresh").rule.encode(["a"]).lengths.tolist() == [1]


def test_convert_and_import_of_a_table(call, tmp_path):
    model = write_words(tmp_path / "model", rule=Words([*WORDS, "σας"], Normalizer(unicode="NFC")),
                        table=np.vstack([TABLE, [[1, 2, 3]]]).astype(np.float32), probability=None,
                        defaults={"normalize": True}, licence="MIT", data=[{"file": "text", "note": "ours"}])  # fmt: skip
    code, out, error = call("convert", model, tmp_path / "folder", "--format", "sentence-transformers", "-v")
    assert (code, out) == (0, "")
    assert "wrote a sentence-transformers folder (StaticEmbedding, 6 tokens)" in error
    assert "capital sigma" in error
    assert "Licence: MIT" in (tmp_path / "folder" / "README.md").read_text()
    assert call("import", tmp_path / "folder", "-o", tmp_path / "back")[0] == 0
    lines = ["The cat sat.", "ΣΑΣ cat σ", "xqz", "dog" * 3 + " dog"]
    found = Embedder(tmp_path / "back", "cpu", 1)(lines)
    np.testing.assert_allclose(found, Embedder(model, "cpu", 1)(lines), atol=1e-6)
    assert found[1].any()
    assert not found[2].any()


def test_sentence_transformers_opens_a_table(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="pip install sentence-transformers")
    model = write_words(tmp_path / "model")
    write_folder(str(model), tmp_path / "folder", "cpu", 1)
    opened = sentence_transformers.SentenceTransformer(str(tmp_path / "folder"), device="cpu")
    lines = ["The cat sat.", "xqz", "dogdog dog"]
    np.testing.assert_allclose(opened.encode(lines), Embedder(model, "cpu", 1)(lines), atol=1e-6)


def test_a_wrong_static_folder_is_one_line(tmp_path):
    model = write_words(tmp_path / "model")
    write_folder(str(model), tmp_path / "folder", "cpu", 1)
    from safetensors.numpy import save_file

    weights = tmp_path / "folder" / "0_StaticEmbedding" / "model.safetensors"
    for tensors, said in (
        ({"embedding.weight": TABLE[:3]}, "tokenizer.json has 5 ids, the table 3 rows"),
        ({"other": TABLE}, "holds other; a table embedding.weight or embeddings alone is read"),
        ({"embeddings": TABLE * np.nan}, "embeddings holds NaN"),
        ({"embeddings": TABLE[0]}, "holds embeddings; a table"),
    ):
        save_file(tensors, weights)
        with pytest.raises(TextkitError, match=said):
            encoder.read(tmp_path / "folder")
    save_file({"embeddings": TABLE}, weights)  # as Model2Vec calls it
    assert torch.equal(encoder.read(tmp_path / "folder").state["encoder.tokens.embedding.weight"], torch.tensor(TABLE))


# ---- what is refused


def changed(models: Models, folder: Path, name: str, defaults: dict | None = None, **options: object) -> Embedder:
    """A copy of a model whose manifest promises something else."""
    shutil.copytree(models.model(name), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    made = manifest["made"] | {"options": manifest["made"]["options"] | options}
    amend(folder, made=made, defaults=manifest["defaults"] | (defaults or {}))
    return Embedder(folder, "cpu", 1)


PROMISES = {
    "distances": ("bert", {"relative_buckets": 32}, "promise relative.weight of"),
    "attention": ("mpnet", {"pooling": "attention"}, "pools by 'attention'; a folder can pool by mean, max, cls"),
    "buckets": ("mpnet", {"relative_buckets": 8}, "has 8 buckets of relative positions; MPNet in transformers has 32"),
    "activation": ("bert", {"activation": "tanh"}, "activation is 'tanh', not gelu or relu"),
    "layers": ("bert", {"layers": 3}, r"promise layers.2.query.weight of \[32, 32\], and its graph lacks it"),
    "sizes": (
        "bert",
        {"feedforward": 40},
        r"promise layers.0.inner.weight of \[40, 32\], and its graph has \[48, 32\]",
    ),
    "heads": ("bert", {"heads": 5}, "dim 32 is no multiple of heads 5"),
    "no number": ("bert", {"dim": "32"}, "dim is 32, not a whole number"),
    "cnn": ("bert", {"encoder": "cnn"}, "its encoder is 'cnn'; a transformer like BERT with mean, max or cls pooling"),
}


@pytest.mark.parametrize("kind", PROMISES)
def test_what_no_folder_holds_is_one_line(models, tmp_path, kind):
    name, options, said = PROMISES[kind]
    with pytest.raises(TextkitError, match=said) as caught:
        folder_of(changed(models, tmp_path / "copy", name, **options))
    assert str(caught.value).startswith(f"{tmp_path}/copy: ")
    assert "\n" not in str(caught.value)


def test_a_folder_with_other_vectors_is_not_written(models, tmp_path):
    for at, options in enumerate(({"heads": 8}, {"activation": "relu"}, {"norm_epsilon": 0.1})):
        embedder = changed(models, tmp_path / str(at), "bert", **options)
        with pytest.raises(TextkitError, match="would give other vectors than the model: nothing was written"):
            check_vectors(folder_of(embedder), embedder)
    embedder = changed(models, tmp_path / "cls", "mpnet", pooling="cls")
    made = folder_of(embedder)
    modes = json.loads(made.files["1_Pooling/config.json"])
    assert [mode for mode, on in modes.items() if on is True] == ["pooling_mode_cls_token", "include_prompt"]
    with pytest.raises(TextkitError, match="would give other vectors"):
        check_vectors(made, embedder)


def test_a_model_that_knows_no_word_of_the_lines_tried_is_compared_all_the_same(tmp_path):
    embedder = Embedder(
        write_words(tmp_path / "own", rule=Words(["zorb", "quux"], Normalizer()), table=TABLE[:2], probability=None),
        "cpu",
        1,
    )
    made = folder_of(embedder)
    check_vectors(made, embedder)
    with pytest.raises(TextkitError, match="would give other vectors than the model: nothing was written"):
        check_vectors(dataclasses.replace(made, vectors=lambda lines: 2 * made.vectors(lines)), embedder)
    nothing = write_words(
        tmp_path / "none", rule=Words(["Zorb", "Quux"], Normalizer()), table=TABLE[:2], probability=None
    )
    embedder = Embedder(nothing, "cpu", 1)  # no line has a word in capitals, once it is in lower case
    with pytest.raises(TextkitError, match="no line has a vector to compare"):
        check_vectors(folder_of(embedder), embedder)


def test_other_ways_to_embed_are_told_or_refused(models, tmp_path):
    embedder = changed(models, tmp_path / "max", "bert", {"pooling": "max", "normalize": False, "long": "split"})
    made = folder_of(embedder)
    check_vectors(made, embedder)
    assert made.notes == [
        "sentence-transformers cuts a line after 40 tokens; textkit splits it, and averages the parts"
    ]
    with pytest.raises(TextkitError, match="pools by 'sif'"):
        folder_of(changed(models, tmp_path / "sif", "bert", {"pooling": "sif"}))
    with pytest.raises(TextkitError, match="a folder's linear layer comes behind its pooling"):
        folder_of(changed(models, tmp_path / "mean", "mpnet", {"pooling": "mean"}))


def test_tables_that_are_no_means_are_refused(tmp_path):
    spaced = Words(["a b", "c"], Normalizer(punctuation="keep"), spaces="ascii")
    roberta = rule_of("roberta")
    for at, (model, said) in enumerate(
        (
            (write_ngrams(tmp_path / "ngrams"), "spells words outside of its table by n-grams"),
            (write_words(tmp_path / "sif", defaults={"pooling": "sif"}), "pools by 'sif'; a StaticEmbedding takes the mean"),
            (write_words(tmp_path / "spaced", rule=spaced, table=TABLE[:2], probability=None), "words that hold white space"),
            (
                export_embedding_table(tmp_path / "roberta", rule=roberta, table=np.ones((len(roberta), 2), np.float32)),
                "puts special tokens around each line, which a StaticEmbedding leaves out",
            ),
        )
    ):  # fmt: skip
        with pytest.raises(TextkitError, match=said):
            write_folder(str(model), tmp_path / f"out{at}", "cpu", 1)
        assert not (tmp_path / f"out{at}").exists()


def test_a_folder_that_holds_something_is_left_alone(call, tmp_path):
    model = write_words(tmp_path / "model")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    told = ["--format", "sentence-transformers"]
    code, _, error = call("convert", model, tmp_path / "out", *told)
    assert (code, error) == (1, f"textkit: {tmp_path}/out: is not empty; it is left alone\n")
    code, _, error = call("convert", model, "-", *told)
    assert (code, error) == (2, "textkit: OUT -: --format sentence-transformers writes a folder\n")
    (tmp_path / "vectors.vec").write_text("1 2\na 1 2\n")
    code, _, error = call("convert", tmp_path / "vectors.vec", tmp_path / "new", *told)
    assert code == 2
    assert "is a file; `textkit import` makes a model of it" in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out", "vectors.vec"]
