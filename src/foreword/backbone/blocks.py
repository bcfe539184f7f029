"""Rows whose answers grow behind a prefix that is held once for all of them: what each layer keeps of their own tokens, and attention over
both; a row sees its prefix and itself, and refuses to see another row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foreword.backbone.attention import Kind, softmax
from foreword.backbone.cache import PrefixState, length_of, moved

SLICE = 1024  # tokens that are read at once: with more, what a layer computes leaves the processor's cache; with fewer, products are slow
SCORES = 2**24  # of some queries of a layer, at most: 64 MiB in float32

Layer = tuple[Tensor, Tensor]  # keys and values
# Of rows and positions: whether a prefix of so many positions is held once for so many rows.
Once = Callable[[int, int], bool]


class Block:
    """Rows behind one prefix that is held once, or rows of any prefixes, each with a copy. Shapes: n rows, K key heads, C columns of a
    row, D head width.

    shared: the prefix held once. held: how many columns of each row hold something; the rest is room for its answer."""

    def __init__(self, shared: PrefixState | None, copied: Sequence[PrefixState | None], room: int) -> None:
        self.shared, self.copied, self.room = shared, list(copied), room
        self.held = [length_of(one) for one in copied]
        self.layers: list[Layer] = []  # [n, K, room, D] each

    @property
    def past(self) -> int:
        """S: positions of the prefix that is held once."""
        return length_of(self.shared)

    def layer(self, index: int, key: Tensor, value: Tensor) -> Layer:
        """A layer's buffers; new ones, for keys and values [1, K, R, D] like these, have the copied prefixes in them and 0 behind."""
        if index == len(self.layers):
            made = [one.new_zeros((len(self.held), one.shape[1], self.room, one.shape[3])) for one in (key, value)]
            for row, state in enumerate(self.copied):
                for which, buffer in enumerate(made if state is not None else ()):
                    buffer[row, :, : self.held[row]] = state.layers[index][which][0]  # type: ignore[union-attr]
            self.layers.append((made[0], made[1]))
        return self.layers[index]

    def keep(self, order: Sequence[int]) -> None:
        """Let only these rows go on, as `still_there` orders them."""
        self.held = [self.held[row] for row in order]
        self.layers = [(moved(keys, order), moved(values, order)) for keys, values in self.layers]


@dataclass
class Part:
    """The new tokens of some rows of a block, from row `first` on: sizes[i] of row first + i."""

    block: Block
    first: int
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        self.rows = slice(self.first, self.first + len(self.sizes))
        self.tokens, self.longest = sum(self.sizes), max(self.sizes)
        self.held = self.block.held[self.rows]  # before these tokens
        self.columns = max(held + size for held, size in zip(self.held, self.sizes, strict=True))
        self.starts = tuple(itertools.accumulate(self.sizes, initial=0))[:-1]
        self._columns: Tensor | None = None  # of one token a row, on the device

    @property
    def spots(self) -> list[int]:
        """Position ids of the tokens."""
        before = [self.block.past + held for held in self.held]
        return [at for start, size in zip(before, self.sizes, strict=True) for at in range(start, start + size)]

    def put(self, buffer: Tensor, states: Tensor) -> None:
        """Set the tokens' keys or values [K, N, D] behind what their rows hold."""
        if self.longest == 1:
            if self._columns is None:  # the same in all layers
                self._columns = torch.tensor([list(range(self.rows.start, self.rows.stop)), self.held]).to(
                    buffer.device
                )
            buffer[self._columns[0], :, self._columns[1]] = states.transpose(0, 1)
            return
        for row, (held, start, size) in enumerate(zip(self.held, self.starts, self.sizes, strict=True), self.first):
            buffer[row, :, held : held + size] = states[:, start : start + size]

    def padded(self, query: Tensor, heads: int) -> Tensor:
        """Queries [heads, N, D] row by row, 0 behind a row's end: [n, K, T, G, D]."""
        by_key = query.view(heads, -1, *query.shape[1:])  # [K, G, N, D]
        if min(self.sizes) == self.longest:
            rows = by_key.view(heads, -1, len(self.sizes), self.longest, query.shape[-1])
            return rows.permute(2, 0, 3, 1, 4)
        found = query.new_zeros((len(self.sizes), heads, self.longest, by_key.shape[1], query.shape[-1]))
        for row, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            found[row, :, :size] = by_key[:, :, start : start + size].transpose(1, 2)
        return found

    def place(self, found: Tensor, whole: Tensor) -> None:
        """Put [n, K, T, G, D] where the tokens stand: [N, K, G, D]."""
        if self.longest == 1:
            whole.copy_(found[:, :, 0])
            return
        for row, (start, size) in enumerate(zip(self.starts, self.sizes, strict=True)):
            whole[start : start + size] = found[row, :, :size].transpose(0, 1)


def beside(
    states: Sequence[PrefixState | None], sizes: Sequence[int], more: int, once: Once
) -> tuple[list[int], list[Block]]:
    """Rows of so many tokens, with room for `more`, beside their prefixes: their places block by block, in each the longest first, and the
    blocks. Rows whose prefix is not held once stand in the last one, each with a copy."""
    owners: dict[int, list[int]] = {}
    for place, state in enumerate(states):
        owners.setdefault(id(state), []).append(place)
    groups, rest = [], []
    for places in owners.values():
        if once(len(places), length_of(states[places[0]])):
            groups.append(places)
        else:
            rest += places
    order, blocks = [], []
    for at, places in enumerate([*groups, rest] if rest else groups):
        places = sorted(places, key=lambda place: -sizes[place])
        shared = states[places[0]] if at < len(groups) else None
        copied = [None if shared else states[place] for place in places]
        room = max(length_of(state) + sizes[place] for state, place in zip(copied, places, strict=True)) + more
        blocks.append(Block(shared, copied, room))
        order += places
    return order, blocks


