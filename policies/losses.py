"""Cross-entropy of the events of a chain, stable at any logits."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from policies.chain import Event, Paths, complement


def event_loss(event: Event, logits: Mapping[str, Tensor], label: Tensor) -> Tensor:
    """Negative log-likelihood of an event, one value per row; of seconds, half the squared error of the logs."""
    if event.seconds:
        return 0.5 * (logits[event.seconds] - label).square()
    return path_loss(event.paths, logits, label)


def path_loss(paths: Paths, logits: Mapping[str, Tensor], label: Tensor) -> Tensor:
    """Cross-entropy of p = sum over paths of products of sigmoid(+-logit), one value per row.

    Of p and 1 - p, the smaller is taken from its own paths, as a log of sums of products, and the larger as one
    less it: log1p(-exp(.)) keeps the digits that the logarithm of a number near 1 loses (compare log1mexp, Maechler
    2012). Both branches see a safe argument, so that no NaN gradient leaks through `where`.
    """
    if len(paths) == len(paths[0]) == 1:
        head, taken = paths[0][0]
        # torch's own cross-entropy takes a difference here, which at a logit of -9 leaves three digits in float32.
        return -logsigmoid(torch.where((label > 0) == taken, logits[head], -logits[head]))
    log_p, log_rest = log_probability(paths, logits), log_probability(complement(paths), logits)
    small, half = log_p < log_rest, log_p.new_full((), -math.log(2))
    less_p = torch.log1p(-torch.exp(torch.where(small, log_p, half)))
    less_rest = torch.log1p(-torch.exp(torch.where(small, half, log_rest)))
    return -torch.where(label > 0, torch.where(small, log_p, less_rest), torch.where(small, less_p, log_rest))


def log_probability(paths: Paths, logits: Mapping[str, Tensor]) -> Tensor:
    """log of the probability that one of these disjoint paths is taken; shape (n,)."""
    each = []
    for path in paths:
        steps = [logsigmoid(logits[head] if taken else -logits[head]) for head, taken in path]
        each.append(sum(steps[1:], start=steps[0]))
    return each[0] if len(each) == 1 else torch.logsumexp(torch.stack(each), dim=0)
