"""The held-out families: kept out of pre-training, small images of their originals, with a dial for near examples."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable
from random import Random

import pytest
from tokenizers import Tokenizer

from foreword.data.examples import Example
from foreword.data.task import Task
from foreword.metrics import metric
from foreword.metrics.mtop import template
from foreword.models import reference
from foreword.prompts import retrieve
from foreword.synthetic import documents, names
from foreword.synthetic.families import FAMILIES, Drawn, Family, dart, logic2text, mtop, pairs, spider, task
from foreword.tasks import mini_tasks
from foreword.util.errors import ForewordError

SLOT = re.compile(r"\{\w+\}")
PAIRS, PASSAGES = ("mini-qqp", "mini-mrpc"), ("mini-squad", "mini-news")


@functools.cache
def looked_at(name: str, similarity: float | None = None) -> Task:
    """The examples of seed 0, which may be looked at; those of the shipped tasks (seed 1) may not."""
    return task(FAMILIES[name], seed=0, similarity=similarity)


@functools.cache
def nearest(name: str, similarity: float | None = None) -> list[tuple[Example, Example, float]]:
    """(test example, its nearest training example, their BM25 score)."""
    mini_task = looked_at(name, similarity)
    retrieved = retrieve.make("bm25", mini_task.train).find_all(mini_task.test, 1)
    return [
        (test_example, demonstrations[0].example, demonstrations[0].similarity or 0.0)
        for test_example, demonstrations in zip(mini_task.test, retrieved, strict=True)
    ]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", text.lower())


def fours(text: str) -> set[tuple[str, ...]]:
    tokens = words(text)
    return set(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))


# Kept out of pre-training


class Held:
    """What pre-training must not say of the families: marks, runs of four fixed words, wordings of four fixed words or more."""

    def __init__(self, families: Iterable[Family]) -> None:
        families = list(families)
        wordings = [wording.lower() for family in families for wording in family.wordings]
        self.marks = {mark for family in families for mark in family.marks}
        self.fours = {four for wording in wordings for part in SLOT.split(wording) for four in fours(part)}
        self.wordings = {}
        for wording in wordings:
            parts = [part.strip(" .?,") for part in SLOT.split(wording)]
            if sum(len(words(part)) for part in parts) >= 4:
                pattern = r"\W+\S+(?: \S+)?\W+".join(re.escape(part) for part in parts if part)
                self.wordings[wording] = max(parts, key=len), re.compile(rf"\b{pattern}\b")

    def said_in(self, text: str) -> list[object]:
        lower = text.lower()
        hits: list[object] = [mark for mark in self.marks if mark in text]
        hits += self.fours & fours(text)
        hits += [wording for wording, (part, whole) in self.wordings.items() if part in lower and whole.search(lower)]
        return hits


def hits_in_pretraining(count: int) -> list[str]:
    """What the first documents of seed 0 say of the families."""
    held = Held(FAMILIES.values())
    return [
        f"{hit} in {document.text!r}"
        for document in itertools.islice(documents(0), count)
        for hit in held.said_in(document.text)
    ]


def test_the_families_never_occur_in_pretraining() -> None:
    assert hits_in_pretraining(3_000) == []


@pytest.mark.slow
def test_the_families_never_occur_in_more_of_pretraining() -> None:
    assert hits_in_pretraining(30_000) == []


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_what_is_held_out_is_what_a_family_says(name: str) -> None:
    """The guard sees a family's own examples, and no word of them stands outside its wordings, marks and values."""
    family = FAMILIES[name]
    held, spoken = Held([family]), looked_at(name).train[:150]
    assert len(held.marks) >= 1 and len(held.wordings) >= 2
    assert all(held.said_in(f"{example.text} {example.targets[0]}") for example in spoken)
    values = {word for kind in names._LISTS.values() for word in kind}
    fed = values | {
        "and",
        "then",
        "question",
        "context",
        *spider.TABLES,
        *dart.KINDS,
        *logic2text.WORDS,
        *logic2text.NUMBERS,
    }
    fed |= {word for columns, numbers in spider.TABLES.values() for word in (*columns, *numbers)}
    fed |= {*mtop.THINGS}
    parts = sorted({p.strip() for w in family.wordings for p in SLOT.split(w)} | {*family.marks}, key=len, reverse=True)
    for example in spoken:
        text = " ".join(example.targets) if name in ("mini-totto", "mini-dart", "mini-logic2text") else example.text
        text = text.split(" ; structured knowledge")[0]
        for part in parts:
            text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", " ", text) if part else text
        left = [
            word for word in re.findall(r"\w+", text) if word not in fed and not re.fullmatch(r"[A-Z]\w+|\d+", word)
        ]
        assert left == [], example


