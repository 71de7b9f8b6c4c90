"""The inner loops of word2vec and fastText on the CPU: stochastic gradient steps on tables in place. Knows no torch.

Mikolov et al. 2013 (arXiv 1301.3781, 1310.4546) and Bojanowski et al. 2017 (arXiv 1607.04606) with negative sampling.
Each thread runs one kernel on its share of a batch without the interpreter lock. Threads write to the same tables without
locks (Recht et al. 2011, Hogwild). One thread is therefore reproducible to the last bit, and several are not.

Everything drawn for a centre word (whether it stays in the text, how far its window reaches, its noise words) follows from
the seed and the word's position, and its window is taken from the whole line. How the text is cut into batches, and a batch
into shares of threads, therefore does not change what is learnt: with one thread and one rate, not a single bit of it.

There are two shapes of the same step. The dimension is compiled into each, so that LLVM keeps whole rows in vector registers;
numba does that only for code that closes over it.
`skipgram_kernel`: the m words of a window against the centre word and its K negatives, as m x (1 + K) matrix products
(Ji et al. 2016, arXiv 1604.04661: the negatives are shared by a window, not drawn again for each pair);
`bag_kernel`: the mean of a bag of rows (the words of a window: CBOW; the n-grams of a word: fastText) against targets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from textkit_plugins.embeddings.compiled import njit
from textkit_plugins.embeddings.noise import MIX, OPTIONS, draw, following, state_at, unit
from textkit_plugins.embeddings.row_kernels import add_rows, copy_row, dots

SENTENCE = 1000  # words processed together; longer lines are processed in pieces, as in word2vec.c
_EVERY = np.int64(16)  # the loss is computed for one centre in 16, because a logarithm costs as much as a dot product
_ONE = np.float32(1)


@njit(inline="always")
def _reach(state, window):
    """How far a window reaches, 1..window, drawn from the state after `following`."""
    return 1 + np.int64(((state * MIX) >> np.uint64(33)) % np.uint64(window))


@njit(**OPTIONS)
def _read_sentence(tokens, at, first, last, offset, keep, seed, sentence, states):
    """Fills `sentence` with the words that subsampling keeps, up to the end of a line, and `states` with their states.

    Returns (next position, number of words, begin, end): words begin..end - 1 of the sentence are centres, because their
    positions lie in first..last - 1.
    """
    count, begin, end = 0, 0, 0
    while at < tokens.shape[0] and count < sentence.shape[0]:
        word = tokens[at]
        place = at
        at += 1
        if word < 0:
            break
        state = following(state_at(seed, offset + place))
        if keep[word] < _ONE and unit((state * MIX) >> np.uint64(40)) >= keep[word]:
            continue
        sentence[count] = word
        states[count] = state
        count += 1
        if place < first:
            begin = count
        if place < last:
            end = count
    return at, count, begin, end


@njit(**OPTIONS)
def windows_of(tokens, first, last, offset, keep, window, seed):
    """The words of a text that subsampling keeps and their windows, the same as in the kernels below.

    Returns (words i32[n], line i64[n], reach i64[n], centre bool[n]). A word's window reaches 1..window words. Centres are
    the words at positions first..last - 1 of `tokens`.
    """
    words, lines = np.empty(tokens.shape[0], np.int32), np.empty(tokens.shape[0], np.int64)
    reach, centre = np.empty(tokens.shape[0], np.int64), np.empty(tokens.shape[0], np.bool_)
    sentence, states = np.empty(SENTENCE, np.int32), np.empty(SENTENCE, np.uint64)
    at, line, total = 0, 0, 0
    while at < tokens.shape[0]:
        at, count, begin, end = _read_sentence(tokens, at, first, last, offset, keep, seed, sentence, states)
        for p in range(count):
            words[total], lines[total] = sentence[p], line
            reach[total] = _reach(following(states[p]), window)
            centre[total] = begin <= p < end
            total += 1
        line += 1
    return words[:total], lines[:total], reach[:total], centre[:total]


@njit(inline="always")
def _sigmoid(x):
    """The logistic function by a rational form of tanh(x/2), which LLVM vectorises; errs by at most 5e-5, 5e-7 for |x| < 6."""
    h = min(max(x * np.float32(0.5), np.float32(-4.97)), np.float32(4.97))
    s = h * h
    top = h * (np.float32(135135) + s * (np.float32(17325) + s * (np.float32(378) + s)))
    low = np.float32(135135) + s * (np.float32(62370) + s * (np.float32(3150) + s * np.float32(28)))
    return np.float32(0.5) + np.float32(0.5) * top / low


@njit(inline="always")
def _negative_log_sigmoid(x):
    return np.log1p(np.exp(-abs(x))) + max(-x, np.float32(0))


@njit(inline="always")
def _window(sentence, p, left, right, inputs):
    """Puts the words at left..right - 1 but the centre p into `inputs`; returns how many they are."""
    m = 0
    for q in range(left, right):
        if q != p:
            inputs[m] = sentence[q]
            m += 1
    return m


@njit(inline="always")
def _with_losses(loss, g, m, outputs):
    """`loss` and those of m words, each with its target and then its negatives among the scores g."""
    for a in range(m):
        loss += _negative_log_sigmoid(g[a * outputs])
        for o in range(1, outputs):
            loss += _negative_log_sigmoid(-g[a * outputs + o])
    return loss


@functools.cache
def skipgram_kernel(dim: int) -> Callable:
    """The skip-gram step for vectors of `dim`: see `run` inside.

    run(tokens i32[token], whole lines with -1 at their ends, first, last, offset, centre f32[word, dim],
    context f32[word, dim], keep f32[word], threshold f32[word], alias i32[word], window, negatives, rate f32, seed)
    -> (pairs, summed loss, pairs in that sum). Centres are the words at first..last - 1. `tokens` begins at position `offset`
    of the text that has this seed.
    """

    wide = -(-dim // 16) * 16  # the copies of rows are padded with zeros to whole vectors

    @njit(**OPTIONS)
    def run(tokens, first, last, offset, centre, context, keep, threshold, alias, window, negatives, rate, seed):
        sentence, states = np.empty(SENTENCE, np.int32), np.empty(SENTENCE, np.uint64)
        outputs = 1 + negatives
        inputs = np.empty(2 * window, np.int32)
        targets = np.empty(outputs, np.int32)
        x = np.zeros((2 * window, wide), np.float32)
        y = np.zeros((outputs, wide), np.float32)
        g = np.zeros(2 * window * outputs, np.float32)
        at, centres, pairs, loss, measured = 0, 0, 0, 0.0, 0
        while at < tokens.shape[0]:
            at, words, begin, end = _read_sentence(tokens, at, first, last, offset, keep, seed, sentence, states)
            for p in range(begin, end):
                state = following(states[p])
                reach = _reach(state, window)
                m = _window(sentence, p, max(0, p - reach), min(words, p + reach + 1), inputs)
                if m == 0:
                    continue
                targets[0] = sentence[p]
                state = draw(threshold, alias, state, targets, 1, outputs)
                for a in range(m):
                    copy_row(centre[inputs[a]], x[a], dim)
                for o in range(outputs):
                    copy_row(context[targets[o]], y[o], dim)
                for a in range(m):
                    dots(x[a], y, outputs, g[a * outputs :], wide)
                if centres % _EVERY == 0:
                    loss = _with_losses(loss, g, m, outputs)
                    measured += m
                centres += 1
                pairs += m
                for j in range(m * outputs):
                    g[j] = -rate * _sigmoid(g[j])
                for a in range(m):
                    g[a * outputs] += rate
                for o in range(1, outputs):
                    if targets[o] == targets[0]:  # drawn as its own negative: no step, as in word2vec.c
                        for a in range(m):
                            g[a * outputs + o] = np.float32(0)
                for o in range(outputs):
                    add_rows(context[targets[o]], g[o:], outputs, x, m, dim)
                for a in range(m):
                    add_rows(centre[inputs[a]], g[a * outputs :], 1, y, outputs, dim)
        return pairs, loss, measured

    return run


@njit(inline="always")
def _longest(offsets):
    """The most rows that a word has."""
    longest = np.int64(0)
    for word in range(offsets.shape[0] - 1):
        longest = max(longest, offsets[word + 1] - offsets[word])
    return longest


@njit(inline="always")
def _rows_of(sentence, p, left, right, cbow, offsets, rows, bag):
    """Puts the rows of the centre p, or with `cbow` of the words around it, into `bag`; returns how many they are."""
    count = 0
    for q in range(left, right):
        if (q != p) == cbow:
            for j in range(offsets[sentence[q]], offsets[sentence[q] + 1]):
                bag[count] = rows[j]
                count += 1
    return count


@functools.cache
def _bag_steps(dim: int) -> tuple[Callable, Callable, Callable]:
    """What `bag_kernel` does with the rows of one bag, for vectors of `dim`."""

    @njit(**OPTIONS)
    def predict(hidden, error, context, word, label, rate, g):
        """The score of one output, after error += g * row, row += g * hidden, g = rate * (label - sigmoid(hidden . row))."""
        row = context[word : word + 1]
        dots(hidden[0], row, 1, g, dim)
        score = g[0]
        g[0] = rate * (label - _sigmoid(score))
        add_rows(error[0], g, 0, row, 1, dim)
        add_rows(row[0], g, 0, hidden, 1, dim)
        return score

    @njit(**OPTIONS)
    def mean(centre, bag, count, hidden, g):
        hidden[:] = np.float32(0)
        g[0] = _ONE / np.float32(count)
        for i in range(count):
            add_rows(hidden[0], g, 0, centre[bag[i] : bag[i] + 1], 1, dim)

    @njit(**OPTIONS)
    def spread(centre, bag, count, error, g):
        g[0] = _ONE
        for i in range(count):
            add_rows(centre[bag[i]], g, 0, error, 1, dim)

    return predict, mean, spread


@functools.cache
def bag_kernel(dim: int) -> Callable:
    """The step in which the mean of a bag of rows predicts words, for vectors of `dim`: see `run` inside.

    run(tokens i32[token], first, last, offset, centre f32[row, dim], context f32[word, dim], offsets i64[word + 1],
    rows i32[...] (the rows of word w are rows[offsets[w]:offsets[w + 1]]), keep f32[word], threshold f32[word],
    alias i32[word], window, negatives, rate f32, seed, cbow) -> (pairs, summed loss, pairs in that sum). Centres and `offset`
    are as in `skipgram_kernel`.

    With `cbow`, the bag holds the rows of the window's words and predicts the centre word; otherwise it holds the rows of the
    centre word and predicts each word of the window. Each row of the bag gets the whole gradient of the mean, as in word2vec.c
    and fastText. The true derivative is 1/n of it, with which the same learning rate would learn only a fraction as much.
    """

    predict, mean, spread = _bag_steps(dim)

    @njit(**OPTIONS)
    def run(
        tokens, first, last, offset, centre, context, offsets, rows, keep, threshold, alias, window, negatives, rate,
        seed, cbow,
    ):  # fmt: skip
        sentence, states = np.empty(SENTENCE, np.int32), np.empty(SENTENCE, np.uint64)
        bag = np.empty(_longest(offsets) * (2 * window if cbow else 1), np.int32)
        targets = np.empty(negatives + 1, np.int32)
        hidden = np.zeros((1, dim), np.float32)
        error = np.zeros((1, dim), np.float32)
        g = np.zeros(1, np.float32)
        at, centres, pairs, loss, measured = 0, 0, 0, 0.0, 0
        while at < tokens.shape[0]:
            at, words, begin, end = _read_sentence(tokens, at, first, last, offset, keep, seed, sentence, states)
            for p in range(begin, end):
                state = following(states[p])
                reach = _reach(state, window)
                left, right = max(0, p - reach), min(words, p + reach + 1)
                if right - left < 2:
                    continue
                count = _rows_of(sentence, p, left, right, cbow, offsets, rows, bag)
                mean(centre, bag, count, hidden, g)
                error[:] = np.float32(0)
                measure = centres % _EVERY == 0
                centres += 1
                for q in range(left, right):
                    if (q == p) != cbow:
                        continue
                    target = sentence[q]
                    score = predict(hidden, error, context, target, _ONE, rate, g)
                    if measure:
                        loss += _negative_log_sigmoid(score)
                        measured += 1
                    state = draw(threshold, alias, state, targets, 0, negatives)
                    for k in range(negatives):
                        if targets[k] != target:
                            score = predict(hidden, error, context, targets[k], np.float32(0), rate, g)
                            if measure:
                                loss += _negative_log_sigmoid(-score)
                    pairs += 1
                spread(centre, bag, count, error, g)
        return pairs, loss, measured

    return run
