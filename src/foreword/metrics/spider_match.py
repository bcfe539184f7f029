"""Spider's exact set match and its hardness, component by component; literal values and DISTINCT are not compared.

Source: the definition of the official evaluation (Yu et al. 2018; taoyds/spider at b7b5b8c, --etype match), written
anew. Literals of conditions become nothing, columns joined by a foreign key become one where their table stands in
FROM, and each component is right or wrong as a whole. A sub-query is compared as it was parsed but for its literals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from foreword.metrics._spread import spread
from foreword.metrics.base import pairs, values_metric
from foreword.metrics.spider_sql import (
    OPERATORS,
    Column,
    Conditions,
    Expression,
    Query,
    Reread,
    Schema,
    SqlError,
    no_query,
    parse,
)
from foreword.util.errors import ForewordError

LEVELS = ("easy", "medium", "hard", "extra", "all")
COMPONENTS = (
    "select", "select(no AGG)", "where", "where(no OP)", "group(no Having)", "group", "order", "and/or", "IUEN",
    "keywords",
)  # fmt: skip
LEAST = 4000  # examples that are worth a process of their own
_LIKE, _IN = OPERATORS.index("like"), OPERATORS.index("in")

Totals = tuple[int, int, int]  # of the gold query, of the prediction, right


@dataclass(frozen=True)
class Verdict:
    """A prediction against its gold query. totals: by component, (gold, prediction, right)."""

    exact: bool
    hardness: str
    parse_error: bool
    totals: Mapping[str, Totals]

    def right(self, component: str) -> bool:
        """Whether a component is right: as many parts on both sides, and all of them the same."""
        return _right(self.totals[component])


def elementai(tokens: Sequence[str]) -> list[str]:
    """The tokens as the fork of UnifiedSKG and PICARD reads them (elementai/spider at 2965d67): INNER JOIN, `<>` and
    count(1) are JOIN, `!=` and count(*)."""
    read: list[str] = []
    for token, after in zip(tokens, (*tokens, "")[1:], strict=True):
        if token == ">" and read[-1:] == ["<"]:
            read[-1] = "!="
        elif token == "1" and after == ")" and read[-2:] == ["count", "("]:
            read.append("*")
        elif token != "inner" or after != "join":
            read.append(token)
    return read


def suite(tokens: Sequence[str]) -> list[str]:
    """The tokens as the test-suite copy reads them (elementai/test-suite-sql-eval at 0b5ece1): every LIMIT is 1."""
    return ["1" if before == "limit" else token for before, token in zip(("", *tokens), tokens, strict=False)]


def judge(gold: str, prediction: str, schema: Schema, reread: Reread = list) -> Verdict:
    """Whether the prediction is the gold query, set for set. An unreadable prediction counts as an empty query.

    reread: a fork of the tool, `elementai` or `suite`. Raises SqlError, naming the official tool's error, where
    the gold query cannot be read.
    """
    try:
        gold_query = parse(gold, schema, reread)
        hardness = _hardness(gold_query)
        try:
            predicted, unread = parse(prediction, schema, reread), False
        except SqlError:
            predicted, unread = no_query(), True
        totals, exact = _compared(_normal(predicted, schema), _normal(gold_query, schema))
    except (IndexError, TypeError, RecursionError) as error:
        # Conditions without AND or OR between them, or too deep a nest: the official tool stops on them after parsing.
        raise SqlError(type(error).__name__, "conditions that do not alternate, or too deep a nest") from error
    return Verdict(exact, hardness, unread, totals)


def schema_of(row: Mapping[str, Any]) -> Schema:
    """The schema of a row of Spider's tables.json. Raises ValueError where it is none."""
    try:
        columns = [(int(table), str(name)) for table, name in row["column_names_original"]]
        keys = [(int(column), int(other)) for column, other in row["foreign_keys"]]
        return Schema.of([str(table) for table in row["table_names_original"]], columns, keys)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise ValueError(f"this is no Spider schema ({error})") from error


def _exacts(
    outputs: Sequence[str], references: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
) -> list[float]:
    rows = [(output, list(accepted)) for output, accepted in pairs(outputs, references)]
    schemas = {id(known["schema"]): known["schema"] for known in facts}  # questions on one database share the object
    places = {name: place for place, name in enumerate(schemas)}
    jobs = [(*row, places[id(known["schema"])]) for row, known in zip(rows, facts, strict=True)]
    return spread(exact_scores, jobs, list(schemas.values()), least=LEAST)


