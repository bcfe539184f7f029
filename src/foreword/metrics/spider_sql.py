"""SQL as Spider's official evaluation parses it: a small grammar with its quirks; what that parser cannot read is an SqlError.

Source: the published grammar of Spider's evaluation (Yu et al. 2018; taoyds/spider at b7b5b8c), written anew from its
definition. What a database system would take and this does not: INNER or LEFT JOIN, `<>`, an alias without AS,
count(1), IS NOT NULL, a list after IN, HAVING without GROUP BY. What this takes and a database would not: a missing
comma or AND, text after a whole query, a right-hand side `a OR b` whose second part is lost.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AGGREGATES = ("none", "max", "min", "count", "sum", "avg")
ARITHMETIC = ("none", "-", "+", "*", "/")
OPERATORS = ("not", "between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists")
SET_OPERATIONS = ("intersect", "union", "except")
_CLAUSES = ("select", "from", "where", "group", "order", "limit", *SET_OPERATIONS)
_JOINS = ("join", "on", "as")
_ENDS = (")", ";")

Column = tuple[int, str, bool | None]  # aggregate, `__table.column__`, distinct
Expression = tuple[int, Column, Column | None]  # arithmetic, left, right
Source = tuple[str, Any]  # ("table_unit", "__table__") or ("sql", Query)
Condition = tuple[bool, int, Expression, Any, Any]  # negated, operator, left, value, second value of BETWEEN
Conditions = list[Any]  # Condition, "and" or "or", Condition, ...


Reread = Callable[[Sequence[str]], list[str]]


class SqlError(ValueError):
    """The official tool cannot read this query. kind: the name of the Python error with which it stops."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


@dataclass
class Query:
    """A parsed query; it cannot be hashed, as the dictionary that the official tool makes of it."""

    tables: list[Source]
    joins: Conditions
    select: tuple[bool | None, list[tuple[int, Expression]]]
    where: Conditions
    group: list[Column]
    having: Conditions
    order: tuple[str, list[Expression]] | None
    limit: int | None
    intersect: Query | None = None
    union: Query | None = None
    except_: Query | None = None


def no_query() -> Query:
    """What an unreadable prediction counts as."""
    return Query([], [], (False, []), [], [], [], None, None)


@dataclass(frozen=True)
class Schema:
    """A database: columns by table, both in lower case, and the column that stands for all joined by foreign keys."""

    columns: Mapping[str, frozenset[str]]
    merged: Mapping[str, str]

    @classmethod
    def of(cls, tables: Sequence[str], columns: Sequence[tuple[int, str]], keys: Sequence[tuple[int, int]]) -> Schema:
        """From Spider's tables.json: table names, columns as (table, name) with (-1, "*") first, pairs of column numbers.

        Foreign keys are gathered in their order, each into the first set that holds one of its columns; two sets that
        a later key connects stay apart, and a column in both follows the later set.
        """
        lower = [table.lower() for table in tables]
        known: dict[str, set[str]] = {table: set() for table in lower}
        names = []
        for table, name in columns:
            names.append("__all__" if table < 0 else f"__{lower[table]}.{name.lower()}__")
            if table >= 0:
                known[lower[table]].add(name.lower())
        sets: list[set[int]] = []
        for pair in keys:
            home = next((group for group in sets if group & set(pair)), None)
            if home is None:
                sets.append(home := set())
            home |= set(pair)
        merged = {names[column]: names[min(group)] for group in sets for column in sorted(group)}
        return cls({table: frozenset(names) for table, names in known.items()}, merged)


_SPLITS = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (r"``|`|[«“‘„]", r" \g<0> "),
        (r"([^.])\.([\])}>»”’ ]*)\s*$", r"\1 . \2 "),
        (r"([:,])(\D)", r" \1 \2"),
        (r"[:,]$", r" \g<0> "),
        (r"\.{2,}|[;@#$%&]", r" \g<0> "),
        (r"([^.])\.([\])}>]*)\s*$", r"\1 .\2 "),
        (r"[?!*\[\](){}<>»”’]|--", r" \g<0> "),
        (r"(?i)\b(can)(not)\b", r" \1 \2 "),
        (r"(?i)\b(gim|lem)(me)\b", r" \1 \2 "),
        (r"(?i)\b(gon|wan(?=na(?:\s|$)))(na)\b", r" \1 \2 "),
        (r"(?i)\b(got)(ta)\b", r" \1 \2 "),
    )
)


def words(text: str) -> list[str]:
    """A text without quotation marks in Penn Treebank tokens, as NLTK's word_tokenize has them of one sentence."""
    for pattern, put in _SPLITS:
        text = pattern.sub(put, text)
    return text.split()