def test_the_guard_is_no_blind_one() -> None:
    held = Held(FAMILIES.values())
    assert len(held.fours) > 300 and len(held.wordings) > 150 and len(held.marks) > 30
    assert held.said_in("Input: once upon a time [in:create_call")
    assert held.said_in("Of the ship Karo they say : it sank") and held.said_in(
        "Where did Karo Vado learn all of that law ?"
    )
    assert held.said_in("where do we all get") and not held.said_in("where do you all get")


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_an_example_fits_a_small_window(name: str) -> None:
    tokenizer = Tokenizer.from_file(str(reference.folder("medium") / "tokenizer.json"))
    mini_task = looked_at(name)
    wordy = [
        mini_task.template.ask(example) + mini_task.template.reply(example.targets[0]) for example in mini_task.train
    ]
    assert max(len(encoding.ids) for encoding in tokenizer.encode_batch(wordy)) <= 250


# The contract


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_family_keeps_the_contract_of_a_task(name: str) -> None:
    mini_task = task(FAMILIES[name])
    assert (len(mini_task.train), len(mini_task.dev), len(mini_task.test)) == (1000, 100, 200)
    every = [*mini_task.train, *mini_task.dev, *mini_task.test]
    assert len({example.question for example in every}) == len(every)
    assert all(example.targets and all(example.targets) for example in every)
    assert mini_task.fingerprint == task(FAMILIES[name]).fingerprint
    assert mini_task.fingerprint != task(FAMILIES[name], seed=2).fingerprint
    for metric_name in mini_task.metrics:
        best = metric(metric_name).score([example.targets[0] for example in mini_task.test], *scored(mini_task.test))
        assert best == pytest.approx(100.0), metric_name


def scored(examples: Iterable[Example]) -> tuple[list[tuple[str, ...]], list[object]]:
    every = list(examples)
    return [example.targets for example in every], [example.facts for example in every]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_dial_turns_the_similarity_of_the_nearest_training_example(name: str) -> None:
    low, half, high = (
        sum(score for _, _, score in nearest(name, dial)) / len(nearest(name, dial)) for dial in (0.0, 0.5, 1.0)
    )
    assert low < half < high


def test_a_family_that_runs_out_of_examples_says_so() -> None:
    family = Family("mini-one", lambda rng: lambda rng: Drawn("always", ("the same",)), ("bleu",))
    with pytest.raises(ForewordError, match="no 5 different examples for train"):
        task(family, train=5, dev=0, test=0)


# A near demonstration helps, a random one shows the form alone, and neither is the answer


def copied(name: str, retriever: str) -> float:
    """The score of answering each test example with its demonstration's answer."""
    mini_task = looked_at(name, 1.0)
    retrieved = retrieve.make(retriever, mini_task.train).find_all(mini_task.test, 1)
    return metric(mini_task.metrics[0]).score(
        [demonstrations[0].example.targets[0] for demonstrations in retrieved], *scored(mini_task.test)
    )


@pytest.mark.parametrize("name", ["mini-totto", "mini-dart", "mini-logic2text", "mini-spider"])
def test_a_near_demonstration_is_nearer_to_the_answer_than_a_random_one(name: str) -> None:
    assert copied(name, "bm25") > copied(name, "random") + 10


@pytest.mark.parametrize("name", PAIRS)
def test_the_nearest_pair_does_not_tell_the_label(name: str) -> None:
    share = sum(example.targets[0] == "duplicate" for example in looked_at(name).train) / 1000
    agree = sum(test_example.targets == shown.targets for test_example, shown, _ in nearest(name, 1.0)) / 200
    assert abs(agree - (share**2 + (1 - share) ** 2)) < 0.12


@pytest.mark.parametrize("name", PASSAGES)
def test_the_nearest_passage_does_not_tell_the_answer(name: str) -> None:
    assert copied(name, "bm25") < 15


# Each is a small image of its original


def relations(example: Example) -> set[str]:
    return {triple.split(" :: ")[1] for triple in example.text.split(" | ")}


