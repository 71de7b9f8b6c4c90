"""Learns how pairs become ids: byte pairs, a unigram model or words, one tokenizer for both sides or one for each.

Every tokenizer is lossless except for what it says it normalises: Unicode form, case, and runs of white space, each of which
becomes one space. Knows no network and no batches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from textkit.corpora import unigram
from textkit.corpora.pairs import sides
from textkit.corpora.unspaced import warn_of_unspaced
from textkit.errors import TextkitError
from textkit.text.cleaning import cleaned_lines
from textkit.text.preserved.sentinels import MOST_SENTINELS, sentinel
from textkit.text.translation import SPACE, TranslationText

if TYPE_CHECKING:
    from pathlib import Path

PAD, UNK, START, EOS = range(4)
# No text yields them by their names: they are no added tokens of tokenizer.json, and no word of a text has these letters in
# one piece. The exception is the unknown word: a text may well say itself that a word is unknown.
SPECIAL = ("<pad>", f"{SPACE}<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))

_LINES = 10_000  # read at once
_SEEDS = 4  # candidates for each piece of a unigram model
_RARE = 3  # a character seen less often is spelled by its bytes, so that bytes are learnt too
_MARK = rf"{SPACE}?[\p{{P}}\p{{S}}&&[^{SPACE}]]"  # a punctuation mark or symbol, with the space before it
_NAMES = rf"{SPACE}?<(?=0x[0-9A-F]{{2}}>|/?s>|pad>)"  # where a text has the name of a special token or a byte
_DIGIT = rf"{SPACE}?\p{{Nd}}"
_IDEOGRAPH = rf"{SPACE}?[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}]"  # scripts without spaces: each character is a word


@dataclass(frozen=True)
class TokenizerOptions:
    """How pairs of lines become ids."""

    tokenizer: Literal["bpe", "unigram", "word"] = "bpe"  # bpe | unigram | word
    vocab_size: int = 8000  # most entries of a vocabulary, including those for special tokens and bytes
    joint: bool = True  # one vocabulary for both sides; false: one of vocab_size for each
    unicode: Literal["NFC", "NFKC", "none"] = "NFC"  # NFC | NFKC | none: the Unicode form that text is brought to
    lowercase: bool = False  # lower-case both sides
    clean: bool = True  # leave out what nobody sees (soft hyphens, controls), spell out ligatures and full-width forms
    punctuation: Literal["split", "keep"] = "split"  # split: a mark is a token of its own | keep: part of its word
    spell_bytes: bool = True  # bpe, unigram: spell a character not in the vocabulary by its bytes; false: <unk>
    min_count: int = 2  # word: how often a word must occur to get an entry
    reverse: bool = False  # read the source backwards (Sutskever et al. 2014)
    source_language: str = ""  # ISO 639 code whose rules cut lines into sentences; "": guessed for each line
    digits: Literal["pieces", "single"] = "pieces"  # pieces: numbers are cut like words | single: each digit is a token
    sentinels: int = (
        0  # tokens that stand for what must stay as it is (URLs, tags, emoji), as many in a sentence; 0: none
    )
    target_language: str = ""  # ISO 639 code of the translations, for the form of their numbers; "": not said
    bpe_dropout: float = 0.0  # bpe: share of merges left out, anew each epoch (Provilkov et al. 2020); 0: none

    needs: ClassVar[Mapping[str, str]] = {"spell_bytes": "tokenizer=bpe|unigram", "min_count": "tokenizer=word"}

    def __post_init__(self) -> None:
        for key in ("vocab_size", "min_count"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        if not 0 <= self.sentinels <= MOST_SENTINELS:
            raise ValueError(f"sentinels={self.sentinels}: must be at least 0 and at most {MOST_SENTINELS}")
        if not 0 <= self.bpe_dropout < 1:
            raise ValueError(f"bpe_dropout={self.bpe_dropout}: must be at least 0 and below 1")
        if self.bpe_dropout and (self.tokenizer != "bpe" or self.reverse):
            why = "the source is read backwards" if self.tokenizer == "bpe" else f"tokenizer={self.tokenizer}"
            raise ValueError(f"bpe_dropout={self.bpe_dropout}: is for byte pairs read forwards, and {why}")


class Pairs(Protocol):
    """What a vocabulary is learnt from: a corpus of pairs, or one whose pairs are changed."""

    @property
    def paths(self) -> Sequence[Path]: ...

    def chunks(self, n: int) -> Iterator[list[str]]: ...


def learn(corpus: Pairs, options: TokenizerOptions) -> TranslationText:
    """The rule for the pairs of `corpus`, the same every time. TextkitError for a vocabulary too small or without words."""
    if options.tokenizer == "word":
        for lines in sides(next(corpus.chunks(_LINES), [])):
            advice = "--set tokenizer=bpe learns pieces of words instead"
            warn_of_unspaced(lines, advice, options.punctuation == "keep")
    frame = _Frame(options)
    counted = _counted_words(corpus, frame)
    if not any(counted):
        raise TextkitError(f"{corpus.paths[0]}: no pair has text on it")
    if options.joint:
        tokenizers = [_train(frame, counted[0] + counted[1], lambda: _texts(corpus, options.clean))]
    else:
        tokenizers = [_train(frame, counted[side], partial(_texts, corpus, options.clean, side)) for side in (0, 1)]
    return TranslationText(
        *map(written, tokenizers), start=START, eos=EOS, pad=PAD, unk=UNK, reverse=options.reverse, clean=options.clean,
        source_language=options.source_language, target_language=options.target_language, sentinels=options.sentinels,
    )  # fmt: skip


def learn_lines(chunks: Callable[[], Iterator[Sequence[str]]], options: TokenizerOptions, where: object) -> Any:
    """The tokenizers.Tokenizer for lines that are no pairs; `chunks()` gives them, as often as it is called.

    TextkitError, which names `where` they are from, for lines without text, and for a vocabulary too small.
    """
    frame = _Frame(options)

    def texts() -> Iterator[Sequence[str]]:
        for lines in chunks():
            yield cleaned_lines(lines) if options.clean else lines

    if options.tokenizer == "word":
        advice = "--set text=bpe learns pieces of words instead"
        warn_of_unspaced(next(texts(), []), advice, options.punctuation == "keep")
    found: Counter[str] = Counter()
    for lines in texts():
        found.update("\n".join(lines).split())
    words: Counter[str] = Counter()
    for text, count in found.items():
        for word in frame.words(text):
            words[word] += count
    if not words:
        raise TextkitError(f"{where}: no line has text on it")
    return _train(frame, words, texts)


class _Frame:
    """What surrounds a model: the normaliser, the cutting into words, and the joining of pieces to text."""

    def __init__(self, options: TokenizerOptions) -> None:
        from tokenizers import Regex, decoders, normalizers, pre_tokenizers

        self.options = options
        self.spelled = options.spell_bytes and options.tokenizer != "word"
        self.special = (*SPECIAL, *(BYTES if self.spelled else ()))
        steps: list[Any] = [] if options.unicode == "none" else [getattr(normalizers, options.unicode)()]
        # Some letters have a composed form in lower case alone. Text is therefore brought to the Unicode form once more:
        # otherwise a word would have two spellings.
        steps += [normalizers.Lowercase(), *steps] if options.lowercase else []
        # A text's own sign for a space is read as a space, because afterwards the two could not be told apart.
        steps += [normalizers.Replace(Regex(rf"[\s{SPACE}]+"), " "), normalizers.Strip()]
        self.normalizer = normalizers.Sequence(steps)
        cuts = [_MARK] if options.punctuation == "split" else [_NAMES]
        cuts += [_DIGIT] if options.digits == "single" else []
        cuts += [rf"{SPACE}?[{sentinel(0)}-{sentinel(options.sentinels - 1)}]"] if options.sentinels else []
        cuts += [_IDEOGRAPH] if (options.tokenizer, options.punctuation) == ("word", "split") else []
        spaces = pre_tokenizers.Metaspace(SPACE, "always", True)
        marks = pre_tokenizers.Split(Regex("|".join(cuts)), "isolated")
        self.pre_tokenizer = pre_tokenizers.Sequence([spaces, marks])
        bytes_first = [decoders.ByteFallback()] if self.spelled else []
        self.decoder = decoders.Sequence([*bytes_first, decoders.Metaspace(SPACE, "always", True)])

    def words(self, text: str) -> list[str]:
        """The words of `text`, as the model sees them."""
        return [word for word, _ in self.pre_tokenizer.pre_tokenize_str(self.normalizer.normalize_str(text))]

    def around(self, model: Any) -> Any:
        """A Tokenizer with `model` in this frame."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer(model)
        tokenizer.normalizer = self.normalizer
        tokenizer.pre_tokenizer = self.pre_tokenizer
        tokenizer.decoder = self.decoder
        return tokenizer