def slices(blocks: Sequence[Block], sizes: Sequence[int]) -> list[list[Part]]:
    """The first tokens of all rows, so many of each, in parts that are read at once."""
    rows = [(block, row) for block in blocks for row in range(len(block.held))]
    groups: list[list[int]] = []
    tokens = 0
    for place, size in enumerate(sizes):
        tokens += size
        if not groups or tokens > SLICE:
            groups.append([])
            tokens = size
        groups[-1].append(place)
    found = []
    for group in groups:
        runs = [list(run) for _, run in itertools.groupby(group, key=lambda place: id(rows[place][0]))]
        found.append([Part(*rows[run[0]], tuple(sizes[place] for place in run)) for run in runs])
    return found


class Pass:
    """One pass of the model over new tokens of several parts, which stand in one sequence [1, R]. It lives as long as the pass."""

    def __init__(self, parts: Sequence[Part], device: torch.device) -> None:
        self.parts, self.device = parts, device
        spots = [at for part in parts for at in part.spots]
        self.spots, self.reach = torch.tensor([spots], device=device), max(spots) + 1
        self.windows: set[int | None] = set()
        self.at = 0  # the layer that comes next
        self._masks: dict[tuple[object, ...], tuple[Tensor, Tensor | None]] = {}

    @property
    def lasts(self) -> list[int]:
        """Where each row's last token stands."""
        return [end - 1 for end in itertools.accumulate(size for part in self.parts for size in part.sizes)]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, kind: Kind) -> Tensor:
        """Keep the new keys and values, and attend: [1, heads, R, D] to [1, R, heads, D]."""
        heads, first = key.shape[1], 0
        whole = query.new_empty((query.shape[2], heads, query.shape[1] // heads, value.shape[-1]))
        for part in self.parts:
            here = slice(first, first + part.tokens)
            for buffer, states in zip(part.block.layer(self.at, key, value), (key, value), strict=True):
                part.put(buffer, states[0, :, here])
            asked = part.padded(query[0, :, here], heads)
            room = SCORES // (len(part.sizes) * query.shape[1] * (part.block.past + part.columns)) or 1
            runs = [slice(at, min(at + room, part.longest)) for at in range(0, part.longest, room)]
            found = [self._run(part, asked[:, :, run], run, kind) for run in runs]
            part.place(found[0] if len(found) == 1 else torch.cat(found, dim=2), whole[here])
            first = here.stop
        self.at += 1
        return whole.flatten(1, 2).unsqueeze(0)

    def _run(self, part: Part, asked: Tensor, run: slice, kind: Kind) -> Tensor:
        """Attention of some queries [n, K, t, G, D] of each row of a part."""
        n, K, t, G, _ = asked.shape
        past, columns = part.block.past, min(part.columns, max(part.held) + run.stop)
        keys, values = (one[part.rows, :, :columns].flatten(0, 1) for one in part.block.layers[self.at])  # [n K, C, D]
        own_unseen, past_unseen = self._unseen(part, run, columns, kind.window)
        q = (asked * kind.scaling).contiguous()
        scores = torch.bmm(q.view(n * K, t * G, -1), keys.transpose(1, 2)).view(n, K, t, G, columns)
        scores = _shaped(scores, kind, past, own_unseen)
        if past:
            k_past, v_past = (one[0] for one in part.block.shared.layers[self.at])  # type: ignore[union-attr]
            before = torch.bmm(q.transpose(0, 1).reshape(K, n * t * G, -1), k_past.transpose(1, 2))  # [K, n t G, S]
            before = before.view(K, n, t, G, past).transpose(0, 1)
            scores = torch.cat([_shaped(before, kind, 0, past_unseen), scores], dim=-1)
        weights = softmax(scores)
        found = torch.bmm(weights[..., past:].reshape(n * K, t * G, columns), values).view(n, K, t, G, -1)
        if past:
            told = torch.bmm(weights[..., :past].transpose(0, 1).reshape(K, n * t * G, past), v_past)
            found += told.view(K, n, t, G, -1).transpose(0, 1)
        return found

    def _unseen(self, part: Part, run: slice, columns: int, window: int | None) -> tuple[Tensor, Tensor | None]:
        """What the queries must not see of their rows [n, t, C] and of the prefix [n, t, S], None for nothing: the same in all layers."""
        key = (id(part), run.start, columns, window)
        if key not in self._masks:
            first = torch.tensor(part.held, device=self.device).view(-1, 1, 1)
            asking = first + torch.arange(run.start, run.stop, device=self.device).view(-1, 1)  # [n, t, 1], in columns
            column = torch.arange(columns, device=self.device)
            own, past = column > asking, None
            if window is not None:
                own |= column <= asking - window
                past = torch.arange(-part.block.past, 0, device=self.device) <= asking - window
            self._masks[key] = own, past
        return self._masks[key]

    def done(self) -> None:
        """The rows hold their new tokens."""
        for part in self.parts:
            for row, size in enumerate(part.sizes, part.first):
                part.block.held[row] += size


def _shaped(scores: Tensor, kind: Kind, first: int, unseen: Tensor | None) -> Tensor:
    """Scores [n, K, t, G, C] of keys from position `first` on, in place: capped, added to, and -inf where unseen [n, t, C]."""
    if kind.softcap is not None:
        scores = scores.div_(kind.softcap).tanh_().mul_(kind.softcap)
    if kind.added is not None:
        K, G, C = scores.shape[1], scores.shape[3], scores.shape[4]
        scores += kind.added[:, first : first + C].view(1, K, 1, G, C)
    return scores if unseen is None else scores.masked_fill_(unseen[:, None, :, None], float("-inf"))
