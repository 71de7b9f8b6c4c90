"""`textkit import`: another tool's word vectors, classifier, encoder or translation model. textkit.interop does the work."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import click

from textkit.cli.options import Messages, bundle_options, explain_option, message_options
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_typed
from textkit.cli.verb import Remembering, examples
from textkit.errors import UsageError


@click.command(
    "import",
    cls=Remembering,
    epilog=examples(
        "textkit import vectors.bin -o exported_models/mine --max-vocab 200000",
        "textkit import cc.en.300.bin -o exported_models/cc --precision int8",
        "textkit import lid.176.ftz -o exported_models/lid",
        "textkit import opus-mt-en-fr -o exported_models/en-fr --precision int8",
        "textkit import all-MiniLM-L6-v2 -o exported_models/minilm",
    ),
)
@click.argument("source", metavar="SOURCE")
@bundle_options
@click.option(
    "--max-vocab",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N words of the file, which are its most frequent.",
)
@click.option(
    "--text",
    "sample",
    metavar="FILE",
    help="Lines of text. For word vectors, they give the common component of --pooling sif; an encoder's or a translation "
    "model's graphs are tried on them.",
)
@click.option(
    "--encoding",
    default="utf-8",
    show_default=True,
    metavar="NAME",
    help="Text encoding of a file of word vectors (latin-1, utf-16, gb18030, ...).",
)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do about a line of word vectors that cannot be read or has an empty word; skipped ones are counted.",
)
@click.option(
    "--word-ngrams",
    is_flag=True,
    help="As --task embed; keep a fastText classifier's word n-grams, which --pooling fasttext needs.",
)
@click.option(
    "--task",
    type=click.Choice(["classify", "embed"]),
    help="What to make of a fastText classifier: a model that labels lines (the default), or its word vectors.",
)
@explain_option
@message_options
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
    encoding: str,
    on_error: str,
    word_ngrams: bool,
    task: str | None,
    explain: bool,
    messages: Messages,
) -> None:
    """Make a model from SOURCE: another tool's file of word vectors or a fastText classifier ('-' reads stdin), or the folder
    of a sentence-transformers model, of a Hugging Face encoder or of a MarianMT checkpoint.

    Word vectors are read in word2vec's text and binary formats, GloVe's text and fastText's .bin and .ftz, plain or compressed;
    the content of the file tells which. Words stay as the file spells them, including upper and lower case. A word that holds a
    tab, a space or U+00A0 is found if a text has it like that. A fastText model keeps its character n-grams, so words that it
    has not seen get vectors too. Words that occur twice or are cut inside a character, and a header that counts too few lines,
    are reported and read. Any other line that is not a word and its numbers is an error, or is left out with --on-error skip.

    A line's vector is the plain mean of its words' vectors. fastText's print-sentence-vectors scales each word's vector to
    length 1 before it takes the mean, and with a classifier it includes the end of the line. embed --pooling fasttext gives
    its numbers.

    A fastText classifier (a supervised model, .bin or .ftz) becomes a model of the task classify, with fastText's labels and
    probabilities. (fastText adds 0.00001 inside each logarithm before it prints them; textkit does not.) A quantised one stays
    as small as it is. With --task embed it gives word vectors.

    A folder with an encoder (BERT, DistilBERT, MiniLM, RoBERTa, XLM-R, MPNet) has config.json, tokenizer.json, and
    model.safetensors or pytorch_model.bin (read without running anything). With a modules.json it becomes a model for `textkit
    embed` that gives the vectors of sentence-transformers: its pooling, its length, a longer line cut where it would be
    (--split-long averages the parts). A blank line gives the zero vector, as with every model. A folder may also hold a
    StaticEmbedding, which needs no config.json. A checkpoint that ends in ForSequenceClassification becomes a model for
    `textkit classify`. Any other gives the mean of its tokens' vectors.

    The folder of a MarianMT checkpoint (OPUS-MT) has config.json, generation_config.json, model.safetensors or
    pytorch_model.bin, source.spm, target.spm and vocab.json. The model translates as
    transformers does, token for token; beam size, length penalty and longest translation are the checkpoint's own.

    Needs the packages of training (pip install 'textkit-onnx[train]').
    """
    from textkit.bundle.writing import check_target

    options: dict[str, Any] = {
        "source": source, "precision": precision, "name": name, "licence": licence, "overwrite": overwrite,
        "made": {"command": shlex.join(ctx.meta[Remembering.KEY])},
    }  # fmt: skip
    with protected_stdout():
        check_target(folder, overwrite)
        if os.path.isdir(source):
            _import_folder(folder, sample, _for_vectors(ctx), explain, options, messages)
        else:
            room = (precision, max_vocab, on_error == "skip", encoding, word_ngrams)
            _import_file(folder, sample, _task_of_file(task, word_ngrams, explain), room, options, messages)


def _for_vectors(ctx: click.Context) -> list[str]:
    """The options that the user gave and that are for word vectors alone."""
    return ["max_vocab"] * (ctx.params["max_vocab"] is not None) + [
        option
        for option in ("encoding", "on_error", "word_ngrams", "task")
        if ctx.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE
    ]


def _task_of_file(task: str | None, word_ngrams: bool, explain: bool) -> str | None:
    """What is made of a file. Raises UsageError for options that do not fit."""
    if explain:
        raise UsageError("--explain is for a translation model, not for word vectors")
    if word_ngrams and task == "classify":
        raise UsageError("--word-ngrams is for --task embed: a classifier keeps all of its n-grams")
    return "embed" if word_ngrams else task


def _import_folder(
    folder: Path, sample: str | None, refused: list[str], explain: bool, options: dict[str, Any], messages: Messages
) -> None:
    """Makes a model of a checkpoint's folder; `refused`: options that the user gave and that are for word vectors."""
    from textkit.interop.encoder import is_encoder

    encoder = is_encoder(options["source"])
    kind = "an encoder" if encoder else "a translation model"
    for option in refused:
        raise UsageError(f"--{option.replace('_', '-')} is for word vectors, not for {kind}")
    if not encoder:
        _import_marian(folder, sample, options | {"explain": explain}, messages)
        return
    if explain:
        raise UsageError("--explain is for a translation model, not for an encoder")
    _import_encoder(folder, sample, options, messages)


