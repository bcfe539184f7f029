"""The page: one HTML file with the whole result that needs no network; every text in it is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from foreword.report import charts
from foreword.report.details import break_even, confusions, next_steps, other_metrics
from foreword.report.examples import browsable
from foreword.report.measured import measured
from foreword.report.shell import embedded, figure, filled, head, prose, resource, scrolled, section
from foreword.report.similarity import FEWEST_IN_BIN, Gain, gains
from foreword.results.record import Record
from foreword.results.rows import Baseline, MethodComparison, MethodRow, Summary
from foreword.results.stats import ALPHA, Bin
from foreword.util import phrases
from foreword.util.files import write_text

NATS = "loss, nats an answer token"


def write_report(path: Path, summary: Summary, records: Sequence[Record], trials: Sequence[Record] = ()) -> None:
    """Write the page whole or not at all; the same summary and records give the same bytes. trials: the records of the single folds,
    where the others hold several folds each. Raises ForewordError."""
    write_text(path, page(summary, records, trials))


def page(summary: Summary, records: Sequence[Record], trials: Sequence[Record] = ()) -> str:
    """The page as text; see `write_report`."""
    trials = trials or records
    labels = [row.method for row in summary.rows]
    colours = charts.colour_numbers(labels)
    data, browsed = browsable(records, labels)
    for method in data["methods"]:
        method["colour"] = colours[method["label"]]
    script = resource("tables.js") + resource("page.js")
    headline = summary.recommendation.headline
    slots = {
        "head": head(
            f"{summary.task} on {summary.backbone}: {headline[0].lower() + headline[1:]}", resource("page.css"), script
        ),
        "script": script,
        "headline": escape(headline),
        "reason": prose(escape(_without_repeat(summary.recommendation.reason, headline))),
        "facts": _facts(summary),
        "table": _table(summary, colours) + _subsets(summary, colours),
        "beside": scrolled("Other metrics", other_metrics(summary, records, colours)) + confusions(summary),
        "next": next_steps(summary),
        "table_note": prose(_table_note(summary)),
        "cost_chart": _cost_figure(summary, colours),
        "seed_chart": _seed_figure(summary, colours),
        "similarity": _similarity(gains(records), summary, colours),
        "break_even": escape(break_even(summary)),
        "curves": _curves(trials, colours),
        "examples_note": escape(_examples_note(summary, browsed)),
        "measured": measured(summary, trials),
        "data": embedded(data),
    }
    return filled(resource("page.html"), slots)


def _without_repeat(reason: str, headline: str) -> str:
    """The reason without the words that the headline already says."""
    following = reason.removeprefix(f"{headline}: ")
    return following if following == reason else following[0].upper() + following[1:]


def _facts(summary: Summary) -> str:
    seeds = sorted({seed for row in summary.rows for seed in row.seeds})
    facts = {
        "Task": summary.task,
        "Model": summary.backbone,
        **({"Examples": _sizes(summary)} if summary.sizes else {}),
        **({} if summary.sizes else {"Test examples": phrases.whole(summary.examples)}),
        "Seeds": ", ".join(map(str, seeds)),
        "Metric": phrases.title(summary.metric),
        **({} if summary.invocation is None else {"Date": summary.invocation.date}),
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _sizes(summary: Summary) -> str:
    return phrases.split_sizes(summary.sizes, summary.folds, summary.examples).removesuffix(" examples")


# --- the table ---------------------------------------------------------------------------------------


def _table(summary: Summary, colours: dict[str, int]) -> str:
    answers = summary.recommendation.amortize_over
    heads = (
        "Method",
        phrases.title(summary.metric) + " (mean ± spread)",
        "95% interval",
        "Against the best",
        "Trainable parameters",
        "Training",
        "Tokens before input",
        "Per answer",
        f"Time for {phrases.plural(answers, 'answer')}",
    )
    compared = {comparison.method: comparison for comparison in summary.comparisons}
    body = "".join(_line(row, summary, compared.get(row.method), colours[row.method]) for row in summary.rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body += "".join(_failed(method) for method in dict.fromkeys(failure.method for failure in summary.failures))
    body += "".join(_baseline(baseline) for baseline in summary.baselines)
    return f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _failed(method: str) -> str:
    """A line of a method that has no score."""
    return f'<tr class=blind><th scope="row"><span class="chip"></span>{escape(method)}</th><td>failed</td>{"<td></td>" * 7}</tr>'


def _baseline(baseline: Baseline) -> str:
    """A line that needs no model."""
    name = f'<span class="chip"></span>{escape(baseline.name)}'
    columns = f'<td data-sort="{baseline.score!r}">{phrases.score(baseline.score)}</td>' + "<td></td>" * 7
    return f'<tr class=blind><th scope="row">{name}</th>{columns}</tr>'


def _line(row: MethodRow, summary: Summary, compared: MethodComparison | None, colour: int) -> str:
    chosen = row.method == summary.recommendation.method
    pill = '<span class="use">recommended</span>' if chosen else ""
    if row.method in summary.recommendation.tied:
        pill += '<span class="use tied">tie</span>'
    name = f'<span class="chip c{colour}"></span>{escape(row.method)}{pill}'
    spread = f' <span class="rest">± {phrases.score(row.std)}</span>' if len(row.seeds) > 1 else ""
    nothing = all(each.mean < 0.05 for each in summary.rows)
    against = f'<span class="rest">{"–" if nothing else "best"}</span>'
    if compared is not None and not nothing:
        sure = "" if compared.significantly_worse else f"<br>{_unsure(compared)}"
        against = (
            f"{_signed(-compared.difference)} "
            f'<span class="rest">{escape(phrases.p_value(compared.p_adjusted))}{sure}</span>'
        )
    cells = (
        f'<span class="lead">{phrases.score(row.mean)}</span>{spread}',
        f"{phrases.score(row.ci95[0])} – {phrases.score(row.ci95[1])}",
        against,
        phrases.whole(row.trainable_parameters),
        phrases.duration(row.train_seconds) if row.trainable_parameters else "none",
        phrases.tokens(row.prefix_tokens),
        phrases.duration(row.seconds_per_answer),
        phrases.duration(row.cost_seconds(summary.recommendation.amortize_over)),
    )
    values = (
        row.mean,
        row.ci95[0],
        0.0 if compared is None else -compared.difference,
        row.trainable_parameters,
        row.train_seconds,
        row.prefix_tokens,
        row.seconds_per_answer,
        row.cost_seconds(summary.recommendation.amortize_over),
    )
    columns = "".join(f'<td data-sort="{value!r}">{cell}</td>' for value, cell in zip(values, cells, strict=True))
    return f'<tr{" class=chosen" if chosen else ""}><th scope="row">{name}</th>{columns}</tr>'


def _subsets(summary: Summary, colours: dict[str, int]) -> str:
    """The metric of each named part of the examples; nothing where no part is named."""
    if not summary.subsets:
        return ""
    heads = ["By subset", *(f"{name} ({phrases.plural(size, 'example')})" for name, size in summary.subsets.items())]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = []
    for row in summary.rows:
        columns = "".join(f"<td>{phrases.score(row.subsets[name])}</td>" for name in summary.subsets)
        chip = f'<span class="chip c{colours[row.method]}"></span>'
        body.append(f'<tr><th scope="row">{chip}{escape(row.method)}</th>{columns}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _unsure(compared: MethodComparison) -> str:
    """Why a difference from the best does not count."""
    if compared.of_prompts and compared.p_adjusted < ALPHA:
        return "of these prompts"
    return "not told apart"


def _signed(value: float) -> str:
    text = phrases.points(value)
    return f"−{text[1:]}" if text.startswith("-") else text if text == "0.0" else f"+{text}"


def _table_note(summary: Summary) -> str:
    sentences = [failure.sentence() for failure in summary.failures]
    sentences += [
        "The last column includes the training. Intervals and p-values come from one model of seeds and test examples; "
        "p-values are adjusted for all pairs of methods."
    ]
    if any(row.one_seed for row in summary.rows):
        sentences.append("The interval of a method that ran with one seed is that of its prompt.")
    if any(len(row.seeds) > 1 for row in summary.rows):
        sentences.append("The spread is the standard deviation over seeds.")
    same = [row.method for row in summary.rows if row.deterministic]
    if same:
        verb = "does" if len(same) == 1 else "do"
        sentences.append(f"{phrases.listed(same)} {verb} not depend on the seed.")
    return escape(" ".join(sentences))


# --- the pictures ------------------------------------------------------------------------------------


def _cost_figure(summary: Summary, colours: dict[str, int]) -> str:
    answers = summary.recommendation.amortize_over
    description = "; ".join(
        f"{row.method} scores {phrases.score(row.mean)} for {phrases.duration(row.cost_seconds(answers))}"
        for row in summary.rows
    )
    chosen = summary.recommendation.method
    ring = f"The ring marks {chosen}, the bars are 95% intervals." if chosen else "The bars are 95% intervals."
    return figure(
        "What a better score costs",
        f"Up is better, left is cheaper. {ring}",
        charts.score_against_cost(summary, colours),
        f"{phrases.title(summary.metric)} against time for {phrases.plural(answers, 'answer')}: {description}.",
    )


def _seed_figure(summary: Summary, colours: dict[str, int]) -> str:
    description = "; ".join(
        f"{row.method}: {', '.join(map(phrases.score, row.scores_by_seed))}" for row in summary.rows
    )
    return figure(
        "How sure each score is",
        "A point is one seed, the tick is their mean, the band its 95% interval.",
        charts.seeds(summary, colours),
        f"{phrases.title(summary.metric)} of each seed: {description}.",
    )


def _similarity(computed: list[Gain] | str, summary: Summary, colours: dict[str, int]) -> str:
    if isinstance(computed, str):
        return ""
    metric = phrases.title(summary.metric)
    figures = []
    for gain in computed:
        rows = "".join(_bin_row(bucket) for bucket in gain.bins)
        heads = ("Similarity", "Examples", "Mean gain", "95% interval")
        head = "".join(f'<th scope="col">{name}</th>' for name in heads)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        more = f"<details{' open' if len(computed) == 1 else ''}><summary>The numbers</summary>{table}</details>"
        named = f"{gain.with_label} minus {gain.without_label}"
        figures.append(
            figure(
                f"{named}, by similarity of the demonstration",
                f"{gain.sentence()} The line is the fit over all {phrases.plural(len(gain.gain), 'example')}; "
                "a point is the mean of its bin, with its 95% interval (an open point has too few examples for one). "
                f"Each example counts by its own {metric}, averaged over seeds.",
                charts.by_similarity(gain, colours, metric),
                f"{named}: {gain.sentence()} The numbers follow.",
                more,
            )
        )
    body = f'<div class="{"wide" if len(figures) == 1 else "pair"}">{"".join(figures)}</div>'
    return section("similarity", "When does a demonstration help a soft prompt?", body)


def _bin_row(bucket: Bin) -> str:
    digits = max(0, 1 - math.floor(math.log10(bucket.high - bucket.low))) if bucket.high > bucket.low else 2
    known = bucket.lo is not None and bucket.hi is not None and bucket.count >= FEWEST_IN_BIN
    interval = phrases.between(bucket.lo or 0.0, bucket.hi or 0.0) if known else "too few"
    cells = (f"{bucket.count:,}", phrases.points(bucket.mean or 0.0), interval)
    columns = "".join(f"<td>{cell.replace('-', '−')}</td>" for cell in cells)
    return f'<tr><th scope="row">{bucket.low:.{digits}f} to {bucket.high:.{digits}f}</th>{columns}</tr>'


def _curves(records: Sequence[Record], colours: dict[str, int]) -> str:
    drawn = [record for record in records if record.curve]
    if not drawn:
        return ""
    labels = list(dict.fromkeys(record.label for record in drawn))
    legend = "".join(f'<li><span class="chip c{colours[label]}"></span>{escape(label)}</li>' for label in labels)
    figures = []
    for what, name, axis in (
        ("loss", "Loss on training batches", NATS),
        ("dev", "On the dev split, which chooses the checkpoint", _dev_axis(drawn)),
    ):
        svg = charts.curve(drawn, what, axis, colours)
        if svg:
            description = f"{name}, by step, for {phrases.listed(labels)}; {_ends(drawn, what)}."
            figures.append(
                figure(name, "One line for each seed; the ring is the step that was kept.", svg, description)
            )
    body = f'<ul class="legend">{legend}</ul><div class="pair">{"".join(figures)}</div>'
    return section("curves", "Learning curves", body)


def _dev_axis(records: Sequence[Record]) -> str:
    return phrases.title(records[0].primary) if charts.by_metric(records) else NATS


def _ends(records: Iterable[Record], what: str) -> str:
    """The last value of each line, in words."""
    endings = []
    for record in records:
        values = [entry[what] for entry in record.curve if entry.get(what) is not None]
        if values:
            endings.append(f"{record.label} seed {record.seed} ends at {values[-1]:.3g}")
    return ", ".join(endings)


def _examples_note(summary: Summary, browsed: str) -> str:
    total = f"{phrases.plural(summary.examples, 'test example')} {'was' if summary.examples == 1 else 'were'} answered."
    return (
        f"{total} {browsed} Each shows what every method answered and which demonstration it had been given.".replace(
            "  ", " "
        )
    )