def _texts(corpus: Pairs, clean: bool, side: int | None = None) -> Iterator[Sequence[str]]:
    """The lines of one side, or of both."""
    for lines in corpus.chunks(_LINES):
        both = sides(cleaned_lines(lines) if clean else lines)
        yield from both if side is None else (both[side],)


def _counted_words(corpus: Pairs, frame: _Frame) -> tuple[Counter[str], Counter[str]]:
    """How often each word, as `frame` cuts it, occurs on either side. Strings between spaces are counted first, cut later."""
    options = frame.options
    counters: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for lines in corpus.chunks(_LINES):
        for counter, texts in zip(counters, sides(cleaned_lines(lines) if options.clean else lines), strict=True):
            counter.update("\n".join(texts).split())
    words: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for counter, cut in zip(counters, words, strict=True):
        for text, count in counter.items():
            for word in frame.words(text):
                cut[word] += count
    return words


def _train(frame: _Frame, words: Counter[str], texts: Callable[[], Iterator[Sequence[str]]]) -> Any:
    """A Tokenizer for `words`; `texts()` gives the text that they are from once more."""
    options = frame.options
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    del characters[SPACE]
    least_seen = _RARE if frame.spelled else 1
    kept = [sentinel(number) for number in range(options.sentinels)]
    seen = {character for character, count in characters.items() if count >= least_seen}
    if options.digits == "single":
        seen.update("0123456789")
    alphabet = [SPACE, *sorted(seen.difference(kept)), *kept]
    least = len(frame.special) + (1 if options.tokenizer == "word" else len(alphabet) + 1)
    if options.vocab_size < least:
        raise TextkitError(_too_small(frame, least, len(alphabet)))
    if options.tokenizer == "word":
        entries = (*SPECIAL, *frequent(words, options.min_count))
        model = word_model(entries, options.vocab_size, SPECIAL[UNK])
    elif options.tokenizer == "bpe":
        model = _bpe_model(frame, alphabet, texts)
    else:
        model = _unigram_model(frame, words, alphabet, texts)
    return frame.around(model)