def test_dart_has_one_to_three_of_a_kinds_relations_and_three_references() -> None:
    mini_task = looked_at("mini-dart")
    assert {len(relations(example)) for example in mini_task.train} == {1, 2, 3}
    assert len(set().union(*map(relations, mini_task.train))) == 12 == sum(map(len, dart.KINDS.values()))
    for example in mini_task.test:
        values = [
            part for triple in example.text.split(" | ") for part in (triple.split(" :: ")[0], triple.split(" :: ")[2])
        ]
        assert len(example.targets) == 3 and all(value in target for target in example.targets for value in values)
    covered = [relations(test_example) <= relations(shown) for test_example, shown, _ in nearest("mini-dart", 1.0)]
    assert 0.2 < sum(covered) / len(covered) < 0.8, "a near demonstration shows some of what is needed, not all"


def test_totto_tells_its_writer_only_by_a_page() -> None:
    mini_task = looked_at("mini-totto", 1.0)
    opening = {example.text.split(" <cell>")[0]: example.targets[0].split()[:2] for example in mini_task.train}
    known = [example for example in mini_task.test if example.text.split(" <cell>")[0] in opening]
    assert len(known) == len(mini_task.test), "with the dial at 1 every page stands in train"
    assert all(example.targets[0].split()[:2] == opening[example.text.split(" <cell>")[0]] for example in known)


def test_logic2text_says_what_blec_looks_for_and_its_forms_are_whole() -> None:
    for example in looked_at("mini-logic2text").test:
        logic, table = example.text.split(" ; structured knowledge: ")
        assert example.facts["logic_str"] == logic and logic.endswith(" = true") and table.startswith("Caption: ")
        assert logic.count("{") == logic.count("}") >= 1
        assert all(
            column in table
            for column in logic2text.WORDS | dict.fromkeys(logic2text.NUMBERS)
            if f"; {column} " in logic
        )


def test_spider_queries_name_columns_of_the_schema_and_values_of_the_question() -> None:
    query_forms = set()
    for example in looked_at("mini-spider").test:
        question, schema = example.text.split(" ; structured knowledge: ")
        query = example.targets[0]
        columns = {column for _, column in example.facts["schema"]["column_names_original"][1:]}
        assert columns == set(schema.rsplit(" : ", 1)[1].split(" , "))
        assert all(value in question for value in re.findall(r'" (.*?) "|> (\d+)', query)[0:1] for value in value)
        signs = dict.fromkeys(columns, "c") | dict.fromkeys(spider.PEOPLE, "who")
        query_forms.add(re.sub(r'" .*? "|\d+', "v", " ".join(signs.get(word, word) for word in query.split())))
    assert len(query_forms) == len(spider.TABLES) * len(spider.ACTS) * len(spider.DEMANDS)


def test_a_data_base_names_its_people_one_way() -> None:
    habits: dict[str, set[str]] = {}
    for example in looked_at("mini-spider").train:
        match = re.match(r"select (name|id) ", example.targets[0])
        base = example.text.split(" structured knowledge: | ")[1].split(" | ")[0]
        habits.setdefault(base, set()).update(match.groups() if match else ())
    assert set().union(*habits.values()) == set(spider.PEOPLE)
    assert sum(len(ways) > 1 for ways in habits.values()) <= 2, "two data bases may bear one name"


def test_mtop_labels_what_was_said_in_the_order_of_the_utterance() -> None:
    known = {slot for phrases in mtop.THINGS.values() for slot in phrases}
    for example in looked_at("mini-mtop").test:
        assert template(example.targets[0]) is not None
        slots = re.findall(r"\[sl:(\w+) (.*?) \]", example.targets[0])
        places = [example.text.index(f" {value}") for _, value in slots]
        assert 1 <= len(slots) <= 3 and places == sorted(places) and {slot for slot, _ in slots} <= known


@pytest.mark.parametrize(("name", "share"), [("mini-qqp", 0.37), ("mini-mrpc", 0.68)])
def test_pairs_are_as_balanced_as_their_originals(name: str, share: float) -> None:
    mini_task = looked_at(name)
    assert abs(sum(example.targets[0] == pairs.LABELS[1] for example in mini_task.train) / 1000 - share) < 0.04
    assert all(example.choices == pairs.LABELS for example in mini_task.train)


VALUES = {"name": r"[A-Z]\w+(?: [A-Z]\w+)*", "place": r"[A-Z]\w+(?: [A-Z]\w+)*", "count": r"\d+"}