@functools.lru_cache(maxsize=2**16)
def tokens(query: str) -> tuple[str, ...]:
    """The tokens of a query, in lower case but for quoted strings, each of which is one token with its marks.

    Raises SqlError for an odd number of quotation marks.
    """
    query = query.replace("'", '"')
    marks = [place for place, letter in enumerate(query) if letter == '"']
    if len(marks) % 2:
        raise SqlError("AssertionError", "an odd number of quotation marks")
    quoted, parts, end = {}, [], 0
    for left, right in zip(marks[::2], marks[1::2], strict=True):
        name = f"__val_{left}_{right}__"
        quoted[name] = query[left : right + 1]
        parts += [query[end:left], name]
        end = right + 1
    read = [quoted.get(word, word) for word in map(str.lower, words("".join(parts) + query[end:]))]
    for place in range(len(read) - 1, -1, -1):
        # A first `=` is joined to the last token, as the official tool does.
        if read[place] == "=" and read[place - 1] in ("!", ">", "<"):
            read[place - 1 : place + 1] = [read[place - 1] + "="]
    return tuple(read)


def parse(query: str, schema: Schema, reread: Reread = list) -> Query:
    """The first query of a text. reread: what a fork of the tool does to the tokens. Raises SqlError where it stops."""
    try:
        read = reread(tokens(query))
        return _Reader(read, _aliases(read, schema), schema).query()
    except (KeyError, IndexError, ValueError, RecursionError) as error:
        if isinstance(error, SqlError):
            raise
        raise SqlError(type(error).__name__, f"an unknown name, a wrong number or an early end: {error}") from error


def _aliases(read: Sequence[str], schema: Schema) -> dict[str, str]:
    names = {read[place + 1]: read[place - 1] for place, token in enumerate(read) if token == "as"}
    for table in schema.columns:
        _demand(table not in names, f"the alias {table} is the name of a table")
        names[table] = table
    return names


def _demand(holds: bool, why: str) -> None:
    if not holds:
        raise SqlError("AssertionError", why)


