"""What foreword puts into a model's modules, once: each patched part asks the pass that runs in its own thread or task what to do, and
outside a pass does what it always did."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from transformers import PreTrainedConfig

from foreword.engine.attention import NAME, OWN, local_window
from foreword.engine.passes import Pass, SequenceLayout, current

_INSTALLED = "_foreword_installation"  # the attribute of a model that holds its Installation
Changed = Callable[..., Any]
"""Of a pass, a module's own forward and its arguments: what the module computes in that pass."""


class PatchedForward:
    """The `forward` of a module that computes something else in some passes of its model."""

    def __init__(self, owner: Installation | None, module: torch.nn.Module, label: str, changed: Changed) -> None:
        self.owner, self.module, self.label, self.changed = owner, module, label, changed
        self.own = vars(module).get("forward")  # an instance's own, such as a library's hook; else the class's
        self.plain = self.own if self.own is not None else module.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        now = current()
        if now is None or now.owner is not self.owner:
            return self.plain(*args, **kwargs)
        return self.changed(now, self.plain, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copied model has none of its parts changed."""
        module, own = copy.deepcopy(self.module, memo), copy.deepcopy(self.own, memo)
        return own if own is not None else type(module).forward.__get__(module)

    def remove(self) -> None:
        """Give the module its own forward back."""
        if self.own is None:
            vars(self.module).pop("forward", None)
        else:
            vars(self.module)["forward"] = self.own


def is_plain(module: torch.nn.Module) -> bool:
    """Whether a module's forward is its class's own."""
    forward = vars(module).get("forward")
    return forward is None or (
        getattr(forward, "__self__", None) is module and getattr(forward, "__func__", None) is type(module).forward
    )


class _ChosenPositions:
    """The hook before an output layer: it gets the hidden states of a pass's logit positions, or none where they are collected."""

    def __init__(self, owner: Installation | None) -> None:
        self.owner = owner

    def __call__(self, _: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        now = current()
        if now is None or now.owner is not self.owner or now.logit_positions is None:
            return None
        hidden = args[0].reshape(-1, args[0].shape[-1])  # of [B, T, H]
        hidden = hidden[now.logit_positions.to(hidden.device)]
        if now.hidden is not None:
            now.hidden.append(hidden)
            hidden = hidden[:0]
        return (hidden.unsqueeze(0), *args[1:])  # [1, N, H]: logits come as [1, N, V]

    def __deepcopy__(self, memo: dict[int, Any]) -> _ChosenPositions:
        return _ChosenPositions(None)


class Installation:
    """All that foreword has put into one model, which is frozen and in eval mode for that time. Backbones made of the same model share it;
    `close` takes it out when the last one goes."""

    def __init__(self, model: Any) -> None:
        for module in model.modules():  # what a copied model brings along of the first one's installation
            if "forward" in vars(module) and is_plain(module):
                del module.forward
            for key, hook in list(module._forward_pre_hooks.items()):
                if isinstance(hook, _ChosenPositions) and hook.owner is None:
                    del module._forward_pre_hooks[key]
        self.model, self.users, self.lock = model, 0, threading.RLock()
        self._in_training = [module for module in model.modules() if module.training]
        self._trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        model.eval()
        model.requires_grad_(False)
        self.patched: list[PatchedForward] = []
        self.failed: dict[str, str] = {}  # what could not be installed, and why
        self.configs: set[int] = (
            set()
        )  # ids of the configurations of the model and its parts, which live as long as it does
        self._local = local_window(model.config.get_text_config(decoder=True)) is not None
        self.own_attention = [module for module in model.modules() if type(module).__name__ in OWN]
        self._install_attention()
        head = model.get_output_embeddings()
        self._hook = None if head is None else head.register_forward_pre_hook(_ChosenPositions(self))

    @classmethod
    def of(cls, model: Any) -> Installation:
        """The model's installation, made where there is none; each call is to be matched by one of `close`."""
        installation = vars(model).get(_INSTALLED)
        if installation is None:
            installation = vars(model)[_INSTALLED] = cls(model)
        installation.users += 1
        return installation  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """A copied model has nothing installed."""

    def new_pass(self, **changes: Any) -> Pass:
        """A pass of this model within the one that is running, if it is of this model: its settings hold but for the changes."""
        now = current()
        return replace(now, **changes) if now is not None and now.owner is self else Pass(self, **changes)

    def patch_forward(self, module: torch.nn.Module, label: str, changed: Changed) -> None:
        """Let a module compute something else in passes of this model."""
        patch_forward = PatchedForward(self, module, label, changed)
        vars(module)["forward"] = patch_forward
        self.patched.append(patch_forward)

    def remove(self, label: str) -> None:
        """Take out what has this label."""
        for patch_forward in reversed(self.patched):
            if patch_forward.label == label:
                patch_forward.remove()
        self.patched = [patch_forward for patch_forward in self.patched if patch_forward.label != label]

    def close(self) -> None:
        """One user fewer; after the last one the model is as it was before the first."""
        self.users -= 1
        if self.users > 0:
            return
        for patch_forward in reversed(self.patched):
            patch_forward.remove()
        self.patched = []
        if self._hook is not None:
            self._hook.remove()
        for module in self._in_training:
            module.training = True
        for parameter in self._trainable:
            parameter.requires_grad_(True)
        vars(self.model).pop(_INSTALLED, None)

    # -- attention --------------------------------------------------------------------------------------------------

    def _install_attention(self) -> None:
        for module in self.own_attention:
            self.patch_forward(module, "attention", _own_attention(module, OWN[type(module).__name__]))
        if self.own_attention:
            return
        if not self.model._can_set_attn_implementation():
            self.failed["attention"] = f"{type(self.model).__name__} does not let its attention be chosen"
            return
        self.configs = {id(module.config) for module in self.model.modules() if hasattr(module, "config")}
        _ask_passes()

    def check_layout(self) -> None:
        """Raises ValueError for a model whose attention cannot be chosen."""
        if "attention" in self.failed:
            raise ValueError(self.failed["attention"])

    def check_windows(self, layout: SequenceLayout) -> None:
        """Raises ValueError for a model with local attention whose layers did not say how far they see."""
        if self._local and not self.own_attention and layout.windows <= {None}:
            raise ValueError("this model's attention is local, and its layers do not say so")


def _own_attention(module: torch.nn.Module, attention: Callable[..., Any]) -> Changed:
    def changed(now: Pass, plain: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if now.layout is None:
            return plain(*args, **kwargs)
        return attention(module, now.layout, *args, **kwargs)

    return changed


def _ask_passes() -> None:
    """Let the library's configurations name foreword's attention in passes with a layout of a model that they belong to. Once a process;
    outside such a pass the property is the library's own."""
    own = PreTrainedConfig._attn_implementation
    if getattr(own.fget, "_foreword", False):
        return

    def chosen(config: Any) -> Any:
        now = current()
        if (
            now is not None
            and now.layout is not None
            and isinstance(now.owner, Installation)
            and id(config) in now.owner.configs
        ):
            return NAME
        return own.fget(config)

    chosen._foreword = True  # type: ignore[attr-defined]
    PreTrainedConfig._attn_implementation = property(chosen, own.fset)
