"""Learns how the text of a language model becomes ids: whole words, byte pairs, or bytes. Knows no network and no batches.

Words are what white space separates; the white space itself is not kept. Byte pairs (Sennrich et al. 2016, over bytes as
Radford et al. 2019 have them) and bytes keep every byte of a line, except for what Unicode form and case change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from textkit.corpora.tokenizing import frequent, word_model, written
from textkit.corpora.unspaced import warn_of_unspaced
from textkit.errors import TextkitError
from textkit.text.cleaning import cleaned_lines
from textkit.text.language import LanguageText

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus

EOS, UNK = range(2)
UNKNOWN = "<unk>"  # a text that has this word says itself that it left a word out
# The name of eos in tokenizer.json. No text yields it: no word has a space in it, and bytes spell a space differently.
_END = " <eos>"
_LINES = 10_000  # read at once
_PAIRS = 8000  # entries of a vocabulary of byte pairs if no number is given


@dataclass(frozen=True)
class LanguageTokenizerOptions:
    """How lines become ids."""

    vocab: Literal["word", "bpe", "byte"] = "word"  # word: what white space separates | bpe: byte pairs | byte
    vocab_size: int = 0  # most entries, including the end of a line; 0: all for word, 8000 for bpe; byte always has 257
    min_count: int = 2  # word: how often a word must occur to get an entry; the others are <unk>
    unicode: Literal["NFC", "NFKC", "none"] = "none"  # NFC | NFKC | none: the Unicode form that text is brought to
    lowercase: bool = False  # lower-case the text
    clean: bool = True  # leave out what nobody sees (soft hyphens, controls), spell out ligatures and full-width forms

    needs: ClassVar[Mapping[str, str]] = {"vocab_size": "vocab=word|bpe", "min_count": "vocab=word"}

    def __post_init__(self) -> None:
        for key, least in (("vocab_size", 0), ("min_count", 1)):
            if getattr(self, key) < least:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least {least}")


def learn(corpus: Corpus, options: LanguageTokenizerOptions) -> LanguageText:
    """The rule for the lines of `corpus`, the same every time; ids of words are in the order of frequency.

    TextkitError for a vocabulary too small or a corpus without words.
    """
    if options.vocab == "word":
        warn_of_unspaced(next(corpus.chunks(_LINES), []), "--set vocab=bpe learns pieces of words instead")
    tokenizer = _frame(options)
    tokenizer.model = {"word": _words, "bpe": _pairs, "byte": _bytes}[options.vocab](corpus, options)
    words = options.vocab == "word"
    return LanguageText(written(tokenizer), eos=EOS, unk=UNK if words else None, words=words, clean=options.clean)


def _frame(options: LanguageTokenizerOptions) -> Any:
    """A Tokenizer without a model."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNKNOWN))
    steps: list[Any] = [] if options.unicode == "none" else [getattr(normalizers, options.unicode)()]
    # Some letters have a composed form in lower case alone. Text is therefore brought to the Unicode form once more:
    # otherwise a word would have two spellings.
    steps += [normalizers.Lowercase(), *steps] if options.lowercase else []
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    if options.vocab == "word":
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=options.vocab == "bpe")
        tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _words(corpus: Corpus, options: LanguageTokenizerOptions) -> Any:
    """Counts what `split` finds first, which is fast, and then normalises each different string once."""
    tokenizer = _frame(options)
    counts: Counter[str] = Counter()
    for lines in corpus.chunks(_LINES):
        counts.update("\n".join(cleaned_lines(lines) if options.clean else lines).split())
    words: Counter[str] = Counter()
    for text, count in counts.items():
        normal = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            words[word] += count
    if not words:
        raise TextkitError(f"{corpus.paths[0]}: no line has text on it")
    if 0 < options.vocab_size < 3:
        raise TextkitError(
            f"vocab_size={options.vocab_size}: too small: the end of a line, {UNKNOWN} and a word need 3"
        )
    entries = (_END, UNKNOWN, *frequent(words, options.min_count))
    return word_model(entries, options.vocab_size or len(entries), UNKNOWN)


def _pairs(corpus: Corpus, options: LanguageTokenizerOptions) -> Any:
    from tokenizers import models, trainers

    alphabet = _alphabet()
    least = 2 + len(alphabet)
    size = options.vocab_size or _PAIRS
    if size < least:
        raise TextkitError(
            f"vocab_size={size}: too small for bpe: the end of a line, 256 bytes and a pair need {least}"
        )
    tokenizer = _frame(options)  # a separate one: training makes the name of eos a token that a text may yield
    tokenizer.model = models.BPE()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[_END],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpus, options.clean), trainer)
    if tokenizer.get_vocab_size() == 1 + len(alphabet):  # no two bytes ever stood together
        raise TextkitError(f"{corpus.paths[0]}: no line has text on it to make pairs of")
    return tokenizer.model


def _bytes(corpus: Corpus, options: LanguageTokenizerOptions) -> Any:
    from tokenizers import models

    if not any(map(any, _texts(corpus, options.clean))):
        raise TextkitError(f"{corpus.paths[0]}: no line has text on it")
    return models.BPE({entry: at for at, entry in enumerate((_END, *_alphabet()))}, [])


def _alphabet() -> list[str]:
    """The characters that stand for the 256 bytes."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _texts(corpus: Corpus, clean: bool) -> Iterator[list[str]]:
    """Lines with text on them."""
    for lines in corpus.chunks(_LINES):
        yield [line for line in (cleaned_lines(lines) if clean else lines) if line and not line.isspace()]