def exact_scores(jobs: Sequence[Any], schemas: Sequence[Any]) -> list[float]:
    """1 or 0 for each job: output, reference queries, and the place of its row of tables.json among the schemas."""
    known: dict[int, Schema] = {}
    return [
        max(_exact(output, reference, place, schemas, known) for reference in accepted)
        for output, accepted, place in jobs
    ]


def _exact(output: str, reference: str, place: int, schemas: Sequence[Any], known: dict[int, Schema]) -> float:
    try:
        if place not in known:
            known[place] = schema_of(schemas[place])
        return float(judge(reference, output, known[place]).exact)
    except ValueError as error:
        raise ForewordError(
            f"Spider's exact set match cannot read the reference query '{reference}' or its schema ({error}); "
            "leave that example out."
        ) from error


# The normal form


def _normal(query: Query, schema: Schema) -> Query:
    tables = {unit[1][2:-2] for unit in query.tables if unit[0] == "table_unit"}

    def column(unit: Column) -> Column:
        name = unit[1]
        if name in schema.merged and name[2:].partition(".")[0] in tables:
            name = schema.merged[name]
        return unit[0], name, None

    return _mapped(_without_values(query), column)


def _without_values(query: Query) -> Query:
    def emptied(conditions: Conditions) -> Conditions:
        stripped: Conditions = list(conditions)
        for place in range(0, len(stripped), 2):
            if isinstance(stripped[place], str):
                raise SqlError("ValueError", "AND or OR stands where a condition is expected")
            negated, operator, left, *values = stripped[place]
            operands = [_without_values(value) if isinstance(value, Query) else None for value in values]
            stripped[place] = (negated, operator, left, *operands)
        return stripped

    return replace(
        query,
        joins=emptied(query.joins),
        where=emptied(query.where),
        having=emptied(query.having),
        intersect=query.intersect and _without_values(query.intersect),
        except_=query.except_ and _without_values(query.except_),
        union=query.union and _without_values(query.union),
    )


def _mapped(query: Query, column: Callable[[Column], Column]) -> Query:
    def expression(operand: Expression) -> Expression:
        return operand[0], column(operand[1]), operand[2] and column(operand[2])

    def conditions(sequence: Conditions) -> Conditions:
        return [
            condition
            if place % 2
            else (condition[0], condition[1], expression(condition[2]), condition[3], condition[4])
            for place, condition in enumerate(sequence)
        ]

    return replace(
        query,
        select=(None, [(aggregate, expression(operand)) for aggregate, operand in query.select[1]]),
        joins=conditions(query.joins),
        where=conditions(query.where),
        group=[column(unit) for unit in query.group],
        having=conditions(query.having),
        order=query.order and (query.order[0], [expression(operand) for operand in query.order[1]]),
        intersect=query.intersect and _mapped(query.intersect, column),
        except_=query.except_ and _mapped(query.except_, column),
        union=query.union and _mapped(query.union, column),
    )


def _set_operations(query: Query) -> tuple[tuple[str, Query | None], ...]:
    return ("intersect", query.intersect), ("except_", query.except_), ("union", query.union)


# The components


def _compared(predicted: Query, gold: Query) -> tuple[dict[str, Totals], bool]:
    totals = {
        "select": _common(predicted.select[1], gold.select[1]),
        "select(no AGG)": _common([item[1] for item in predicted.select[1]], [item[1] for item in gold.select[1]]),
        "where": _common(predicted.where[::2], gold.where[::2]),
        "where(no OP)": _common(
            [condition[2] for condition in predicted.where[::2]], [condition[2] for condition in gold.where[::2]]
        ),
        "group(no Having)": _common(*([_bare(unit) for unit in side.group] for side in (predicted, gold))),
        "group": _group(predicted, gold),
        "order": _order(predicted, gold),
        "and/or": _connectives(predicted, gold),
        "IUEN": _nested(predicted, gold),
        "keywords": _common(list(_keywords(predicted)), list(_keywords(gold))),
    }
    exact = all(map(_right, totals.values()))
    if exact and gold.tables:
        exact = sorted(predicted.tables) == sorted(gold.tables)
    return totals, exact


def _right(totals: Totals) -> bool:
    gold, ours, right = totals
    return gold == ours == right


