"""The perplexity of a text by a language model whose state is carried from line to line. Knows no command line.

The perplexity is per word, whatever the tokens are: the sum of log-probabilities is divided by the number of words between
white space and one end per line (as Mikolov et al. 2010 and later work count), so that models with different vocabularies
can be compared.
"""

from __future__ import annotations

from textkit.evaluation.result import Result
from textkit.streams.lines import Reader
from textkit.tasks.language.serving.scorer import LanguageModel, perplexity


def evaluate(model: LanguageModel, path: str) -> Result:
    """The perplexity over the lines of a file, "-" for stdin. `used` counts words and ends of lines, `outside` counts tokens
    that stand for unknown words. The detail has the perplexity per token, and per token without those."""
    rule, stream = model.rule, model.stream()
    total = of_known = 0.0
    tokens = known = words = lines = 0
    with Reader(None if path == "-" else path) as reader:
        for block in reader:
            if not block:
                continue
            ids, logprobs = stream(block)
            is_known = ids != (-1 if rule.unk is None else rule.unk)
            total += float(logprobs.sum(dtype="float64"))
            of_known += float(logprobs[is_known].sum(dtype="float64"))
            tokens, known = tokens + len(ids), known + int(is_known.sum())
            words, lines = words + rule.count_words(block), lines + len(block)
    used = words + lines
    detail = {
        "lines": lines,
        "words": words,
        "tokens": tokens,
        "logprob": total,
        "perplexity_per_token": perplexity(total, tokens) if tokens else None,
        "perplexity_per_known_token": perplexity(of_known, known) if known else None,
    }
    value = perplexity(total, used) if used else None
    return Result("perplexity", value, used, used, tokens - known, detail=detail, per="word")
