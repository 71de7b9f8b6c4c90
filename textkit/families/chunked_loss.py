"""Label-smoothed cross-entropy whose logits are never all in memory at once. Knows a network's projection, and no text.

With eps = label smoothing, V words and lse = log sum exp of the logits z of one token (Szegedy et al. 2016, section 7):

    loss   = lse - (1 - eps) z_y - eps / V sum z
    d/dz   = softmax(z) - (1 - eps) [at y] - eps / V

R-Drop (Liang et al. 2021, arXiv 2106.14448) reads a batch twice, with different dropout, and adds `agreement` times the mean of
KL(p || q) and KL(q || p) of the two distributions of each token. With u = log p - log q, for the logits z behind p:

    KL(p || q) = sum p u        d/dz (KL(p || q) + KL(q || p)) = p (u - KL(p || q)) + p - q

The logits of a batch are by far its largest tensor, so they are made, used and dropped 512 tokens at a time. Where the
projection is one matrix (`project_weight`, `project_bias`), its gradient is computed at once, while the logits are there; any
other projection is computed once more in the backward pass (Chen et al. 2016, arXiv 1604.06174).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHUNK = 512  # tokens
_TINY = 1e-30  # a probability too small to compute the logits' log sum exp from


def smoothed_cross_entropy(
    network: nn.Module,
    hidden: Tensor,
    target: Tensor,
    smoothing: float,
    chunk: int = CHUNK,
    agreement: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The means over tokens of the loss, with a gradient, and of -log p(target), without one.

    hidden f32[token, dim], target i64[token]. With an `agreement`, they hold all tokens twice, those of the second pass after
    those of the first. R-Drop's term is then added at half its weight, because the loss is the mean of the two passes, whereas
    the paper adds them up.
    """
    weight = getattr(network, "project_weight", None)
    if weight is not None:
        bias = getattr(network, "project_bias", None)
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        given: tuple[Tensor | None, ...] = (hidden, weight, bias)
        if not torch.is_grad_enabled():  # a Function does not know this and would compute gradients
            given = tuple(None if part is None else part.detach() for part in given)
        loss, exact = _Linear.apply(*given, target, smoothing, chunk, dtype, agreement)
    else:
        parts = [
            checkpoint(
                _of_chunk, network.project, hidden[rows], target[rows], smoothing, agreement, use_reentrant=False
            )
            for rows in _chunks(hidden, chunk, agreement > 0)
        ]
        loss, exact = (torch.stack(sums).sum() for sums in zip(*parts, strict=True))
    return loss / len(target), exact.detach() / len(target)


def cross_entropy(network: nn.Module, hidden: Tensor, target: Tensor) -> Tensor:
    """The mean of -log p(target): hidden f32[token, dim], target i64[token]. A network may define its own."""
    if hasattr(network, "cross_entropy"):
        return network.cross_entropy(hidden, target)
    return smoothed_cross_entropy(network, hidden, target, 0.0)[0]


