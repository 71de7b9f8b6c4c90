"""Small random checkpoints of encoders, made with transformers and tokenizers on lines written here."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

ENGLISH = (
    "I am going home.", "A man rides a bike.", "Two dogs play in the snow.", "Where is the station?",
    "She reads a book about the sea.", "The children are singing a song.", "He has never been to Berlin.",
)  # fmt: skip
RUSSIAN = ("Я иду домой.", "Две собаки играют в снегу.", "Где вокзал?", "Она читает книгу о море.")
LINES = (
    *ENGLISH, *RUSSIAN, "naïve Café", "日本語", "\U0001f600 xqzz", "  two  spaces ", "[MASK] <mask> a", "①ﬁ e\u0301\u0323",
    "The children " * 40, ("She reads a book. " * 600)[:10_000],
)  # fmt: skip
BLANK = ("", "   ", "\t")
SPECIAL = {
    "bert": ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"),
    "distilbert": ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"),
    "mpnet": ("<s>", "</s>", "[UNK]", "<pad>", "<mask>"),
    "roberta": ("<s>", "</s>", "<unk>", "<pad>", "<mask>"),
    "xlm-roberta": ("<s>", "</s>", "<unk>", "<pad>", "<mask>"),
}
FAMILIES = tuple(SPECIAL)
LIMIT = 40  # tokens


def tokenizer_of(family: str) -> Any:
    """A tokenizer like the family's: WordPiece, byte-level pairs, or a Unigram behind SentencePiece's table of characters."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    start, end, unknown, pad, mask = SPECIAL[family]
    first = [start, pad, end, unknown, mask]  # so that the id of padding is 1, as in RoBERTa
    if family == "roberta":
        made = Tokenizer(models.BPE(unk_token=unknown, fuse_unk=False))
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=first,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    elif family == "xlm-roberta":
        pieces = [*((token, 0.0) for token in first), *unigrams()]
        made = Tokenizer(models.Unigram(pieces, first.index(unknown)))
        made.add_special_tokens(first)
        made.normalizer = normalizers.Precompiled(charsmap())
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        made.decoder = decoders.Metaspace()
        trainer = None  # its table would be another each time, as that of WordPiece
    else:
        trainer = None
        made = Tokenizer(models.WordPiece(wordpieces(first), unk_token=unknown))
        made.add_special_tokens(first)
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.WordPiece()
    if trainer is not None:
        made.train_from_iterator([*ENGLISH, *RUSSIAN], trainer)
    ids = {token: made.token_to_id(token) for token in (start, end)}
    if family in ("roberta", "mpnet"):
        made.post_processor = processors.RobertaProcessing((end, ids[end]), (start, ids[start]))
    elif family == "distilbert":
        made.post_processor = processors.BertProcessing((end, ids[end]), (start, ids[start]))
    else:
        made.post_processor = processors.TemplateProcessing(
            single=f"{start} $A {end}", special_tokens=list(ids.items())
        )
    return made


def wordpieces(first: list[str]) -> dict[str, int]:
    """The ids of `first`, of all letters, of half the words, and of the endings of the others."""
    words = sorted(
        {word for line in (*ENGLISH, *RUSSIAN) for word in line.lower().replace(".", " .").replace("?", " ?").split()}
    )
    letters = sorted({letter for word in words for letter in word})
    pieces = [
        *letters,
        *(f"##{letter}" for letter in letters),
        *words[::2],
        *(f"##{word[-3:]}" for word in words[1::2]),
    ]
    return {piece: at for at, piece in enumerate(dict.fromkeys([*first, *pieces]))}


def unigrams() -> list[tuple[str, float]]:
    """All letters, and all words with the mark before them; the logarithm of a share for each."""
    words = sorted({f"▁{word}" for line in (*ENGLISH, *RUSSIAN) for word in line.split()})
    letters = sorted({letter for word in words for letter in word})
    return [*((letter, -6.0) for letter in letters), *((word, -7.0 - len(word) / 10) for word in words)]


def charsmap() -> bytes:
    """SentencePiece's usual table of characters (nmt_nfkc)."""
    import io

    import sentencepiece

    from textkit.interop.sentencepiece_model import read_model

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ENGLISH * 3), model_writer=model, vocab_size=60, hard_vocab_limit=False, minloglevel=2
    )
    return read_model(model.getvalue(), "model").charsmap


def make_tokenizer(family: str, folder: Path, **config: Any) -> int:
    """Writes tokenizer.json and tokenizer_config.json; returns how many ids there are."""
    start, end, unknown, pad, mask = SPECIAL[family]
    made = tokenizer_of(family)
    made.save(str(folder / "tokenizer.json"))
    entries = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LIMIT, "cls_token": start, "sep_token": end,
        "unk_token": unknown, "pad_token": pad, "mask_token": mask,
    } | config  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(entries))
    return made.get_vocab_size()


