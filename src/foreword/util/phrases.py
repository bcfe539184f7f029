"""Numbers as people read them: 1,280; 12.4 s; 3 min 10 s; p = 0.18; with as many digits as are significant."""

from __future__ import annotations

from collections.abc import Mapping

_TITLES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf++": "chrF++",
    "rouge_l": "ROUGE-L",
    "rougel": "ROUGE-L",
    "ter": "TER",
    "token_f1": "token F1",
    "f1": "F1",
    "exact_match": "exact match",
    "bleu_lower": "BLEU, lower case",
    "bleu_zh": "BLEU (zh)",
    "bleu_ja": "BLEU (ja-mecab)",
    "bleu_ko": "BLEU (ko-mecab)",
    "bleu_char": "BLEU (char)",
    "bleu_intl": "BLEU (intl)",
    "bleu_flores200": "spBLEU (FLORES-200)",
    "rouge_l_unicode": "ROUGE-L (Unicode)",
    "token_f1_unicode": "token F1 (Unicode)",
    "bleu_mteval": "BLEU (mteval)",
    "nist_mteval": "NIST (mteval)",
    "meteor": "METEOR",
    "meteor_coco": "METEOR (COCO)",
    "dart_meteor": "METEOR (DART)",
    "webnlg_meteor": "METEOR (WebNLG)",
    "rouge_l_coco": "ROUGE-L (COCO)",
    "cider_coco": "CIDEr",
    "multi_bleu": "multi-bleu",
    "multi_bleu_lc": "multi-bleu, lower case",
    "dart_bleu": "BLEU (DART)",
    "webnlg_bleu": "BLEU (WebNLG)",
    "totto_bleu": "BLEU (ToTTo)",
    "parent": "PARENT",
    "blec": "BLEC",
    "spider_match": "exact set match",
    "mtop_em": "exact match (MTOP)",
    "mtop_template": "template match",
    "mtop_tree": "tree match",
    "squad_em": "exact match (SQuAD)",
    "mrpc_f1": "F1",
    "qqp_f1": "F1",
    "cb_f1": "macro F1",
    "multirc_f1": "F1 over answers",
    "multirc_em": "questions all right",
    "wsc": "accuracy (WSC)",
    "accuracy": "accuracy",
}


def title(metric: str) -> str:
    """The metric's name as it is written in prose: `bleu` is BLEU; a function of a file stays as it was named."""
    return metric if ".py:" in metric else _TITLES.get(metric.lower(), metric.replace("_", " "))


def score(value: float) -> str:
    """A score or a mean of scores, one decimal; never a negative nought."""
    return f"{value + 0.0:.1f}" if abs(value) >= 0.05 else "0.0"


def scores(by_name: Mapping[str, float]) -> str:
    """Scores with their names: `bleu 81.2, dev_loss 0.137`."""
    return ", ".join(
        f"{name} {value:.3f}" if name.endswith("loss") else f"{name} {score(value)}"
        for name, value in sorted(by_name.items())
    )


def points(value: float) -> str:
    """A difference of scores: one decimal, two where one would hide it."""
    if value == 0 or abs(value) >= 0.095:
        return score(value)
    return f"{value:.2f}" if abs(value) >= 0.005 else "0.0"


def between(low: float, high: float) -> str:
    """An interval in words: `-0.3 to 2.1`."""
    return f"{points(low)} to {points(high)}"


def whole(value: float) -> str:
    """A count with its thousands marked: 1,638,400."""
    return f"{round(value):,}"


def tokens(value: float) -> str:
    """A mean number of tokens: whole where it is whole or large, else one decimal."""
    return whole(value) if value >= 100 or abs(value - round(value)) < 0.05 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A time with the two units that matter: 8.1 ms, 12.4 s, 3 min 10 s, 2 h 5 min, 3 d 4 h."""
    if seconds <= 0:
        return "0 s"
    for unit, factor in (("µs", 1e6), ("ms", 1e3), ("s", 1.0)):
        text = _three(seconds * factor)
        if float(text) < (60 if unit == "s" else 1000):
            return f"{text} {unit}"
    for large, small, size, small_size in (("min", "s", 60, 60), ("h", "min", 3600, 60), ("d", "h", 86400, 24)):
        total = round(seconds / size * small_size)
        if total < {"min": 3600, "h": 1440, "d": total + 1}[large]:
            high, low = divmod(total, small_size)
            return f"{high:,} {large} {low} {small}" if low else f"{high:,} {large}"
    raise AssertionError("days have no upper end")


def size(count: float) -> str:
    """Bytes with the unit that fits: 812 MB, 1.4 GB."""
    for unit, factor in (("kB", 1e3), ("MB", 1e6)):
        if count < 1000 * factor:
            return f"{_three(count / factor)} {unit}"
    return f"{_three(count / 1e9)} GB"


def _three(value: float) -> str:
    """About three figures."""
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def p_value(p: float) -> str:
    """`p = 0.18`, `p = 0.004`, `p < 0.001`."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.0995 else f"p = {p:.2f}"


def listed(words: list[str]) -> str:
    """`zero`, `zero and pt`, `zero, icl and pt`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def split_sizes(sizes: dict[str, int], folds: int = 0, examples: int = 0) -> str:
    """`240 train, 30 dev and 30 test examples`; with folds `300 test examples in 5 folds of 216 train, 24 dev and 60 test`. examples:
    tested in all folds together."""
    parts = listed([f"{size:,} {split}" for split, size in sizes.items()])
    return f"{plural(examples, 'test example')} in {folds} folds of {parts}" if folds else f"{parts} examples"


def plural(number: int, noun: str) -> str:
    """`1 example`, `1,280 examples`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