def _import_file(
    folder: Path,
    sample: str | None,
    task: str | None,
    room: tuple[str, int | None, bool, str, bool],
    options: dict[str, Any],
    messages: Messages,
) -> None:
    from textkit.interop.fasttext import classifier
    from textkit.interop.foreign import describe, make_bundle, read_as, sample_lines
    from textkit.interop.table import Foreign, Room

    lines = sample_lines(sample) if sample else []
    say_if_typed(messages, (options["source"],))
    found = read_as(task, options["source"], Room(*room))
    if not isinstance(found, Foreign):
        for said in found.notes:
            messages.warn(said)
        written = classifier.make_bundle(found, folder, sample=lines, **options)
        messages.note(
            f"read a classifier of {len(found.labels):,} labels ({found.format}, {found.loss}), wrote {written}"
        )
        return
    for said in describe(found):
        messages.warn(said)
    written = make_bundle(found, folder, sample=lines, **options)
    messages.note(
        f"read {len(found.words):,} words of {found.table.shape[1]} numbers ({found.format}), wrote {written}"
    )


def _import_marian(folder: Path, sample: str | None, options: dict[str, Any], messages: Messages) -> None:
    from textkit.interop.foreign import sample_lines
    from textkit.interop.marian import make_bundle, read

    lines = sample_lines(sample) if sample else []
    found = read(options["source"])
    for said in found.notes:
        messages.warn(said)
    written = make_bundle(found, folder, sample=lines, **options)
    messages.note(f"read a model of {len(found.rule):,} and {found.rule.target_size:,} words, wrote {written}")


def _import_encoder(folder: Path, sample: str | None, options: dict[str, Any], messages: Messages) -> None:
    from textkit.interop.encoder import make_bundle, read
    from textkit.interop.foreign import sample_lines

    lines = sample_lines(sample) if sample else []
    found = read(options["source"])
    for said in found.notes:
        messages.warn(said)
    written = make_bundle(found, folder, sample=lines, **options)
    messages.note(f"read a {found.kind} with {len(found.rule):,} tokens, wrote {written}")