class _Reader:
    """Reads tokens from left to right; `at` is the place of the next one."""

    def __init__(self, tokens: list[str], names: Mapping[str, str], schema: Schema) -> None:
        self.tokens, self.names, self.schema, self.at = tokens, names, schema, 0

    def here(self, *expected: str) -> bool:
        """Whether there is a next token and it is one of those wanted."""
        return self.at < len(self.tokens) and self.tokens[self.at] in expected

    def take(self, *expected: str) -> bool:
        """The same, and goes past it."""
        matches = self.here(*expected)
        self.at += matches
        return matches

    def opened(self) -> bool:
        """Whether a bracket opens here; going past it. An end here is an error."""
        opens = self.tokens[self.at] == "("
        self.at += opens
        return opens

    def closed(self) -> None:
        """A bracket has to close here."""
        _demand(self.tokens[self.at] == ")", "a bracket does not close")
        self.at += 1

    def query(self) -> Query:
        block = self.opened()
        start = self.at
        _demand("from" in self.tokens[start:], "there is no FROM")
        self.at = self.tokens.index("from", start) + 1
        tables, joins, known = self.sources()
        after, self.at = self.at, start
        select = self.select(known)
        self.at = after
        where = self.conditions(known) if self.take("where") else []
        group = self.group(known)
        having = self.conditions(known) if self.take("having") else []
        order = self.order(known)
        limit = self.limit()
        parsed = Query(tables, joins, select, where, group, having, order, limit)
        self.semicolons()
        if block:
            self.closed()
        self.semicolons()
        if self.here(*SET_OPERATIONS):
            operation = self.tokens[self.at]
            self.at += 1
            setattr(parsed, "except_" if operation == "except" else operation, self.query())
        return parsed

    def semicolons(self) -> None:
        while self.take(";"):
            pass

    def sources(self) -> tuple[list[Source], Conditions, list[str]]:
        """The tables, the conditions that join them, and the names of the tables."""
        tables: list[Source] = []
        joins: Conditions = []
        known: list[str] = []
        while self.at < len(self.tokens):
            block = self.opened()
            if self.tokens[self.at] == "select":
                tables.append(("sql", self.query()))
            else:
                self.take("join")
                name = self.names[self.tokens[self.at]]
                self.at += 3 if self.tokens[self.at + 1 : self.at + 2] == ["as"] else 1
                if name not in self.schema.columns:
                    raise KeyError(name)
                tables.append(("table_unit", f"__{name}__"))
                known.append(name)
            if self.take("on"):
                more = self.conditions(known)
                joins += ["and", *more] if joins else more
            if block:
                self.closed()
            if self.here(*_CLAUSES, *_ENDS):
                break
        return tables, joins, known

    def select(self, known: list[str]) -> tuple[bool, list[tuple[int, Expression]]]:
        _demand(self.tokens[self.at] == "select", "there is no SELECT")
        self.at += 1
        distinct = self.take("distinct")
        columns = []
        while self.at < len(self.tokens) and not self.here(*_CLAUSES):
            aggregate = self.aggregate()
            columns.append((aggregate, self.expression(known)))
            self.take(",")
        return distinct, columns

    def aggregate(self) -> int:
        token = self.tokens[self.at]
        if token not in AGGREGATES:
            return 0
        self.at += 1
        return AGGREGATES.index(token)

    def column(self, known: list[str]) -> str:
        token = self.tokens[self.at]
        self.at += 1
        if token == "*":
            return "__all__"
        if "." in token:
            alias, name = token.split(".")
            table = self.names[alias]
            if name not in self.schema.columns.get(table, ()):
                raise KeyError(token)
            return f"__{table}.{name}__"
        table = next((table for table in known if token in self.schema.columns[table]), "")
        _demand(bool(table), f"no column {token}")
        return f"__{table}.{token}__"

    def column_unit(self, known: list[str]) -> Column:
        block = self.opened()
        if self.tokens[self.at] in AGGREGATES:
            aggregate = self.aggregate()
            _demand(self.take("("), "an aggregate without its bracket")
            distinct = self.take("distinct")
            unit = aggregate, self.column(known), distinct
            _demand(self.take(")"), "an aggregate without its bracket")
            return unit  # an outer bracket stays open, as in the official tool
        distinct = self.take("distinct")
        unit = 0, self.column(known), distinct
        if block:
            self.closed()
        return unit

    def expression(self, known: list[str]) -> Expression:
        block = self.opened()
        left, right, sign = self.column_unit(known), None, 0
        if self.here(*ARITHMETIC):
            sign = ARITHMETIC.index(self.tokens[self.at])
            self.at += 1
            right = self.column_unit(known)
        if block:
            self.closed()
        return sign, left, right

    def conditions(self, known: list[str]) -> Conditions:
        alternating: Conditions = []
        while self.at < len(self.tokens):
            left = self.expression(known)
            negated = self.tokens[self.at] == "not"
            self.at += negated
            _demand(self.here(*OPERATORS), "there is no comparison")
            operator = OPERATORS.index(self.tokens[self.at])
            self.at += 1
            first, second = self.value(known), None
            if OPERATORS[operator] == "between":
                _demand(self.tokens[self.at] == "and", "BETWEEN has no AND")
                self.at += 1
                second = self.value(known)
            alternating.append((negated, operator, left, first, second))
            if self.here(*_CLAUSES, *_ENDS, *_JOINS):
                break
            if self.here("and", "or"):
                alternating.append(self.tokens[self.at])
                self.at += 1
        return alternating

    def value(self, known: list[str]) -> Any:
        """A sub-query, a quoted text, a number, or a column, which swallows all up to a comma, `)`, AND or a clause."""
        start = self.at
        block = self.opened()
        token = self.tokens[self.at]
        value: Any
        if token == "select":
            value = self.query()
        elif '"' in token:
            value = token
            self.at += 1
        else:
            try:
                value = float(token)
                self.at += 1
            except ValueError:
                end = start
                while end < len(self.tokens) and self.tokens[end] not in (",", ")", "and", *_CLAUSES, *_JOINS):
                    end += 1
                value = _Reader(self.tokens[start:end], self.names, self.schema).column_unit(known)
                self.at = end
        if block:
            self.closed()
        return value

    def group(self, known: list[str]) -> list[Column]:
        columns: list[Column] = []
        if not self.take("group"):
            return columns
        self.by()
        while self.at < len(self.tokens) and not self.here(*_CLAUSES, *_ENDS):
            columns.append(self.column_unit(known))
            if not self.take(","):
                break
        return columns

    def order(self, known: list[str]) -> tuple[str, list[Expression]] | None:
        if not self.take("order"):
            return None
        self.by()
        direction = "asc"
        keys: list[Expression] = []
        while self.at < len(self.tokens) and not self.here(*_CLAUSES, *_ENDS):
            keys.append(self.expression(known))
            if self.here("desc", "asc"):
                direction = self.tokens[self.at]
                self.at += 1
            if not self.take(","):
                break
        return direction, keys

    def by(self) -> None:
        _demand(self.tokens[self.at] == "by", "GROUP or ORDER without BY")
        self.at += 1

    def limit(self) -> int | None:
        if not self.take("limit"):
            return None
        self.at += 1
        return int(self.tokens[self.at - 1])
