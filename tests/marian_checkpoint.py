"""A small random MarianMT checkpoint, made with transformers and sentencepiece on lines written here."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

ENGLISH = (
    "I am going home.", "A man rides a bike.", "Two dogs play in the snow.", "Where is the station?",
    "She reads a book about the sea.", "The children are singing a song.", "He has never been to Berlin.",
    "It is raining, so we stay at home.", "Do you want tea or coffee?", "The bike is older than the man.",
    "We were singing in the rain.", "A woman in a red coat is waiting for the bus.", "Nobody knows where the book is.",
)  # fmt: skip
GERMAN = (
    "Ich gehe nach Hause.", "Ein Mann fährt Fahrrad.", "Zwei Hunde spielen im Schnee.", "Wo ist der Bahnhof?",
    "Sie liest ein Buch über das Meer.", "Die Kinder singen ein Lied.", "Er war noch nie in Berlin.",
    "Es regnet, also bleiben wir zu Hause.", "Möchtest du Tee oder Kaffee?", "Das Fahrrad ist älter als der Mann.",
    "Wir haben im Regen gesungen.", "Eine Frau in einem roten Mantel wartet auf den Bus.", "Niemand weiß, wo das Buch ist.",
)  # fmt: skip
HOSTILE = (
    "", " ", "  a   b ", "ß", "Straße über ßß ü", "日本語", "🙂🙂 x", "</s> a <pad> b<unk>c", ">>de<< I am", ">>de<<",
    "a>>de<<", ">> a", "ﬁ①Ｗ", "e\u0301\u0323", "＜/s＞", "▁a▁", "\u2028x\u00a0y\tz", "x" * 200,
)  # fmt: skip


def train_spm(lines: tuple[str, ...] | list[str], path: Path, size: int, **options: Any) -> None:
    """A SentencePiece model of `lines` at `path`."""
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=size, num_threads=1, minloglevel=2,
        hard_vocab_limit=False, **options,
    )  # fmt: skip
    path.write_bytes(model.getvalue())


def pieces_of(path: Path) -> list[str]:
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(at) for at in range(len(model))]


def vocabulary_of(*lists: list[str], seed: int = 0) -> dict[str, int]:
    """A vocabulary like OPUS-MT's: </s> 0, <unk> 1, the pieces of both sides in some other order, <pad> last."""
    pieces = sorted({piece for pieces in lists for piece in pieces} - {"</s>", "<unk>", "<s>", "<pad>"})
    random.Random(seed).shuffle(pieces)
    return {piece: at for at, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}


def write_vocabularies(folder: Path, own: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Writes the vocabularies of both sides, and returns them; without `own` they are one."""
    source, target = (pieces_of(folder / f"{side}.spm") for side in ("source", "target"))
    tokenizer: dict[str, Any] = {"source_lang": "en", "target_lang": "de", "tokenizer_class": "MarianTokenizer"}
    if own:
        # config.json has one id for a special token of both sides, so <pad> is the last id of the smaller vocabulary.
        vocabulary, target_vocabulary = vocabulary_of(source), vocabulary_of(target, seed=1)
        size = min(len(vocabulary), len(target_vocabulary))
        for table in (vocabulary, target_vocabulary):
            at = table.pop("<pad>")
            for piece in [piece for piece, row in table.items() if row == size - 1]:
                table[piece] = at
            table["<pad>"] = size - 1
        (folder / "target_vocab.json").write_text(json.dumps(target_vocabulary))
        tokenizer["separate_vocabs"] = True
    else:
        vocabulary = target_vocabulary = vocabulary_of(source, target)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return vocabulary, target_vocabulary


def make_checkpoint(
    folder: Path,
    *,
    own: bool = False,
    seed: int = 0,
    ending: float = 2.5,
    sharp: float = 2.5,
    pad_bias: float = 2.0,
    generation: dict[str, Any] | None = None,
    **config: Any,
) -> Any:
    """Writes a checkpoint and returns its model. `own`: each side has its own vocabulary and table.

    `ending`: how likely translations end; `sharp`: how sharp attention is, and so how much small differences grow.
    """
    import torch
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    folder.mkdir(parents=True, exist_ok=True)
    train_spm(ENGLISH, folder / "source.spm", 120)
    train_spm(GERMAN, folder / "target.spm", 130)
    vocabulary, target_vocabulary = write_vocabularies(folder, own)
    pad = vocabulary["<pad>"]
    options = {
        "vocab_size": len(vocabulary), "decoder_vocab_size": len(target_vocabulary), "d_model": 16, "encoder_layers": 2,
        "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24, "activation_function": "swish", "scale_embedding": True, "max_position_embeddings": 64,
        "pad_token_id": pad, "eos_token_id": 0, "forced_eos_token_id": 0, "decoder_start_token_id": pad,
        "share_encoder_decoder_embeddings": not own, "init_std": 0.4,
    } | config  # fmt: skip
    torch.manual_seed(
        np.int64(seed)
    )  # not an int, so that other_seeds.py leaves it alone: with this seed lines end at different places
    model = MarianMTModel(MarianConfig(**options)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "layer_norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "encoder_attn" in name or "self_attn" in name:
                # so that the next word depends on the source and on all words before, not only on the last one
                parameter.mul_(sharp)
        model.final_logits_bias.copy_(0.3 * torch.randn_like(model.final_logits_bias))
        # makes translations end, and makes <pad> likely where nothing forbids it
        model.final_logits_bias[0, [0, pad]] += torch.tensor([ending, pad_bias])
    model.generation_config = GenerationConfig(
        **{
            "num_beams": 4, "length_penalty": 1.0, "max_length": 24, "bad_words_ids": [[pad]], "pad_token_id": pad,
            "eos_token_id": 0, "forced_eos_token_id": 0, "decoder_start_token_id": pad,
        } | (generation or {})
    )  # fmt: skip
    model.save_pretrained(folder)
    return model


class Checkpoints:
    """(options) -> the folder of a checkpoint and transformers' model of it; each is made once."""

    def __init__(self, folder: Path) -> None:
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.folder = folder
        self.made: dict[str, tuple[Path, Any]] = {}

    def __call__(self, **options: Any) -> tuple[Path, Any]:
        key = json.dumps(options, sort_keys=True)
        if key not in self.made:
            folder = self.folder / str(len(self.made)) / "checkpoint"
            self.made[key] = folder, make_checkpoint(folder, **options)
        return self.made[key]


def sentences(count: int, seed: int = 0) -> list[str]:
    """The lines of the checkpoint's text, and random lines of the same words."""
    generator = random.Random(seed)
    words = " ".join(ENGLISH).split()
    made = [" ".join(generator.choice(words) for _ in range(generator.randrange(1, 14))) for _ in range(count)]
    return [*ENGLISH, *made]


def their_tokenizer(folder: Path) -> Any:
    from transformers import MarianTokenizer

    return MarianTokenizer.from_pretrained(str(folder))


def network(read: Any) -> Any:
    """The plugin's network with the weights that were read."""
    from textkit.interop import marian
    from textkit.registry import registry

    plugin = registry.get(marian.PLUGIN)
    made = plugin.network(plugin.Config(**read.options), read.rule)
    made.load_state_dict(read.state)
    return made.eval()


def changed(folder: Path, name: str, **values: Any) -> None:
    """Changes a JSON file; a value of None removes the key."""
    path = folder / name
    entries = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in entries.items() if value is not None}))