def _common(predicted: Sequence[Any], gold: Sequence[Any]) -> Totals:
    left = list(gold)
    for item in predicted:
        if item in left:
            left.remove(item)
    return len(gold), len(predicted), len(gold) - len(left)


def _bare(column: Column) -> str:
    return column[1].split(".")[1] if "." in column[1] else column[1]


def _group(predicted: Query, gold: Query) -> Totals:
    both = bool(predicted.group) and bool(gold.group)
    same = [unit[1] for unit in predicted.group] == [unit[1] for unit in gold.group] and predicted.having == gold.having
    return int(bool(gold.group)), int(bool(predicted.group)), int(both and same)


def _order(predicted: Query, gold: Query) -> Totals:
    same = (
        gold.order is not None and predicted.order == gold.order and (predicted.limit is None) == (gold.limit is None)
    )
    return int(gold.order is not None), int(predicted.order is not None), int(same)


def _connectives(predicted: Query, gold: Query) -> Totals:
    ours, theirs = set(predicted.where[1::2]), set(gold.where[1::2])
    # Two kinds on one side, and the totals stand the wrong way round, as in the official tool.
    return (1, 1, 1) if ours == theirs else (len(ours), len(theirs), 0)


def _nested(predicted: Query, gold: Query) -> Totals:
    gold_total = predicted_total = right = 0
    for (_, predicted_query), (_, gold_query) in zip(_set_operations(predicted), _set_operations(gold), strict=True):
        gold_total += gold_query is not None
        predicted_total += predicted_query is not None
        if predicted_query is not None and gold_query is not None:
            right += _compared(predicted_query, gold_query)[1]
    return gold_total, predicted_total, right


def _keywords(query: Query) -> set[str]:
    keywords = {"where"} if query.where else set()
    keywords |= {"group"} if query.group else set()
    keywords |= {"having"} if query.having else set()
    keywords |= {query.order[0], "order"} if query.order else set()
    keywords |= {"limit"} if query.limit is not None else set()
    keywords |= {part.strip("_") for part, nested in _set_operations(query) if nested is not None}
    parts = (query.joins, query.where, query.having)
    conditions = [condition for part in parts for condition in part[::2]]
    keywords |= {"or"} if any(word == "or" for part in parts for word in part[1::2]) else set()
    keywords |= {"not"} if any(condition[0] for condition in conditions) else set()
    keywords |= {"in"} if any(condition[1] == _IN for condition in conditions) else set()
    keywords |= {"like"} if any(condition[1] == _LIKE for condition in conditions) else set()
    return keywords


# Hardness


def _hardness(query: Query) -> str:
    parts = (query.joins, query.where, query.having)
    conditions = [condition for part in parts for condition in part[::2]]
    first = sum(map(bool, (query.where, query.group, query.order))) + (query.limit is not None)
    first += max(0, len(query.tables) - 1)
    first += sum(condition == "or" for part in parts for condition in part[1::2]) + sum(
        condition[1] == _LIKE for condition in conditions
    )
    second = sum(isinstance(value, Query) for condition in conditions for value in (condition[3], condition[4]))
    second += sum(operand is not None for _, operand in _set_operations(query))
    others = (_aggregates(query) > 1) + (len(query.select[1]) > 1) + (len(query.where) > 1) + (len(query.group) > 1)
    if first <= 1 and others == 0 and second == 0:
        return "easy"
    if second == 0 and ((others <= 2 and first <= 1) or (others < 2 and first <= 2)):
        return "medium"
    if second == 0 and ((others > 2 and first <= 2) or (others <= 2 and 2 < first <= 3)):
        return "hard"
    return "hard" if first <= 1 and others == 0 and second <= 1 else "extra"


def _aggregates(query: Query) -> int:
    """Aggregates of the query; a negated condition, and every AND and OR of HAVING, count as one, as they do there."""
    units: list[Any] = [*query.select[1], *query.where[::2], *query.group, *query.having]
    for _, left, right in query.order[1] if query.order else ():
        units += [left] if right is None else [left, right]
    return sum(unit[0] != 0 for unit in units)


METRICS = (
    values_metric(
        "spider_match",
        needs=("schema",),
        values=_exacts,
        source="Spider's exact set match (Yu et al. 2018; taoyds/spider at b7b5b8c, --etype match).",
        signature=lambda: "spider_match|values:no|distinct:no|version:taoyds-b7b5b8c|refs:best",
    ),
)