def written(tokenizer: Any) -> bytes:
    """The tokenizer.json of a tokenizer, without blanks."""
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")).encode()


def frequent(words: Counter[str], min_count: int) -> list[str]:
    """The words that occur at least `min_count` times, the most frequent first."""
    found = [word for word, count in words.items() if count >= min_count]
    if not found:
        raise TextkitError(f"min_count={min_count}: no word occurs so often")
    return sorted(found, key=lambda word: (-words[word], word))


def word_model(entries: Iterable[str], size: int, unknown: str) -> Any:
    """A table of the first `size` different words of `entries`."""
    from tokenizers import models

    known = islice(dict.fromkeys(entries), size)
    return models.WordLevel({word: at for at, word in enumerate(known)}, unk_token=unknown)


def _bpe_model(frame: _Frame, alphabet: list[str], texts: Callable[[], Iterator[Sequence[str]]], seeds: int = 0) -> Any:
    """Byte pairs (Sennrich et al. 2016); `seeds`: learn this many instead of vocab_size, as candidates for a unigram model."""
    from tokenizers import models, trainers

    tokenizer = frame.around(models.BPE(unk_token=SPECIAL[UNK], byte_fallback=frame.spelled))
    trainer = trainers.BpeTrainer(
        vocab_size=seeds or frame.options.vocab_size,
        special_tokens=list(frame.special),
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        max_token_length=unigram.LONGEST if seeds else None,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer.model


def _unigram_model(
    frame: _Frame, words: Counter[str], alphabet: list[str], texts: Callable[[], Iterator[Sequence[str]]]
) -> Any:
    from tokenizers import Tokenizer, models

    size = frame.options.vocab_size - len(frame.special)
    seeds = Tokenizer(_bpe_model(frame, alphabet, texts, _SEEDS * size)).get_vocab()
    merges = sorted(seeds.keys() - set(frame.special), key=seeds.__getitem__)
    pieces = unigram.fit(words, merges, alphabet, size)
    lowest = pieces[-1][1]
    entries = [*((name, lowest) for name in frame.special), *pieces]
    return models.Unigram(entries, unk_id=UNK, byte_fallback=frame.spelled)


def _too_small(frame: _Frame, least: int, characters: int) -> str:
    options = frame.options
    if options.tokenizer == "word":
        return f"vocab_size={options.vocab_size}: too small: {len(SPECIAL)} special tokens and a word need {least}"
    parts = f"{len(SPECIAL)} special tokens, " + (f"{len(BYTES)} bytes, " if frame.spelled else "")
    return (
        f"vocab_size={options.vocab_size}: too small for {options.tokenizer}: {parts}the {characters} characters of the"
        f" text and a piece made of them need {least}" + ("; spell_bytes=false needs fewer" if frame.spelled else "")
    )
