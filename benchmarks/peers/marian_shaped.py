"""Makes a MarianMT checkpoint with random weights: `python marian_shaped.py JOB`, in the translation peers' environment.

textkit imports it and CTranslate2 converts it (ct2-transformers-converter --model FOLDER), so that both run the same weights.
The tokenizers are learnt from real text, so that lines have realistic lengths. Needs torch, transformers and sentencepiece;
knows no textkit. Prints JSON.

JOB is JSON: `folder`, `source` and `target` (text files, one sentence per line), and any of the settings in MODEL below.
"""

from __future__ import annotations

import io
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel

MODEL = {
    "dim": 512, "layers": 6, "heads": 8, "feedforward": 2048, "vocabulary": 32_000, "activation": "swish", "seed": 0,
    "lines": 200_000,  # of text that the tokenizers are learnt from
    "spread": 0.05,  # of the weights: large enough that a step's likeliest words stand out, as in a trained model
}  # fmt: skip


def learnt(path: Path, text: str, size: int, lines: int) -> list[str]:
    """Writes a SentencePiece model of at most `size` pieces; returns its pieces."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        input=text, model_writer=model, vocab_size=size, hard_vocab_limit=False, input_sentence_size=lines,
        shuffle_input_sentence=False, num_threads=1, minloglevel=2,
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    loaded = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [loaded.id_to_piece(at) for at in range(len(loaded))]


def vocabulary(pieces: list[str], size: int) -> dict[str, int]:
    """A vocabulary like OPUS-MT's, filled up to `size`: </s> is 0, <unk> is 1, then the pieces of both sides, <pad> last."""
    special = ("</s>", "<unk>", "<s>", "<pad>")
    known = [piece for piece in dict.fromkeys(pieces) if piece not in special][: size - 3]
    known += [f"<filler{at}>" for at in range(size - 3 - len(known))]
    return {piece: at for at, piece in enumerate(["</s>", "<unk>", *known, "<pad>"])}


def main() -> None:
    job: dict[str, Any] = {**MODEL, **json.loads(Path(sys.argv[1]).read_text())}
    folder, size = Path(job["folder"]), job["vocabulary"]
    folder.mkdir(parents=True, exist_ok=True)
    # About a tenth of the pieces are the same on both sides.
    pieces = [
        learnt(folder / f"{side}.spm", job[side], int(size * 0.55), job["lines"]) for side in ("source", "target")
    ]
    table = vocabulary([piece for pair in zip(*pieces, strict=False) for piece in pair] + max(pieces, key=len), size)
    (folder / "vocab.json").write_text(json.dumps(table, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MarianTokenizer"}))
    pad = size - 1
    special = {"pad_token_id": pad, "eos_token_id": 0, "forced_eos_token_id": 0, "decoder_start_token_id": pad}
    torch.manual_seed(job["seed"])
    model = MarianMTModel(
        MarianConfig(
            vocab_size=size, d_model=job["dim"], encoder_layers=job["layers"], decoder_layers=job["layers"],
            encoder_attention_heads=job["heads"], decoder_attention_heads=job["heads"],
            encoder_ffn_dim=job["feedforward"], decoder_ffn_dim=job["feedforward"],
            activation_function=job["activation"], scale_embedding=True, max_position_embeddings=512,
            init_std=job["spread"], **special,
        )
    )  # fmt: skip
    model.generation_config = GenerationConfig(
        num_beams=4, length_penalty=1.0, max_length=512, bad_words_ids=[[pad]], **special
    )
    model.save_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    versions = {name: version(name) for name in ("transformers", "sentencepiece", "torch")}
    print(json.dumps({"folder": str(folder), "parameters": parameters, "pieces": len(table), "versions": versions}))


if __name__ == "__main__":
    main()
