"""`textkit nearest`: the words nearest to a word. Parses options; queries.py writes, evaluation/ computes."""

from __future__ import annotations

import click

from textkit.cli.options import Messages, Text, answer_format_option, answering_options, model_option
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_file
from textkit.cli.verb import Verb, examples


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit nearest music",
        "textkit nearest -k 3 music unmusically",
        "textkit nearest --format jsonl < words.txt",
    ),
)
@click.argument("words", type=Text(), metavar="[WORD]...", nargs=-1)
@model_option
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="How many neighbours.")
@answer_format_option
@answering_options
def nearest(
    words: tuple[str, ...],
    model: str | None,
    k: int,
    form: str,
    device: str,
    threads: int | None,
    on_error: str,
    line_buffered: bool,
    messages: Messages,
) -> None:
    """Show the words of the vocabulary nearest to each WORD, or to each line of stdin.

    Writes word, neighbour and cosine, separated by tabs, best first; the word itself is left out. --format jsonl writes one
    object per word, {"word": ..., "neighbours": [{"word": ..., "cosine": ...}]}. A line of several words stands for the mean of
    their vectors. A blank line gives a record without neighbours, and so does a word without a vector, with --on-error skip.
    """
    from textkit.tasks.embed.evaluation.vocabulary import Vocabulary
    from textkit.tasks.embed.verbs.queries import Dialogue, Form, Question, from_stdin

    say_if_file(messages, words, "a word")
    with protected_stdout() as out:
        vocabulary = Vocabulary.load(model, device, threads, messages.note)
        dialogue = Dialogue(
            lambda question: vocabulary.query(question[0]),
            lambda queries: vocabulary.nearest(queries, k),
            Form(("word",), "neighbours", "cosine", form == "jsonl"),
            on_error == "skip",
            line_buffered,
            vocabulary.told_unseen,
            vocabulary.is_blank,
        )
        given = iter([[Question((vocabulary.stripped(word),)) for word in words]])
        dialogue.run(given if words else from_stdin(lambda line: (vocabulary.stripped(line),), messages), out, messages)
