"""The inner loops of the count-based models: counting pairs of words, adding counts up, GloVe's step. Knows no torch.

Each function works on arrays that its caller made and releases the interpreter lock. Nothing here is random.
"""

from __future__ import annotations

import numpy as np

from textkit_plugins.embeddings.compiled import njit

_OPTIONS = {"cache": True, "nogil": True, "fastmath": True, "boundscheck": False, "error_model": "numpy"}


@njit(**_OPTIONS)
def order_by_word(ids, first, last, starts, positions):
    """Fills `positions` i64[token] with the positions first..last-1 of a text, word by word: word w's begin at starts[w].

    `starts` i64[word + 1] must hold zeros and is filled too. Negative ids mark ends of lines and are left out.
    """
    size = len(starts) - 1
    for position in range(first, last):
        if ids[position] >= 0:
            starts[ids[position] + 1] += 1
    for word in range(size):
        starts[word + 1] += starts[word]
    at = starts[:size].copy()
    for position in range(first, last):
        word = ids[position]
        if word >= 0:
            positions[at[word]] = position
            at[word] += 1


@njit(**_OPTIONS)
def count_rows(ids, starts, positions, weight, row_starts, columns, values):
    """Counts each word's neighbours on both sides, word by word; returns the number of pairs.

    `weight` f64[window]: the weight of a neighbour at distance 1, 2, ...; the end of a line ends a window. The result is a
    sparse matrix by rows: `row_starts` i64[word + 1], `columns` i32[pair] (in the order in which they were met), `values`
    f32[pair]. One row at a time is summed up in a dense array, because that stays in the cache and a hash table would not.
    """
    size = len(starts) - 1
    window = len(weight)
    total = len(ids)
    sums = np.zeros(size, np.float64)
    pair = 0
    for row in range(size):
        first = pair
        for at in range(starts[row], starts[row + 1]):
            for step in (-1, 1):
                other = positions[at]
                for distance in range(window):
                    other += step
                    if other < 0 or other >= total or ids[other] < 0:
                        break
                    column = ids[other]
                    if sums[column] == 0.0:
                        columns[pair] = column
                        pair += 1
                    sums[column] += weight[distance]
        for at in range(first, pair):
            values[at] = sums[columns[at]]
            sums[columns[at]] = 0.0
        row_starts[row + 1] = pair
    return pair


@njit(**_OPTIONS)
def add_rows(shard_starts, shard_columns, shard_values, size, row_starts, columns, values):
    """Adds up the same rows of several sparse matrices of `size` columns; returns the number of pairs.

    `shard_starts` i64[shard, row + 1] says where in `shard_columns`, `shard_values` [entry] each shard's rows lie. The
    result has the form of that of `count_rows`.
    """
    sums = np.zeros(size, np.float64)
    pair = 0
    for row in range(shard_starts.shape[1] - 1):
        first = pair
        for shard in range(shard_starts.shape[0]):
            for at in range(shard_starts[shard, row], shard_starts[shard, row + 1]):
                column = shard_columns[at]
                if sums[column] == 0.0:
                    columns[pair] = column
                    pair += 1
                sums[column] += shard_values[at]
        for at in range(first, pair):
            values[at] = sums[columns[at]]
            sums[columns[at]] = 0.0
        row_starts[row + 1] = pair
    return pair


@njit(**_OPTIONS)
def glove_step(rows, columns, logs, centre, context, squares, options):
    """One pass over pairs (Pennington et al. 2014, equations 8 and 9) by AdaGrad; returns the sum of the pairs' losses.

    The pairs are `rows`, `columns` i32[pair] and `logs` f32[pair] = log X. Each pair changes the tables in place:
    `centre`, `context` = (vectors f32[word, dim], bias f32[word]); `squares` = (of centre's vectors, of context's vectors,
    of centre's bias, of context's bias): 1 plus the sum of the squared steps before AdaGrad's division, as in the authors'
    glove.c. `options` f32[4] = eta, log(x_max), alpha, the largest gradient of an element.
    The compiler vectorises the loops over `dim` only if they use local variables and one-sided min and max.
    """
    w, bias = centre  # the paper's w and b
    c, context_bias = context  # w~ and b~
    w_squares, c_squares, bias_squares, context_bias_squares = squares
    eta, log_x_max, alpha, clip = options[0], options[1], options[2], options[3]
    most = eta * clip
    dim = w.shape[1]
    loss = 0.0
    for pair in range(len(rows)):
        i = rows[pair]
        j = columns[pair]
        wi = w[i]
        cj = c[j]
        wi_squares = w_squares[i]
        cj_squares = c_squares[j]
        product = np.float32(0)
        for d in range(dim):
            product += wi[d] * cj[d]
        difference = product + bias[i] + context_bias[j] - logs[pair]
        weighted = np.exp(min(alpha * (logs[pair] - log_x_max), np.float32(0))) * difference  # f(X) = (X/x_max)^alpha
        loss += np.float32(0.5) * weighted * difference
        step = eta * weighted
        for d in range(dim):
            a = wi[d]
            b = cj[d]
            a_squares = wi_squares[d]
            b_squares = cj_squares[d]
            a_step = step * b
            b_step = step * a
            a_step = min(a_step, most)
            a_step = max(a_step, -most)
            b_step = min(b_step, most)
            b_step = max(b_step, -most)
            wi[d] = a - a_step / np.sqrt(a_squares)
            cj[d] = b - b_step / np.sqrt(b_squares)
            wi_squares[d] = a_squares + a_step * a_step
            cj_squares[d] = b_squares + b_step * b_step
        step = min(step, most)
        step = max(step, -most)
        bias[i] -= step / np.sqrt(bias_squares[i])
        context_bias[j] -= step / np.sqrt(context_bias_squares[j])
        bias_squares[i] += step * step
        context_bias_squares[j] += step * step
    return loss
