"""`textkit convert`: writes an embedding model for other tools, as word2vec's file or as a folder; textkit.interop does it."""

from __future__ import annotations

import click

from textkit.cli.options import Messages, device_option, message_options, promised, threads_option
from textkit.cli.stdout import STDOUT, protected_stdout
from textkit.cli.verb import Verb, examples
from textkit.errors import UsageError


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit convert en-words words.vec",
        "textkit convert mine - --format word2vec-binary > mine.bin",
        "textkit convert minilm folder --format sentence-transformers",
    ),
)
@click.argument("model", metavar="MODEL")
@click.argument("out", metavar="OUT", callback=promised())
@click.option(
    "--format",
    "chosen",
    type=click.Choice(["word2vec", "word2vec-binary", "sentence-transformers"]),
    metavar="FORMAT",
    help="word2vec, word2vec-binary, or sentence-transformers. Default: by OUT's ending: .bin is binary, .vec and .txt are "
    "text; stdout gets text.",
)
@device_option
@threads_option
@message_options
def convert(model: str, out: str, chosen: str | None, device: str, threads: int | None, messages: Messages) -> None:
    """Write the word vectors of MODEL to OUT, in word2vec's text or binary format; '-' writes to stdout. With --format
    sentence-transformers, OUT is a folder that sentence-transformers, transformers, fastembed and optimum open.

    MODEL is the name or the folder of a model, or a file of another tool: word2vec text or binary, GloVe text, fastText
    .bin. With a model, every word of the vocabulary goes through its graph. word2vec's formats have no place for subwords:
    only the vectors of whole words are written.

    A folder gives the vectors that `textkit embed` gives with the model's own pooling, and `textkit import` reads it back. A
    transformer (of the family sentence-encoder, pooled by mean, maximum or first token) becomes a BertModel, or an MPNetModel
    if it has relative positions, with its tokenizer and onnx/model.onnx. A table of vectors that are averaged becomes a
    StaticEmbedding. Other models are refused: hashed n-grams, subwords that share a word's weight, other poolings. An int8
    model is written with the numbers that its integers stand for. Other tools give a blank line a vector of its special
    tokens; textkit gives zeros.

    Writing a folder needs the packages of training (pip install 'textkit-onnx[train]').
    """
    from textkit.interop.word2vec_write import format_of, vectors_of, write_word2vec
    from textkit.streams.output import output_file

    out = "-" if out in STDOUT else out
    if chosen == "sentence-transformers":
        if out == "-":
            raise UsageError(f"OUT -: --format {chosen} writes a folder")
        _convert_folder(model, out, device, threads, messages)
        return
    binary = format_of(out, chosen) == "word2vec-binary"
    with protected_stdout() as stdout:
        words, table = vectors_of(model, device, threads, messages.warn)
        if out == "-":
            left_out = write_word2vec(stdout, words, table, binary)
        else:
            with output_file(out) as stream:
                left_out = write_word2vec(stream, words, table, binary)
    if left_out:
        messages.warn(f"{left_out:,} words left out: they are empty or hold white space, and the format cannot say so")
    messages.note(f"wrote {len(words) - left_out:,} vectors of {table.shape[1]} numbers to {out}")


def _convert_folder(model: str, out: str, device: str, threads: int | None, messages: Messages) -> None:
    from pathlib import Path

    from textkit.interop.sentence_write import write_folder

    with protected_stdout():
        written = write_folder(model, Path(out), device, threads, messages.warn)
    messages.note(f"wrote a {written} to {out}")
