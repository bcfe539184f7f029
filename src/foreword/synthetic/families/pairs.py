"""`mini-qqp` and `mini-mrpc`: do two questions ask, do two sentences of news say the same; they refuse labels of their own each.

After QQP and MRPC, a pair with the same question on other text: hardly more than the commonest words stands in both. As
both have one pair of labels, a prompt goes from one to the other without the mapping of Lester et al. 2021. Two texts that say
the same are always in different wordings; where they do not, one value differs, or what is asked or said of the same values,
so neither shared names nor a shared wording give the answer away. A group has a topic and the value of one slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group, drawn_of, long_name

LABELS = ("not_duplicate", "duplicate")
METRICS = ("accuracy", "qqp_f1")
OTHER_RELATION = 0.4
"""How often two texts that do not say the same differ in the relation, not in a value."""


@dataclass(frozen=True)
class Topic:
    """slots: names to kinds, the first the one that a group shares. relations: each in three wordings, with the same slots."""

    slots: Mapping[str, str]
    relations: tuple[tuple[str, str, str], tuple[str, str, str]]


QUESTIONS = (
    Topic(
        {"place": "place", "food": "food"},
        (
            (
                "how much is {food} in {place} ?",
                "what do they ask for {food} in {place} ?",
                "how much must one give in {place} to eat {food} ?",
            ),
            (
                "how is {food} made in {place} ?",
                "what goes into the {food} of {place} ?",
                "in {place} , in what way do they make {food} ?",
            ),
        ),
    ),
    Topic(
        {"goal": "place", "start": "place"},
        (
            (
                "how long is the way from {start} to {goal} ?",
                "how much time is it to {goal} from {start} ?",
                "to go to {goal} from {start} , how long must i take ?",
            ),
            (
                "which road goes from {start} over to {goal} ?",
                "how do i find {goal} when i am in {start} ?",
                "what road must i take from {start} to see {goal} ?",
            ),
        ),
    ),
    Topic(
        {"person": "name", "subject": "subject"},
        (
            (
                "why does {person} like {subject} so much ?",
                "what is it in {subject} that {person} likes ?",
                "for what is {subject} so good to {person} ?",
            ),
            (
                "where did {person} learn all of that {subject} ?",
                "in what town was {person} taught {subject} ?",
                "what school taught {person} about {subject} ?",
            ),
        ),
    ),
)

STATEMENTS = (
    Topic(
        {"firm": "name", "other": "name", "day": "day"},
        (
            (
                "{firm} told its owners on {day} that it has taken over {other} .",
                "The firm {other} is now held by {firm} , papers of {day} say .",
                "{firm} took over all parts of {other} on {day} .",
            ),
            (
                "{firm} told its owners on {day} that it has a case at law with {other} .",
                "A law case began on {day} between {firm} and the firm {other} .",
                "On {day} {firm} brought {other} before the law .",
            ),
        ),
    ),
    Topic(
        {"city": "place", "count": "count", "day": "day"},
        (
            (
                "High water took {count} houses of {city} on {day} .",
                "In {city} {count} houses were lost to the river , it was said on {day} .",
                "The river of {city} rose on {day} and {count} houses are lost .",
            ),
            (
                "Fire took {count} houses of {city} on {day} .",
                "In {city} {count} houses were lost to a fire , it was said on {day} .",
                "A fire began in {city} on {day} and {count} houses are lost .",
            ),
        ),
    ),
    Topic(
        {"city": "place", "leader": "name", "day": "day"},
        (
            (
                "The people of {city} named {leader} as their new head on {day} .",
                "{leader} now leads {city} , as was made known on {day} .",
                "After the count on {day} {city} has {leader} as its head .",
            ),
            (
                "The people of {city} lost {leader} , who was their head , on {day} .",
                "{leader} no longer leads {city} , as was made known on {day} .",
                "Since {day} {city} is without its head {leader} .",
            ),
        ),
    ),
)


def _grouped(topics: tuple[Topic, ...], mark: str, alike: float) -> Callable[[Random], Group]:
    """Groups of pairs. mark: what stands before a text, with its number. alike: how often a pair says the same."""

    def group(rng: Random) -> Group:
        topic = rng.choice(topics)
        shared, value = next(iter(topic.slots)), long_name(rng)

        def draw(rng: Random) -> Drawn:
            values = drawn_of(topic.slots, rng) | {shared: value}
            same = rng.random() < alike
            relation = rng.randrange(2)
            first, second = rng.sample(topic.relations[relation], 2)
            others = dict(values)
            if not same and rng.random() < OTHER_RELATION:
                second = rng.choice(topic.relations[1 - relation])
            elif not same:
                slot = rng.choice(sorted(topic.slots))
                while others[slot] == values[slot]:
                    others[slot] = names.value(topic.slots[slot], rng)
            pair = first.format(**values), second.format(**others)
            if rng.random() < 0.5:
                pair = pair[1], pair[0]
            return Drawn(f"{mark}1: {pair[0]} {mark}2: {pair[1]}", (LABELS[same],))

        return draw

    return group


def _family(name: str, topics: tuple[Topic, ...], mark: str, alike: float) -> Family:
    return Family(
        name,
        _grouped(topics, mark, alike),
        METRICS,
        choices=LABELS,
        wordings=tuple(wording for topic in topics for relation in topic.relations for wording in relation),
        marks=(*LABELS, f"{mark}1", f"{mark}2"),
        shares="source",
    )


QQP = _family("mini-qqp", QUESTIONS, "question", 0.37)
MRPC = _family("mini-mrpc", STATEMENTS, "sentence", 0.68)
