"""`textkit convert`: writes word vectors in word2vec's formats. textkit.interop does the work."""

from __future__ import annotations

import click

from textkit.cli.options import Messages, device_option, message_options, promised, threads_option
from textkit.cli.stdout import STDOUT, protected_stdout
from textkit.cli.verb import Verb, examples


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit convert en-words words.vec",
        "textkit convert mine - --format word2vec-binary > mine.bin",
    ),
)
@click.argument("model", metavar="MODEL")
@click.argument("out", metavar="OUT", callback=promised())
@click.option(
    "--format",
    "chosen",
    type=click.Choice(["word2vec", "word2vec-binary"]),
    help="Default: by OUT's ending: .bin is binary, .vec and .txt are text; stdout gets text.",
)
@device_option
@threads_option
@message_options
def convert(model: str, out: str, chosen: str | None, device: str, threads: int | None, messages: Messages) -> None:
    """Write the word vectors of MODEL to OUT, in word2vec's text or binary format; '-' writes to stdout.

    MODEL is the name or the folder of a model, or a file of another tool: word2vec text or binary, GloVe text, fastText
    .bin. With a model, every word of the vocabulary goes through its graph. The format has no place for subwords: only the
    vectors of whole words are written.
    """
    from textkit.interop.word2vec_write import format_of, vectors_of, write_word2vec
    from textkit.streams.output import output_file

    out = "-" if out in STDOUT else out
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
