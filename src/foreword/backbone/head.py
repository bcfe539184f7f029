"""The output layer at answer positions: cross-entropy and its gradient a few rows at a time, so that a large vocabulary never makes a
full table of logits; it refuses output layers that are more than a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LOGITS = 2**24  # held at once: 64 MiB in float32


class Head:
    """Logits [n, V] of hidden states [n, H]: a product with the output layer's weights, and what the model does to it afterwards where its
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

    def logits(self, hidden: Tensor) -> Tensor:
        """[n, H] to [n, V]."""
        found = functional.linear(hidden, self.weight, self.bias)
        if self.scale != 1.0:
            found *= self.scale
        return found if self.cap is None else found.div_(self.cap).tanh_().mul_(self.cap)

    def bent(self, logits: Tensor) -> Tensor | float | None:
        """What the gradient of logits [n, V] is to be multiplied with to be that of the product; None for 1."""
        if self.cap is not None:
            return (logits / self.cap).square_().neg_().add_(1.0).mul_(self.scale)
        return None if self.scale == 1.0 else self.scale

    def chunks(self, hidden: Tensor) -> Iterator[slice]:
        """Rows whose logits are made together."""
        size = max(1, LOGITS // len(self.weight))
        for at in range(0, len(hidden), size):
            yield slice(at, at + size)

    def loss(self, hidden: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy in nats of hidden states [n, H] against tokens [n], summed; gradients reach the hidden states."""
        return _Loss.apply(hidden, wanted, self)  # type: ignore[no-any-return,no-untyped-call]


def frozen(model: torch.nn.Module) -> bool:
    """Whether no weight of the model takes a gradient."""
    return not any(value.requires_grad for value in model.parameters())


def answers_loss(
    model: Any, by_head: bool, run: Callable[[list[Tensor] | None], tuple[Tensor, Tensor]]
) -> tuple[Tensor, int]:
    """Summed cross-entropy in nats over answer tokens, and how many. run: gives logits [N, V] and the tokens [N]; or, handed a list, puts
    hidden states [N, H] there in the logits' stead. by_head: `Head` makes the logits of them, and its weights take no gradient."""
    seen: list[Tensor] | None = [] if by_head else None
    logits, wanted = run(seen)
    if seen:
        return Head(model).loss(seen[-1], wanted), len(wanted)
    return functional.cross_entropy(logits.float(), wanted, reduction="sum"), len(wanted)


class _Loss(torch.autograd.Function):
    """The gradient is made beside the loss, while a chunk's logits are at hand: for hidden states it is (chances - one at the wanted
    token) times the output layer's weights."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, wanted: Tensor, head: Head) -> Tensor:
        grad, losses = torch.empty_like(hidden), []
        for rows in head.chunks(hidden):
            logits = head.logits(hidden[rows])  # [n, V]
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            said = wanted[rows].unsqueeze(1)  # [n, 1]
            bent = head.bent(logits) if ctx.needs_input_grad[0] else None
            top, at = logits.amax(dim=-1, keepdim=True), logits.gather(1, said)
            total = logits.sub_(top).exp_().sum(dim=-1, keepdim=True)
            losses.append((top + total.log() - at).sum())
            if not ctx.needs_input_grad[0]:
                continue
            if bent is None and hidden.dtype == logits.dtype:
                torch.mm(logits, head.weight, out=grad[rows])
                grad[rows].div_(total).sub_(head.weight[wanted[rows]])
            else:
                slope = logits.div_(total).scatter_add_(1, said, -torch.ones_like(total))
                slope = slope if bent is None else slope.mul_(bent)
                torch.mm(slope.to(hidden.dtype), head.weight, out=grad[rows])
        ctx.save_for_backward(grad)
        return torch.stack(losses).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (found,) = ctx.saved_tensors
        return (found * grad).to(found.dtype), None, None
