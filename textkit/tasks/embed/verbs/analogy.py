"""`textkit analogy`: a is to b as c is to what? Parses options; queries.py writes, evaluation/ computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from textkit.cli.options import Messages, Text, answer_format_option, answering_options, model_option
from textkit.cli.stdout import protected_stdout
from textkit.cli.typed import say_if_file
from textkit.cli.verb import Verb, examples
from textkit.errors import TextkitError, UsageError

if TYPE_CHECKING:
    from textkit.tasks.embed.evaluation.vocabulary import Vocabulary


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit analogy walk walked jump",
        "echo 'walk walked jump' | textkit analogy -k 3",
    ),
)
@click.argument("words", type=Text(), metavar="[A B C]...", nargs=-1)
@model_option
@click.option("-k", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="How many answers.")
@click.option(
    "--method",
    type=click.Choice(["3cosadd", "3cosmul"], case_sensitive=False),
    default="3cosadd",
    show_default=True,
    help="The cosine with B - A + C (Mikolov et al. 2013), or cosines multiplied and divided (Levy & Goldberg 2014).",
)
@answer_format_option
@answering_options
def analogy(
    words: tuple[str, ...],
    model: str | None,
    k: int,
    method: str,
    form: str,
    device: str,
    threads: int | None,
    on_error: str,
    line_buffered: bool,
    messages: Messages,
) -> None:
    """Answer what is to C as B is to A, for each three words given, or for each line of three words on stdin.

    Writes A, B, C, answer and score, separated by tabs, best first; the three words themselves are no answers. --format jsonl
    writes one object per question, {"a": ..., "b": ..., "c": ..., "answers": [{"word": ..., "score": ...}]}. A blank line
    gives a record without an answer, and so does a line that cannot be answered, with --on-error skip.
    """
    from textkit.tasks.embed.evaluation.vocabulary import Vocabulary
    from textkit.tasks.embed.verbs.queries import Dialogue, Form, Question, from_stdin

    say_if_file(messages, words, "a word")
    if len(words) % 3:
        raise UsageError(f"{len(words)} words: an analogy takes three, A B C")
    with protected_stdout() as out:
        vocabulary = Vocabulary.load(model, device, threads, messages.note)

        def prepare(question: tuple[str, ...]) -> list[object]:
            if len(question) != 3:
                raise TextkitError(f"{len(question)} words where an analogy has three")
            return [vocabulary.query(word) for word in question]

        dialogue = Dialogue(
            prepare,
            lambda questions: vocabulary.analogies(questions, k, method),
            Form(("a", "b", "c"), "answers", "score", form == "jsonl"),
            on_error == "skip",
            line_buffered,
            vocabulary.told_unseen,
            vocabulary.is_blank,
        )
        given = iter([[Question(tuple(words[at : at + 3])) for at in range(0, len(words), 3)]])
        dialogue.run(given if words else from_stdin(lambda line: _split(line, vocabulary), messages), out, messages)


def _split(line: str, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The words of a line, separated by tabs if these make three of it, otherwise by the model's white space."""
    cells = line.split("\t")
    return tuple(cells if len(cells) == 3 else vocabulary.cells(line))
