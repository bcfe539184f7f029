"""The output layer at answer positions: cross-entropy and its gradient a few rows at a time, so that a large vocabulary never makes a
full table of logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from foreword.engine.half_products import detour, linear, slices

LOGITS = (
    2**19
)  # made at once, 2 MiB in float32: they stay in the processor's cache, as do the weights of their vocabulary entries
FAINT = -60.0  # logits below the greatest by more count as this: below any rounding; numbers under 1e-38 make a product 20 times as slow
ROWS, ENTRIES = 1024, 512  # hidden states that go together, at most; vocabulary entries, at least


class Head:
    """Logits [N, V] of hidden states [N, H]: a product with the output layer's weights, and what the model does to it afterwards where its
    configuration says so (a soft cap, a factor). Whether that is all of it is found by running the model, not here."""

    def __init__(self, model: Any) -> None:
        layer = model.get_output_embeddings()
        if not isinstance(layer, torch.nn.Linear):
            raise ValueError("the output layer is no matrix product")
        config = model.config.get_text_config(decoder=True)
        self.weight, self.bias = layer.weight, layer.bias  # [V, H], [V]
        cap = getattr(config, "final_logit_softcapping", None)
        self.cap = None if cap is None else float(cap)
        self.scale = float(getattr(config, "logit_scale", None) or 1.0) / float(
            getattr(config, "logits_scaling", None) or 1.0
        )

    def logits(self, hidden: Tensor, entries: slice = slice(None)) -> Tensor:
        """[N, H] to [N, V], or to some of the V entries."""
        logits = linear(hidden, self.weight[entries], None if self.bias is None else self.bias[entries])
        if self.scale != 1.0:
            logits *= self.scale
        return logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)

    def bent(self, logits: Tensor) -> Tensor | float | None:
        """What the gradient of logits [N, V] is to be multiplied with to be that of the product; None for 1."""
        if self.cap is not None:
            return (logits / self.cap).square_().neg_().add_(1.0).mul_(self.scale)
        return None if self.scale == 1.0 else self.scale

    def loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy in nats of hidden states [N, H] against tokens [N], summed; gradients reach the hidden states."""
        return _Loss.apply(hidden, labels, self)  # type: ignore[no-any-return,no-untyped-call]


def frozen(model: torch.nn.Module) -> bool:
    """Whether no weight of the model takes a gradient."""
    return not any(value.requires_grad for value in model.parameters())


def answers_loss(
    model: Any, by_head: bool, run: Callable[[list[Tensor] | None], tuple[Tensor, Tensor]]
) -> tuple[Tensor, int]:
    """Summed cross-entropy in nats over answer tokens, and how many. run: gives logits [N, V] and the tokens [N]; or, handed a list, puts
    hidden states [N, H] there in the logits' stead. by_head: `Head` makes the logits of them, and its weights take no gradient."""
    hidden_states: list[Tensor] | None = [] if by_head else None
    logits, labels = run(hidden_states)
    if hidden_states:
        return Head(model).loss(hidden_states[-1], labels), len(labels)
    return functional.cross_entropy(logits.float(), labels, reduction="sum"), len(labels)


class _Loss(torch.autograd.Function):
    """The gradient is made beside the loss, while a part's logits are at hand: for hidden states it is (chances - one at the label)
    times the output layer's weights. What chances are divided by is known at the end only; until then all is relative to the greatest
    logit so far (Milakov and Gimelshein 2018, arXiv 1805.02867)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, labels: Tensor, head: Head) -> Tensor:
        kind = torch.promote_types(hidden.dtype, torch.float32)
        grad, losses = torch.empty_like(hidden), []
        for rows in slices(len(hidden), ROWS):
            states, row_labels = hidden[rows], labels[rows].unsqueeze(1)  # [N, H], [N, 1]
            top = torch.full(row_labels.shape, float("-inf"), dtype=kind, device=hidden.device)
            total, at, slope = torch.zeros_like(top), torch.zeros_like(top), torch.zeros_like(states, dtype=kind)
            for entries in slices(len(head.weight), max(ENTRIES, LOGITS // len(states))):
                logits = head.logits(states, entries).to(kind)  # [N, entries]
                bent = head.bent(logits) if ctx.needs_input_grad[0] else None
                here = row_labels - entries.start
                inside = (here >= 0) & (here < logits.shape[1])
                here = here.clamp(0, logits.shape[1] - 1)
                at = torch.where(inside, logits.gather(1, here), at)
                higher = torch.maximum(top, logits.amax(dim=-1, keepdim=True))
                shrunk = (top - higher).clamp_(min=FAINT).exp_()
                chances, top = logits.sub_(higher).clamp_(min=FAINT).exp_(), higher
                total.mul_(shrunk).add_(chances.sum(dim=-1, keepdim=True))
                if ctx.needs_input_grad[0]:
                    chances = chances if bent is None else chances.mul_(bent)
                    slope.mul_(shrunk)
                    _add_product(slope, chances, head.weight[entries])
            losses.append((top + total.log() - at).sum())
            if ctx.needs_input_grad[0]:
                bent = head.bent(at)
                target = head.weight[row_labels.squeeze(1)]
                grad[rows] = slope.div_(total).sub_(target if bent is None else target * bent)
        ctx.save_for_backward(grad)
        return torch.stack(losses).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (hidden_grad,) = ctx.saved_tensors
        return (hidden_grad * grad).to(hidden_grad.dtype), None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right, in the numbers of `right`, or by the detour in those of the other two, which are the same."""
    if total.dtype == right.dtype or detour(right):
        total.addmm_(left, right.to(total.dtype))
    else:
        total += left.to(right.dtype) @ right
