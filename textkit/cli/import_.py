"""`textkit import`: word vectors of another tool become a model to serve. Parses and tells; textkit.interop works."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from textkit.cli.options import Remembering, Talk, bundle_options, protected_stdout, talk_options


@click.command("import", cls=Remembering)
@click.argument("source", metavar="SOURCE")
@bundle_options
@click.option(
    "--max-vocab",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N words of the file, which are its most frequent.",
)
@click.option(
    "--sample", metavar="FILE", help="Lines of text that the common component of --pooling sif is taken from."
)
@talk_options
@click.pass_context
def import_(
    ctx: click.Context,
    source: str,
    folder: Path,
    max_vocab: int | None,
    precision: str,
    name: str | None,
    licence: str,
    sample: str | None,
    overwrite: bool,
    talk: Talk,
) -> None:
    """Make a model of the word vectors in SOURCE, another tool's file; '-' reads stdin.

    Reads word2vec's text and binary formats, GloVe's text and fastText's .bin, plain or compressed, and tells them apart
    by what is in the file. Words stay as the file spells them, upper and lower case included. A fastText model keeps its
    character n-grams, so words that it has not seen get vectors too. Needs the package onnx (pip install 'textkit[train]').

    A line's vector is the plain mean of its words' vectors. fastText's print-sentence-vectors brings each word's vector
    to length 1 before it takes the mean: its numbers for lines are others, those for words are the same.
    """
    from textkit.bundle import check_target
    from textkit.interop.foreign import describe, make_bundle, read, sample_lines
    from textkit.interop.table import Room

    with protected_stdout():
        check_target(folder, overwrite)
        lines = sample_lines(sample) if sample else []
        found = read(source, Room(precision, max_vocab))
        for said in describe(found):
            talk.warn(said)
        written = make_bundle(
            found, folder, source=source, precision=precision, name=name, licence=licence, sample=lines,
            made={"command": shlex.join(ctx.meta[Remembering.KEY])}, overwrite=overwrite,
        )  # fmt: skip
    talk.note(f"read {len(found.words):,} words of {found.table.shape[1]} numbers ({found.format}), wrote {written}")
