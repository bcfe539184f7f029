"""The monitor's page: one HTML file without script that opens anywhere; it refuses the network and any text it has not escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from foreword.monitor import charts
from foreword.monitor.run import Monitored, meaning
from foreword.monitor.windows import NAMES, NUMBERS, Window
from foreword.report.shell import filled, head, resource
from foreword.util import phrases
from foreword.util.files import write_text

STYLE = """
.alarm th, .alarm td { background: var(--mark); }
ul.alarms { padding-left: 1.2rem; max-width: 60em; font-size: 1.05rem; }
"""


def write_page(path: Path, result: Monitored) -> None:
    """Write the page whole or not at all; the same result gives the same bytes. Raises ForewordError."""
    write_text(path, page(result))


def page(result: Monitored) -> str:
    """The page as text; see `write_page`."""
    features = charts.features_of(result)
    colours = {name: list(NAMES).index(name) for name in features}
    slots = {
        "head": head(f"{result.prompt}: {headline(result)}", resource("page.css") + STYLE),
        "headline": escape(headline(result)),
        "reason": escape(reason(result)),
        "alarms": _list(result.alarms, "alarms"),
        "facts": _facts(result),
        "evidence": _evidence(result, colours),
        "movement": _movement(result, features),
        "scores": _scores(result),
        "label": _to_label(result),
        "table": _table(result.windows, features),
        "notes": "".join(f"<li>{escape(note)}</li>" for note in (*rule(result), *result.notes)),
    }
    return filled(files("foreword.monitor").joinpath("page.html").read_text(encoding="utf-8"), slots)


def headline(result: Monitored) -> str:
    """The answer in a few words."""
    if not result.windows and not result.scores:
        return "Too few requests to tell"
    if not result.alarms:
        return "Nothing unlike the reference" if any(window.tests for window in result.windows) else "No alarm"
    return f"{len(result.alarms)} {'alarm' if len(result.alarms) == 1 else 'alarms'}"


def reason(result: Monitored) -> str:
    """What was compared with what, in a sentence."""
    count, size = len(result.windows), result.rule.size
    features = charts.features_of(result)
    by = f" by {phrases.listed(features)}" if features else ""
    return (
        f"{phrases.whole(result.requests)} requests of {result.prompt}, of which {phrases.plural(count, 'window')} of {size} "
        f"{'was' if count == 1 else 'were'} compared with {result.against}{by}."
    )


def rule(result: Monitored) -> list[str]:
    """How alarms are decided, in sentences."""
    decision_rule = result.rule
    return [
        f"Each whole window of {decision_rule.size} requests is tested once; what was decided of it does not change when more come.",
        f"Among any {decision_rule.horizon} windows in a row, the probability of one false alarm or more is at most "
        f"{decision_rule.alpha:g}: Holm's method over a window's tests, at the level {decision_rule.alpha:g} / {decision_rule.horizon}. "
        f"Adjusted p-values hold both; an alarm is one of {decision_rule.alpha:g} or less.",
        "Vectors are compared by maximum mean discrepancy with permutations, numbers by Kolmogorov-Smirnov, categories by chi-squared over "
        "tables with the same margins. Requests are taken to be independent of each other.",
    ]


def _list(sentences: Sequence[str], kind: str) -> str:
    if not sentences:
        return ""
    return f'<ul class="{kind}">' + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _facts(result: Monitored) -> str:
    facts = {
        "Prompt": result.prompt,
        "Against": result.against,
        "Requests": phrases.whole(result.requests),
        "Window": f"{result.rule.size} requests",
    }
    if result.windows:
        facts["From"] = result.observations[0].time[:19].replace("T", " ")
        facts["To"] = result.observations[-1].time[:19].replace("T", " ")
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _section(name: str, title: str, body: str) -> str:
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>{body}</section>'


def _figure(name: str, text: str, svg: str, alternative: str) -> str:
    """A titled picture. alternative: what a reader who cannot see it gets."""
    caption = f"<figcaption><strong>{escape(name)}</strong>{escape(text)}</figcaption>"
    return f'<figure>{caption}<div role="img" aria-label="{escape(alternative)}">{svg}</div></figure>'


def _evidence(result: Monitored, colours: dict[str, int]) -> str:
    if not colours:
        return ""
    legend = "".join(f'<li><span class="chip c{number}"></span>{escape(name)}</li>' for name, number in colours.items())
    figure = _figure(
        "Adjusted p of each test",
        "Up is more unlike the reference; what lies on or above the dashed line alarms.",
        charts.evidence(result, colours),
        f"Adjusted p-values by window; {len(result.alarms)} alarms. The numbers stand in the table of every window.",
    )
    body = f'<ul class="legend">{legend}</ul><div class="pair">{figure}</div>'
    return _section("evidence", "How unlike is each window?", body)


def _movement(result: Monitored, features: Sequence[str]) -> str:
    figures = []
    for feature in features:
        drawn = charts.movement(result, feature)
        if drawn:
            figures.append(
                _figure(
                    feature[0].upper() + feature[1:],
                    "Median and middle half of each window; the band is the reference's, a window in orange alarms.",
                    drawn,
                    f"{feature} by window; the numbers stand in the table of every window.",
                )
            )
    tables = "".join(_shares(result, feature) for feature in features)
    if not figures and not tables:
        return ""
    return _section(
        "movement", "What moved?", f'<div class="pair">{"".join(figures)}</div><div class="beside">{tables}</div>'
    )


def _shares(result: Monitored, feature: str) -> str:
    rows = charts.shares(result, feature)
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{there:.0%}</td><td>{here:.0%}</td></tr>'
        for name, there, here in rows
    )
    head = f'<th scope="col">{escape(feature)}</th><th scope="col">Reference</th><th scope="col">Newest window</th>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _scores(result: Monitored) -> str:
    if not result.scores:
        return ""
    metric = phrases.title(result.metric)
    body = "".join(
        f'<tr{" class=alarm" if score.alarm else ""}><th scope="row">{score.window + 1}</th><td>{score.count}</td>'
        f"<td>{phrases.score(score.score)}</td><td>{phrases.score(score.low)} to {phrases.score(score.high)}</td></tr>"
        for score in result.scores
    )
    heads = ("Window", "Requests with truth", metric, f"{result.level * 100:.4g}% interval")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    table = f"<details><summary>The numbers</summary><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    figure = _figure(
        f"{metric} of each window",
        "Bars are intervals over the requests whose truth is known.",
        charts.over_time(result.scores, len(result.windows)),
        "; ".join(f"window {score.window + 1}: {phrases.score(score.score)}" for score in result.scores),
    )
    return _section("scores", "Score over time", f'<div class="pair">{figure}</div>{table}')


def _to_label(result: Monitored) -> str:
    if not result.to_label:
        return ""
    body = "".join(
        f'<tr><th scope="row"><code>{escape(row.id)}</code></th><td>{escape(row.time[:19].replace("T", " "))}</td><td>{row.why}</td>'
        f"<td>{row.value:.4g}</td></tr>"
        for row in result.to_label
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Request", "Time", "Why", "Value"))
    text = (
        "In turn the request most unlike the reference (distance of its vector to the 5th nearest, or of its length to the median) and the "
        "one whose answer was least certain (log-probability a token)."
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    table = f'<div class="scroll" role="region" aria-labelledby="label" tabindex="0">{table}</div>'
    return _section("label", "Label these next", f'<p class="small">{text}</p>{table}')


def _table(windows: Sequence[Window], features: Sequence[str]) -> str:
    heads = ["Window", "From", *features]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(_row(window, features) for window in windows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(window: Window, features: Sequence[str]) -> str:
    by_feature = {test.feature: test for test in window.tests}
    cells = []
    for feature in features:
        test = by_feature.get(feature)
        if test is None:
            cells.append("<td>–</td>")
            continue
        value = f"{test.window['median']:.4g}, " if NAMES[feature].kind == NUMBERS else ""
        flag = f' title="{escape(meaning(feature))}"' if test.alarm else ""
        strong = "lead" if test.alarm else "rest"
        cells.append(f'<td{flag}>{value}<span class="{strong}">p {_p(test.adjusted)}</span></td>')
    begins = escape(window.begins[:19].replace("T", " "))
    kind = " class=alarm" if window.alarm else ""
    return f'<tr{kind}><th scope="row">{window.number + 1}</th><td>{begins}</td>{"".join(cells)}</tr>'


def _p(value: float) -> str:
    return "1" if value >= 0.995 else f"{value:.2g}" if value >= 0.001 else "&lt; 0.001"