def values_of(text: str, topics: tuple[pairs.Topic, ...]) -> tuple[int, int, dict[str, str]]:
    """(topic, relation, values) of a text, by the only wording that fits."""
    matches = []
    for place, topic in enumerate(topics):
        for relation, wordings in enumerate(topic.relations):
            for wording in wordings:
                kinds = {slot: VALUES.get(kind, r"\w+") for slot, kind in topic.slots.items()}
                parts = re.split(r"\{(\w+)\}", wording)
                pattern = "".join(f"(?P<{p}>{kinds[p]})" if i % 2 else re.escape(p) for i, p in enumerate(parts))
                hit = re.fullmatch(pattern, text)
                matches += [(place, relation, hit.groupdict())] if hit else []
    assert len(matches) == 1, text
    return matches[0]


@pytest.mark.parametrize(("name", "topics"), [("mini-qqp", pairs.QUESTIONS), ("mini-mrpc", pairs.STATEMENTS)])
def test_a_pair_is_a_duplicate_where_it_means_the_same(name: str, topics: tuple[pairs.Topic, ...]) -> None:
    kinds = {"same": 0, "value": 0, "relation": 0}
    for example in looked_at(name).train:
        first, second = re.split(r" ?(?:question|sentence)[12]: ", example.text)[1:]
        assert first != second
        (topic, relation, values), other = values_of(first, topics), values_of(second, topics)
        assert topic == other[0]
        differ = sum(values[slot] != other[2][slot] for slot in values)
        kind = "value" if differ else "same" if relation == other[1] else "relation"
        assert differ <= 1 and not (differ and relation != other[1])
        assert (example.targets[0] == "duplicate") == (kind == "same")
        kinds[kind] += 1
    assert min(kinds.values()) > 50


def content(name: str) -> set[str]:
    """The lower-case words of a family's wordings, the commonest fifty English ones left out."""
    common = words(
        "the of and to a in is it that was for on are as with they at be this have from or had by but not what all were "
        "when there can an which their if has will how one them no who its"
    )
    return {word for wording in FAMILIES[name].wordings for word in words(SLOT.sub(" ", wording))} - set(common)


@pytest.mark.parametrize(("home", "away"), [PAIRS, PASSAGES])
def test_the_domains_of_a_pair_of_tasks_differ_in_words(home: str, away: str) -> None:
    home_words, away_words = content(home), content(away)
    assert len(home_words & away_words) / len(home_words | away_words) < 0.2
    assert not set(FAMILIES[home].wordings) & set(FAMILIES[away].wordings)


def test_what_the_tasks_say_of_themselves_is_counted() -> None:
    about = {entry.NAME: entry.__doc__ or "" for entry in mini_tasks.TASKS}
    tasks = {name: task(FAMILIES[name]) for name in ("mini-logic2text", "mini-mtop", "mini-totto")}
    kinds = {example.text.split()[0] for example in tasks["mini-logic2text"].train}
    assert len(kinds) == 4 and "of four of its seven kinds" in about["mini-logic2text"]
    intents = {example.targets[0].split()[0] for example in tasks["mini-mtop"].train}
    assert len(intents) == 10 and "Ten intents, two verbs with each of five things" in about["mini-mtop"]
    known = {example.cluster for example in tasks["mini-totto"].train}
    near = sum(example.cluster in known for example in tasks["mini-totto"].test)
    assert 90 <= near <= 110 and "about half of the test examples have one" in about["mini-totto"]


@pytest.mark.parametrize("name", PASSAGES)
def test_an_answer_stands_in_its_passage_once(name: str) -> None:
    lengths = []
    for example in looked_at(name).train:
        question, passage = example.text.removeprefix("question: ").split(" context: ")
        assert f" {passage} ".count(f" {example.targets[0]} ") == 1 and example.targets[0] not in question.split()
        lengths.append((len(passage.split()), len(re.findall(r" \.", passage))))
    assert max(size for size, _ in lengths) <= 100
    least, most = min(count for _, count in lengths), max(count for _, count in lengths)
    assert (least, most) == ((3, 5) if name == "mini-squad" else (5, 6))


def test_the_news_are_longer() -> None:
    home, away = (sum(len(example.text.split()) for example in looked_at(name).train) / 1000 for name in PASSAGES)
    assert away > 1.3 * home


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_chance_is_a_function_of_the_seed(name: str) -> None:
    group = FAMILIES[name].group
    assert group(Random("a"))(Random("b")) == group(Random("a"))(Random("b"))