def _chunks(hidden: Tensor, chunk: int, twice: bool) -> list[Any]:
    """The rows that are taken at once: `chunk` of them, or, if all tokens are there `twice`, a quarter as many.

    Then each token comes with its counterpart, and more matrices must stay in the processor's cache.
    """
    if not twice:
        return [slice(start, start + chunk) for start in range(0, len(hidden), chunk)]
    half = len(hidden) // 2
    firsts = torch.arange(half, device=hidden.device).split(max(1, chunk // 8))
    return [torch.cat([rows, rows + half]) for rows in firsts]


def _of_chunk(
    project: Any, hidden: Tensor, target: Tensor, smoothing: float, agreement: float
) -> tuple[Tensor, Tensor]:
    """The two sums over the tokens of a chunk."""
    logits = project(hidden).float()  # [token, vocab]
    lse = logits.logsumexp(-1)
    wanted = logits.gather(1, target[:, None])[:, 0]
    loss = (lse - (1 - smoothing) * wanted - smoothing * logits.mean(-1)).sum()
    if agreement:
        first, second = (logits - lse[:, None]).chunk(2)
        loss = loss + agreement / 2 * ((first.exp() - second.exp()) * (first - second)).sum()
    return loss, (lse - wanted).sum()


def _disagreement(logits: Tensor, share: Tensor, lse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """KL(p || q) + KL(q || p), summed over the tokens, and its gradient with respect to the logits of each half.

    The halves are the two passes: logits and share = softmax(logits) [2 token, vocab], lse [2 token, 1].
    """
    half = len(logits) // 2
    ahead = torch.sub(logits[:half].float(), logits[half:])  # [token, vocab]
    ahead.sub_(lse[:half] - lse[half:])  # log p - log q
    p, q = share[:half].float(), share[half:].float()
    there, back = torch.linalg.vecdot(p, ahead)[:, None], -torch.linalg.vecdot(q, ahead)[:, None]  # [token, 1]
    of_p = (ahead + (1 - there)).mul_(p).sub_(q)
    of_q = ((1 - back) - ahead).mul_(q).sub_(p)
    return (there + back).sum(), of_p, of_q


def _log_sum(logits: Tensor, share: Tensor, at_target: Tensor) -> Tensor:
    """log sum exp of the logits, [token, 1]: as z_y - log p_y, which costs nothing, unless a p_y is too small for that."""
    if logits.is_cuda or bool((share < _TINY).any()):
        return logits.float().logsumexp(1, keepdim=True)
    return at_target - share.log()


class _Linear(torch.autograd.Function):
    """The two sums over tokens for logits hidden W^T + b.

    The gradient of the first is computed in the forward pass, with the sums; the backward pass only scales it.

    The gradient's constant part, eps / V, is one row for all tokens and is kept out of the big matrix: this is less work, and
    in bfloat16 the constant would be lost beside the probabilities.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float, chunk: int,
        dtype: torch.dtype, agreement: float,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        flat = hidden.to(dtype)
        matrix = weight.to(dtype)
        needed = ctx.needs_input_grad[:3]
        to_hidden: Any = torch.empty_like(hidden) if needed[0] else None
        to_weight: Any = torch.zeros_like(weight, dtype=torch.float32) if needed[1] else None
        to_bias: Any = torch.zeros_like(bias, dtype=torch.float32) if needed[2] else None
        even = smoothing / len(weight)
        loss = exact = hidden.new_zeros((), dtype=torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            total = weight.sum(0, dtype=torch.float32)  # [dim]
            for rows in _chunks(flat, chunk, agreement > 0):
                part, wanted = flat[rows], target[rows, None]
                logits = part @ matrix.T if bias is None else torch.addmm(bias.to(dtype), part, matrix.T)
                at_target = logits.gather(1, wanted).float()  # [token, 1]
                of_all = part.float() @ total + (0 if bias is None else bias.sum())  # sum of the logits, [token]
                share = logits.softmax(1)  # [token, vocab]
                share_at_target = share.gather(1, wanted)
                lse = _log_sum(logits, share_at_target.float(), at_target)
                exact = exact + (lse - at_target).sum()
                loss = loss + (lse - (1 - smoothing) * at_target).sum() - even * of_all.sum()
                if agreement:
                    apart, of_first, of_second = _disagreement(logits, share, lse)
                    loss = loss + agreement / 2 * apart
                if not any(needed):
                    continue
                each = torch.arange(len(part), device=part.device)
                share[each, wanted[:, 0]] = (share_at_target - (1 - smoothing))[:, 0]  # scatter_ would copy all of it
                if agreement:
                    half = len(share) // 2
                    share[:half].add_(of_first, alpha=agreement / 2)
                    share[half:].add_(of_second, alpha=agreement / 2)
                if needed[0]:
                    to_hidden[rows] = (share @ matrix).to(hidden.dtype)
                if needed[1]:
                    to_weight += share.T @ part
                if needed[2]:
                    to_bias += (share.new_ones(1, len(share)) @ share)[0]  # sum(0) would copy all of it
            if needed[0]:
                to_hidden -= (even * total).to(hidden.dtype)
            if needed[1]:
                to_weight -= even * flat.sum(0, dtype=torch.float32)
            if needed[2]:
                to_bias -= even * len(flat)
        ctx.save_for_backward(to_hidden, to_weight, to_bias)
        ctx.mark_non_differentiable(exact)
        return loss, exact

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return *(None if part is None else part * scale for part in ctx.saved_tensors), *[None] * 5
