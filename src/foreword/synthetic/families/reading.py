"""`mini-squad` and `mini-news`: a question on a passage to words of it; they refuse a question that the passage does not answer.

After SQuAD and the out-of-domain sets of MRQA: the first asks about things, the second about events, in other and longer
sentences, some of which say nothing that is asked for. A passage is on one thing; the answer to each question stands in it
once. A group has a kind of thing and two places, which its things have in common and no question asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from foreword.synthetic import names
from foreword.synthetic.families._family import Drawn, Family, Group, long_name

METRICS = ("token_f1", "squad_em")


@dataclass(frozen=True)
class Fact:
    """kind: what its values are. says: two sentences with `{v}`. asks: two questions with `{s}`, the thing."""

    kind: str
    says: tuple[str, str]
    asks: tuple[str, str]


@dataclass(frozen=True)
class Article:
    """opening: a sentence with `{s}`, `{town}` and `{next}`. facts: what else is known."""

    opening: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Domain:
    """articles: by kind of thing. least: how many facts a passage holds, of four. asides: sentences that say nothing of the thing;
    one of them stands in each passage."""

    articles: Mapping[str, Article]
    least: int
    asides: tuple[str, ...] = ()


THINGS = Domain(
    {
        "tower": Article(
            "{s} is an old tower of {town} , on the road to {next} .",
            (
                Fact(
                    "name",
                    ("The plan was made by {v} .", "A man called {v} has made it ."),
                    ("Who made the tower {s} ?", "By whom was {s} made ?"),
                ),
                Fact(
                    "year",
                    ("The year of its opening is {v} .", "It was opened in the year {v} ."),
                    ("In what year was {s} opened ?", "What is known as the opening year of {s} ?"),
                ),
                Fact(
                    "count",
                    ("It counts {v} floors from the ground up .", "One can go up {v} floors ."),
                    ("How many floors are there in {s} ?", "Up how many floors can one go in {s} ?"),
                ),
                Fact(
                    "name",
                    ("At night {v} stands guard at the door .", "The guard is {v} , who lives there ."),
                    ("Who stands guard at the door of {s} ?", "Who lives in {s} as its guard ?"),
                ),
            ),
        ),
        "market": Article(
            "Between {town} and {next} there is a market called {s} .",
            (
                Fact(
                    "day",
                    ("It is held each {v} from early on .", "The day of the market is {v} ."),
                    ("On what day is {s} held ?", "Which day is the day of {s} ?"),
                ),
                Fact(
                    "food",
                    ("Most of all people sell {v} there .", "What they sell most is {v} ."),
                    ("What do people sell most at {s} ?", "What is it that they sell at {s} ?"),
                ),
                Fact(
                    "count",
                    ("There is room for {v} tables .", "They put up {v} tables in the street ."),
                    ("How many tables are there at {s} ?", "For how many tables has {s} room ?"),
                ),
                Fact(
                    "name",
                    ("Its chief is {v} , whom all know .", "All go to {v} , the chief of it all ."),
                    ("Who is chief of the market {s} ?", "Who is known as the chief of {s} ?"),
                ),
            ),
        ),
        "garden": Article(
            "The garden {s} lies at the side of {town} , in the land of {next} .",
            (
                Fact(
                    "colour",
                    ("Its flowers are of a {v} colour .", "The colour of its flowers is {v} ."),
                    ("What colour are the flowers of {s} ?", "Of what colour are flowers in {s} ?"),
                ),
                Fact(
                    "count",
                    ("There are {v} trees in it .", "People have counted {v} trees so far ."),
                    ("How many trees are there in {s} ?", "How many trees have people counted in {s} ?"),
                ),
                Fact(
                    "name",
                    ("The water comes from {v} , a small river .", "The river {v} gives it all of its water ."),
                    ("Which river gives water to {s} ?", "From where comes the water of {s} ?"),
                ),
                Fact(
                    "name",
                    ("It was once the home of {v} .", "Once it was a home for {v} and friends ."),
                    ("Who once had a home in {s} ?", "Whose home was {s} once ?"),
                ),
            ),
        ),
    },
    2,
)

EVENTS = Domain(
    {
        "race": Article(
            "{town} , {next} : All people were out on the street when the {s} race began .",
            (
                Fact(
                    "name",
                    (
                        "After a long hard run the first of them to come in was {v} .",
                        "First place went to {v} , who was not even short of breath .",
                    ),
                    ("Who was first in the {s} race ?", "To whom went the first place of the {s} race ?"),
                ),
                Fact(
                    "name",
                    (
                        "Far back , when it was night , the last one to come in was {v} .",
                        "Last of them all was {v} , who had lost a shoe on the way .",
                    ),
                    ("Who was last in the {s} race ?", "Who was the last one of the {s} race ?"),
                ),
                Fact(
                    "count",
                    (
                        "The number of teams , {v} , was more than they had room for .",
                        "As many as {v} teams had put their names on the list .",
                    ),
                    ("How many teams were in the {s} race ?", "What was the number of teams in the {s} race ?"),
                ),
                Fact(
                    "day",
                    (
                        "It had to be moved to {v} , as there was water on the road .",
                        "The race was run on {v} , a day on which no one works .",
                    ),
                    ("On what day was the {s} race run ?", "To which day was the {s} race moved ?"),
                ),
            ),
        ),
        "trial": Article(
            "{town} , {next} : One hears of nothing here now but the {s} trial .",
            (
                Fact(
                    "name",
                    (
                        "The judge , {v} , had to ask for order more than once .",
                        "It is in the hands of {v} , a judge for many years .",
                    ),
                    ("Who is the judge of the {s} trial ?", "In the hands of which judge is the {s} trial ?"),
                ),
                Fact(
                    "name",
                    (
                        "When they came to the thief , {v} looked down and said no word .",
                        "The thief , a man known as {v} , was led in between two others .",
                    ),
                    ("Who is the thief in the {s} trial ?", "As what is the thief of the {s} trial known ?"),
                ),
                Fact(
                    "material",
                    (
                        "It is all about some {v} that was taken from a ship at night .",
                        "Some {v} had been taken , and no one has seen it since .",
                    ),
                    ("What was taken in the case of the {s} trial ?", "What is the {s} trial all about ?"),
                ),
                Fact(
                    "count",
                    (
                        "So far {v} people have told the house what they saw .",
                        "The number of people who told what they saw is {v} by now .",
                    ),
                    ("How many people told the {s} trial what they saw ?", "How many people were heard at {s} ?"),
                ),
            ),
        ),
        "storm": Article(
            "{town} , {next} : A storm , which is now called {s} , came from the sea .",
            (
                Fact(
                    "count",
                    (
                        "When it was over , {v} houses had lost all or part of their roof .",
                        "The roof was taken from {v} houses and put down in the next street .",
                    ),
                    ("How many houses lost their roof to {s} ?", "From how many houses did {s} take the roof ?"),
                ),
                Fact(
                    "name",
                    (
                        "A child that was in the water was found by {v} in time .",
                        "It was {v} who found the child that no one had looked for .",
                    ),
                    ("Who found the child after {s} ?", "By whom was the child found when {s} was over ?"),
                ),
                Fact(
                    "year",
                    (
                        "No one had seen the like of it since the year {v} .",
                        "The year {v} , old people say , was the last to bring as much rain .",
                    ),
                    ("Since what year was there nothing like {s} ?", "In what year was there a storm like {s} ?"),
                ),
                Fact(
                    "name",
                    (
                        "The ship {v} was put up on the land , far from any water .",
                        "Down at the harbour the water took a ship by the name of {v} .",
                    ),
                    ("Which ship was taken by {s} ?", "By what name goes the ship that {s} put on land ?"),
                ),
            ),
        ),
    },
    3,
    (
        "More than this was not said when we asked .",
        "They will tell of it in the town for a long time to come .",
        "There was music in the street until the next morning .",
    ),
)


def _grouped(domain: Domain) -> Callable[[Random], Group]:
    def group(rng: Random) -> Group:
        article = domain.articles[rng.choice(sorted(domain.articles))]
        town, land = long_name(rng), long_name(rng)

        def draw(rng: Random) -> Drawn:
            facts = rng.sample(article.facts, rng.randint(domain.least, 4))
            drawn = {town, land}
            values = [_new(kind, drawn, rng) for kind in ("name", *(fact.kind for fact in facts))]
            entity, fact_index = values[0], rng.randrange(len(facts))
            lines = [rng.choice(fact.says).format(v=value) for fact, value in zip(facts, values[1:], strict=True)]
            if domain.asides:
                lines.insert(rng.randint(1, len(lines)), rng.choice(domain.asides))
            passage = " ".join([article.opening.format(s=entity, town=town, next=land), *lines])
            question = rng.choice(facts[fact_index].asks).format(s=entity)
            return Drawn(f"question: {question} context: {passage}", (values[1 + fact_index],))

        return draw

    return group


def _new(kind: str, drawn: set[str], rng: Random) -> str:
    """A value that shares no word with those drawn before, so that each stands in the passage once."""
    while True:
        value = names.value(kind, rng)
        if not set(value.split()) & {word for other in drawn for word in other.split()}:
            drawn.add(value)
            return value


def _wordings(domain: Domain) -> tuple[str, ...]:
    sentences = [sentence for article in domain.articles.values() for sentence in _sentences(article)]
    return (*sentences, *domain.asides)


def _sentences(article: Article) -> tuple[str, ...]:
    return (article.opening, *(sentence for fact in article.facts for sentence in (*fact.says, *fact.asks)))


def _family(name: str, domain: Domain) -> Family:
    return Family(
        name, _grouped(domain), METRICS, wordings=_wordings(domain), marks=("question: ", " context: "), shares="source"
    )


SQUAD = _family("mini-squad", THINGS)
NEWS = _family("mini-news", EVENTS)
