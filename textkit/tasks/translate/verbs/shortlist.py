"""`textkit shortlist`: a translator learns from pairs what each source word may become, and then looks at fewer words."""

from __future__ import annotations

from pathlib import Path

import click

from textkit.cli.options import (
    Messages,
    encoding_option,
    message_options,
    model_folder_option,
    model_option,
    overwrite_option,
)
from textkit.cli.verb import Verb, examples

FEW = 1000  # pairs that a shortlist is learnt from at least, if it is not to lose words


@click.command(
    cls=Verb,
    epilog=examples(
        "textkit shortlist -m my-translator pairs.tsv -o my-faster-translator",
        "textkit shortlist -m student pairs.tsv -o faster --candidates 200",
        "textkit evaluate -m faster dev.tsv",
    ),
)
@click.argument("data", metavar="DATA...", nargs=-1, required=True)
@model_option
@model_folder_option
@click.option(
    "--candidates",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    metavar="N",
    help="The most target tokens of each source token.",
)
@click.option(
    "--frequent",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    metavar="N",
    help="The target tokens that every line may have.",
)
@overwrite_option
@encoding_option
@message_options
def shortlist(
    data: tuple[str, ...],
    model: str | None,
    folder: Path,
    candidates: int,
    frequent: int,
    overwrite: bool,
    messages: Messages,
) -> None:
    """Make a translator faster by a shortlist: the target tokens that the tokens of a line are known to become.

    DATA holds pairs of lines, as for `textkit train`: best those that the model has learnt, or for a student those that its
    teachers made (RUN/distilled/pairs.tsv). Their words are aligned, and the new model chooses each token among those that the
    line's own tokens became somewhere, the most frequent ones, single characters and the line's own tokens. Its last and
    largest product is then taken for these alone. The larger the vocabulary, and the fewer lines are translated at once, the
    more that saves: with 24,000 tokens a third of a single line's time, with 8,000 nothing.

    Translations may change where a word is not listed. Measure that with `textkit evaluate`; `textkit translate --no-shortlist`
    looks at all words. A line's translation does not depend on the lines around it.
    """
    from textkit.bundle import bundle as bundles
    from textkit.bundle import writing
    from textkit.corpora.pairs import PairCorpus, sides
    from textkit.errors import TextkitError, UsageError
    from textkit.tasks.translate.exporting import shortlist as exporting
    from textkit.tasks.translate.lexicon import learnt
    from textkit.text.translation import TranslationText

    if model is None:
        raise UsageError("-m is missing: a shortlist is for a model of yours, and there is no default")
    corpus = PairCorpus([Path(path) for path in data])
    corpus.check()
    writing.check_target(folder, overwrite)
    found = bundles.located(model, "translate")
    rule = found.rule
    if not isinstance(rule, TranslationText):
        raise TextkitError(f"{found.folder}: says how text becomes ids, not how ids become text")
    sources, targets = sides(list(corpus.lines()))
    if len(sources) < FEW:
        messages.warn(
            f"{len(sources):,} of {FEW:,} pairs or more: a word that none of them has may be translated badly"
        )
    messages.note(f"aligning {len(sources):,} pairs")
    lexicon = learnt(rule, rule.encode(sources), rule.encode_target(targets), candidates, frequent)
    command = f"textkit shortlist -m {found.manifest.name} {' '.join(Path(path).name for path in data)}"
    usual = exporting.write(folder, found, rule, lexicon, sources, command, overwrite)
    messages.hint(
        f"{folder}: chooses among {usual:,} of {rule.target_size:,} tokens for a line; its scores must be measured anew"
    )
