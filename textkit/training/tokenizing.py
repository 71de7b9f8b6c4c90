"""Learns how pairs become ids: byte pairs, a unigram model or words, one tokenizer for both sides or one each.

Every tokenizer is lossless but for what it says it normalises: Unicode form, case, and white space, of which a run
becomes one space. Knows no network and no batches.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from textkit.errors import TextkitError
from textkit.training.pairs import sides
from textkit.translation_text import SPACE, TranslationText

if TYPE_CHECKING:
    from textkit.training.corpus import Corpus

PAD, UNK, START, EOS = range(4)
# Names that no text can spell by accident need not be kept from it: they are no added tokens, and marks stand alone.
SPECIAL = ("<pad>", f"{SPACE}<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))

_LINES = 10_000  # read at once
_RARE = 3  # a character seen less often is spelled by its bytes, so that these are learnt too
_MARK = rf"{SPACE}?[\p{{P}}\p{{S}}&&[^{SPACE}]]"  # a punctuation mark or symbol, with the space before it
_IDEOGRAPH = rf"{SPACE}?[\p{{Han}}\p{{Hiragana}}\p{{Katakana}}]"  # scripts without spaces: a word a character


@dataclass(frozen=True)
class TokenizerOptions:
    """How pairs of lines become ids."""

    tokenizer: Literal["bpe", "unigram", "word"] = "bpe"  # bpe | unigram | word
    vocab_size: int = 8000  # most entries of a vocabulary, those for special tokens and bytes among them
    joint: bool = True  # one vocabulary for both sides; false: one each of vocab_size
    unicode: Literal["NFC", "NFKC", "none"] = "NFC"  # NFC | NFKC | none: the Unicode form text is brought to
    lowercase: bool = False  # lower-case both sides
    punctuation: Literal["split", "keep"] = (
        "split"  # split: each mark a token of its own | keep: spaces alone part words
    )
    spell_bytes: bool = True  # bpe, unigram: spell a character not in the vocabulary by its bytes; false: <unk>
    min_count: int = 2  # word: least occurrences of a word that gets an entry
    reverse: bool = False  # read the source backwards (Sutskever et al. 2014)

    def __post_init__(self) -> None:
        for key in ("vocab_size", "min_count"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")


def learn(corpus: Corpus, options: TokenizerOptions) -> TranslationText:
    """The rule for the pairs of `corpus`, the same every time. TextkitError for a vocabulary too small or without words."""
    characters = _characters(corpus, options)
    if not any(characters):
        raise TextkitError(f"{corpus.paths[0]}: no pair has text on it")
    if options.joint:
        tokenizers = [_train(lambda: _both(corpus), characters[0] + characters[1], options)]
    else:
        tokenizers = [_train(lambda side=side: _one(corpus, side), characters[side], options) for side in (0, 1)]
    return TranslationText(*tokenizers, start=START, eos=EOS, pad=PAD, unk=UNK, reverse=options.reverse)


def _both(corpus: Corpus) -> Iterator[list[str]]:
    for lines in corpus.chunks(_LINES):
        yield from sides(lines)


def _one(corpus: Corpus, side: int) -> Iterator[list[str]]:
    for lines in corpus.chunks(_LINES):
        yield sides(lines)[side]


def _characters(corpus: Corpus, options: TokenizerOptions) -> tuple[Counter[str], Counter[str]]:
    """How often each character occurs on either side, white space left out."""
    counters: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for lines in corpus.chunks(_LINES):
        for counter, texts in zip(counters, sides(lines), strict=True):
            text = "\n".join(texts)
            if options.unicode != "none":
                text = unicodedata.normalize(options.unicode, text)
            counter.update(text.lower() if options.lowercase else text)
    for counter in counters:
        for character in list(counter):
            if character.isspace() or character == SPACE:
                del counter[character]
    return counters


def _train(texts: Callable[[], Iterator[list[str]]], characters: Counter[str], options: TokenizerOptions) -> bytes:
    """A tokenizer.json learnt from `texts()`."""
    from tokenizers import Tokenizer, models, trainers

    spelled = options.spell_bytes and options.tokenizer != "word"
    special = [*SPECIAL, *(BYTES if spelled else ())]
    alphabet = sorted(character for character, count in characters.items() if not spelled or count >= _RARE)
    least = len(special) + (1 if options.tokenizer == "word" else len(alphabet) + 2)
    if options.vocab_size < least:
        raise TextkitError(_too_small(options, least, len(alphabet), spelled))
    shared: dict[str, Any] = {"vocab_size": options.vocab_size, "special_tokens": special, "show_progress": False}
    if options.tokenizer == "word":
        model = models.WordLevel(unk_token=SPECIAL[UNK])
        trainer = trainers.WordLevelTrainer(min_frequency=options.min_count, **shared)
    elif options.tokenizer == "bpe":
        model = models.BPE(unk_token=SPECIAL[UNK], byte_fallback=spelled)
        trainer = trainers.BpeTrainer(initial_alphabet=[*alphabet, SPACE], limit_alphabet=len(alphabet) + 1, **shared)
    else:
        model = models.Unigram()
        trainer = trainers.UnigramTrainer(unk_token=SPECIAL[UNK], initial_alphabet=[*alphabet, SPACE], **shared)
    tokenizer = Tokenizer(model)
    _frame(tokenizer, options)
    tokenizer.train_from_iterator(texts(), trainer)
    return _finished(tokenizer, options, spelled)


def _frame(tokenizer: Any, options: TokenizerOptions) -> None:
    """What stands around the model: normaliser, cutting into words, putting together again."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    steps: list[Any] = [] if options.unicode == "none" else [getattr(normalizers, options.unicode)()]
    steps += [normalizers.Lowercase()] if options.lowercase else []
    # The sign for a space is read as one where it stands in text, for it could not be told from one afterwards.
    steps += [normalizers.Replace(Regex(rf"[\s{SPACE}]+"), " "), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    cuts = [_MARK] if options.punctuation == "split" else []
    cuts += [_IDEOGRAPH] if options.tokenizer == "word" and options.punctuation == "split" else []
    words: list[Any] = [pre_tokenizers.Metaspace(SPACE, "always", True)]
    words += [pre_tokenizers.Split(Regex("|".join(cuts)), "isolated")] if cuts else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    joined = decoders.Metaspace(SPACE, "always", True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), joined])


def _finished(tokenizer: Any, options: TokenizerOptions, spelled: bool) -> bytes:
    """The tokenizer.json, with no token that a text could call by its name."""
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = []
    if options.tokenizer == "unigram":
        content["model"]["byte_fallback"] = spelled
    if options.tokenizer == "word" and len(content["model"]["vocab"]) == len(SPECIAL):
        raise TextkitError(f"min_count={options.min_count}: no word occurs so often")
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _too_small(options: TokenizerOptions, least: int, characters: int, spelled: bool) -> str:
    if options.tokenizer == "word":
        return f"vocab_size={options.vocab_size}: too small: {len(SPECIAL)} special tokens and a word need {least}"
    parts = f"{len(SPECIAL)} special tokens, " + ("256 bytes, " if spelled else "")
    return (
        f"vocab_size={options.vocab_size}: too small for {options.tokenizer}: {parts}the {characters} characters of the"
        f" text and a piece made of them need {least}" + ("; spell_bytes=false needs 256 less" if spelled else "")
    )
