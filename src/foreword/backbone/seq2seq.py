"""The engine for encoder-decoder models: soft prompt and input in the encoder, the answer in the decoder; it refuses to
pad on the left, so no row moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, EncoderDecoderCache

from foreword.backbone.batch import Row, answer_picks, right_padded
from foreword.backbone.causal import Finished, Traits, hidden_at


class Seq2SeqEngine:
    """Loss, scores and greedy answers of a frozen encoder-decoder model. The soft prompt stands before the encoder's input and
    nothing before the decoder's (Lester et al. 2021, section 2), or behind the input where a row says so. Shapes: B rows, P + S
    encoder positions, T answer tokens."""

    def __init__(
        self,
        model: Any,
        *,
        start: tuple[int, ...],
        end: tuple[int, ...],
        pad: int,
        traits: Traits | None = None,
    ) -> None:
        self.model, self.start, self.end, self.pad = model, start, end, pad
        self.traits = traits or Traits(shares=False)
        first = model.config.decoder_start_token_id
        if first is None:
            first = getattr(model.generation_config, "decoder_start_token_id", None)
        self.first = pad if first is None else int(first)
        forced = getattr(model.generation_config, "forced_bos_token_id", None)
        self.forced = None if forced is None else int(forced)

    @property
    def device(self) -> torch.device:
        """Where the model stands."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def _encode(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Any, Tensor]:
        """Encoder output [B, P + S, H] and its mask. The encoder runs once per input."""
        ids, mask = right_padded([self.start + row.prefix + row.own + self.end for row in rows], self.pad, self.device)
        vectors = self.model.get_input_embeddings()(ids)  # [B, S, H]
        if soft is not None:
            shared = soft.to(vectors.dtype).expand(len(rows), -1, -1)  # [B, P, H]
            ones = mask.new_ones((len(rows), len(soft)))
            if rows[0].behind:
                vectors, mask = torch.cat([vectors, shared], dim=1), torch.cat([mask, ones], dim=1)
                order = torch.argsort(1 - mask, dim=1, stable=True)  # the padding between input and prompt goes last
                vectors = vectors.gather(1, order.unsqueeze(-1).expand_as(vectors))
                mask = mask.gather(1, order)
            else:
                vectors, mask = torch.cat([shared, vectors], dim=1), torch.cat([ones, mask], dim=1)
        return self.model.get_encoder()(inputs_embeds=vectors, attention_mask=mask), mask

    def _decode(self, encoded: Any, mask: Tensor, ids: Tensor, picks: Tensor, cache: Any = None) -> Any:
        given = {"encoder_outputs": encoded, "attention_mask": mask, "decoder_input_ids": ids}
        if cache is not None:
            given["past_key_values"] = cache
        if self.traits.picks:
            with hidden_at(self.model.get_output_embeddings(), picks):
                return self.model(use_cache=cache is not None, **given)
        out = self.model(use_cache=cache is not None, **given)
        out.logits = out.logits.reshape(-1, out.logits.shape[-1])[picks].unsqueeze(0)
        return out

    def answer_logits(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Logits [N, V] at the answer positions, and the answer tokens [N]."""
        encoded, mask = self._encode(soft, rows)
        ids, _ = right_padded([(self.first, *row.answer[:-1]) for row in rows], self.pad, self.device)  # [B, T]
        picks, wanted = answer_picks([0] * len(rows), [row.answer for row in rows], ids.shape[1], self.device)
        return self._decode(encoded, mask, ids, picks).logits[0], wanted

    def loss(self, soft: Tensor | None, rows: Sequence[Row]) -> tuple[Tensor, int]:
        """Summed cross-entropy in nats over the answer tokens, and how many tokens."""
        logits, wanted = self.answer_logits(soft, rows)
        return functional.cross_entropy(logits.float(), wanted, reduction="sum"), len(wanted)

    @torch.no_grad()
    def score(self, soft: Tensor | None, rows: Sequence[Row]) -> list[float]:
        """Each row's answer log-probability in nats, summed over its tokens."""
        logits, wanted = self.answer_logits(soft, rows)
        each = -functional.cross_entropy(logits.float(), wanted, reduction="none")
        return [float(part.sum()) for part in torch.split(each, [len(row.answer) for row in rows])]

    @torch.no_grad()
    def forced_logits(self, soft: Tensor | None, rows: Sequence[Row], steps: int) -> Tensor:
        """Logits [B, steps, V] for the first answer tokens, computed as generating computes them, one token a pass."""
        encoded, mask = self._encode(soft, rows)
        cache = _empty_cache()
        said = torch.tensor([(self.first, *row.answer)[:steps] for row in rows], device=self.device)  # [B, steps]
        picks = torch.arange(len(rows), device=self.device)
        found = [self._decode(encoded, mask, said[:, at : at + 1], picks, cache).logits[0] for at in range(steps)]
        return torch.stack(found, dim=1)

    @torch.no_grad()
    def generate(self, soft: Tensor | None, rows: Sequence[Row], longest: int, finished: Finished) -> list[list[int]]:
        """Greedy answers, at most `longest` tokens each; finished(row, ids) ends a row; finished rows leave the batch. Where the
        cache is not exact for this model, the whole answer so far goes through the decoder for each token."""
        encoded, mask = self._encode(soft, rows)
        cache = _empty_cache() if self.traits.continues else None
        answers: list[list[int]] = [[] for _ in rows]
        alive = list(range(len(rows)))
        said = torch.full((len(rows), 1), self.first, dtype=torch.long, device=self.device)  # [rows in the batch, T]
        while True:
            ids = said if cache is None else said[:, -1:]
            picks = torch.arange(1, len(alive) + 1, device=self.device) * ids.shape[1] - 1
            chosen = self._decode(encoded, mask, ids, picks, cache).logits[0].argmax(dim=-1)
            if self.forced is not None and not answers[alive[0]]:
                chosen = torch.full_like(chosen, self.forced)
            for row, token in zip(alive, chosen.tolist(), strict=True):
                answers[row].append(token)
            said = torch.cat([said, chosen.unsqueeze(1)], dim=1)
            going = [
                i for i, row in enumerate(alive) if len(answers[row]) < longest and not finished(row, answers[row])
            ]
            if not going:
                return answers
            if len(going) < len(alive):
                kept = torch.tensor(going, device=self.device)
                alive = [alive[i] for i in going]
                said, mask = said[kept], mask[kept]
                encoded.last_hidden_state = encoded.last_hidden_state[kept]
                if cache is not None:
                    cache.batch_select_indices(kept)


def _empty_cache() -> Any:
    return EncoderDecoderCache(DynamicCache(), DynamicCache())