def make_checkpoint(folder: Path, family: str = "bert", head: str = "Model", seed: int = 1, **config: Any) -> Any:
    """Writes a random checkpoint; returns transformers' model of it."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    rows = make_tokenizer(family, folder)
    classes = {"bert": "Bert", "distilbert": "DistilBert", "mpnet": "MPNet", "roberta": "Roberta"} | {
        "xlm-roberta": "XLMRoberta"
    }
    sizes: dict[str, Any] = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": rows,
        "max_position_embeddings": 64, "pad_token_id": 1, "layer_norm_eps": 1e-5,
    }  # fmt: skip
    if family == "distilbert":
        sizes = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48} | {
            key: sizes[key] for key in ("vocab_size", "max_position_embeddings", "pad_token_id")
        }
    torch.manual_seed(np.int64(seed))  # not an int, so that other_seeds.py leaves it alone
    made = getattr(transformers, classes[family] + head)(
        getattr(transformers, f"{classes[family]}Config")(**sizes | config)
    ).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.2)
            elif "norm" in name.lower():
                parameter.normal_(1, 0.2)
            else:
                parameter.normal_(0, 0.3)
    made.save_pretrained(folder)
    return made


def make_sentences(
    folder: Path, family: str = "bert", pooling: str = "mean_tokens", dense: str = "", normalize: bool = True,
    longest: int | None = LIMIT, inner: str = "", **config: Any,
) -> Any:  # fmt: skip
    """Writes a folder as sentence-transformers does; returns transformers' model of the encoder in it.

    `dense`: the activation of a linear layer behind the pooling; "": there is none. `inner`: the encoder's own folder.
    """
    import torch
    from safetensors.torch import save_file

    model = make_checkpoint(folder / inner, family, **config)
    (folder / inner / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": longest, "do_lower_case": False})
    )
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *(["Normalize"] if normalize else [])]
    modules = []
    for at, kind in enumerate(kinds):
        place = inner if kind == "Transformer" else f"{at}_{kind}"
        (folder / place).mkdir(exist_ok=True)
        modules.append({"idx": at, "name": str(at), "path": place, "type": f"sentence_transformers.models.{kind}"})
    (folder / "modules.json").write_text(json.dumps(modules))
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 32} | {f"pooling_mode_{mode}": mode == pooling for mode in modes})
    )
    if dense:
        torch.manual_seed(np.int64(7))
        weights = {"linear.weight": torch.randn(24, 32) * 0.3, "linear.bias": torch.randn(24) * 0.3}
        save_file(weights, folder / "2_Dense" / "model.safetensors")
        (folder / "2_Dense" / "config.json").write_text(
            json.dumps({"in_features": 32, "out_features": 24, "bias": True, "activation_function": dense})
        )
    return model


def their_tokens(folder: Path, model: Any, lines: list[str], longest: int = LIMIT) -> tuple[Any, Any]:
    """transformers' vectors f32[line, token, dim] of the lines' tokens, and which tokens are no padding."""
    import torch
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))
    given = tokenizer(lines, return_tensors="pt", padding=True, truncation=True, max_length=longest)
    base = getattr(model, model.base_model_prefix, model)
    with torch.no_grad():
        found = base(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    return found, given["attention_mask"].bool()


def their_vectors(
    folder: Path, model: Any, lines: list[str], pooling: str = "mean_tokens", dense: str = "", normalize: bool = True,
    longest: int = LIMIT, inner: str = "",
) -> np.ndarray:  # fmt: skip
    """The vectors of the lines as sentence-transformers makes them of transformers' tokens, f32[line, dim]."""
    import torch
    from safetensors.torch import load_file

    tokens, real = their_tokens(folder / inner, model, lines, longest)
    mask = real[:, :, None]
    if pooling == "cls_token":
        vectors = tokens[:, 0]
    elif pooling == "max_tokens":
        vectors = tokens.masked_fill(~mask, -1e9).amax(1)
    else:
        vectors = (tokens * mask).sum(1) / mask.sum(1)
    if dense:
        weights = load_file(folder / "2_Dense" / "model.safetensors")
        vectors = vectors @ weights["linear.weight"].T + weights["linear.bias"]
        vectors = torch.tanh(vectors) if dense.endswith("Tanh") else vectors
    if normalize:
        vectors = torch.nn.functional.normalize(vectors, dim=1)
    return vectors.numpy()


def charsmap_of(folder: Path) -> bytes:
    """The table of characters in a folder's tokenizer.json."""
    parts = json.loads((folder / "tokenizer.json").read_text())
    return base64.b64decode(parts["normalizer"]["precompiled_charsmap"])
