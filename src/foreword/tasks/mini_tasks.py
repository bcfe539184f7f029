"""Nine small tasks that are generated after the papers' own, always the same ones; no file is needed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from foreword.data.task import Task
from foreword.synthetic.families import FAMILIES, task
from foreword.tasks._entry import entry

GENERATED = """\
1,000 training, 100 dev and 200 test examples are made when they are asked for, always the same ones; nothing of them occurs in the
pre-training of the reference models.
"""


def _mini(name: str, summary: str, docstring: str) -> ModuleType:
    def load(folder: Path | None = None) -> Task:
        """The generated task; `folder` is not looked at."""
        return task(FAMILIES[name])

    return entry(docstring + GENERATED, NAME=name, SUMMARY=summary, METRICS=FAMILIES[name].metrics, load=load)


TASKS = (
    _mini(
        "mini-dart",
        "triples to text, three references (generated, after DART)",
        """Triples about a made-up thing to a sentence, three references, after DART; generated, no file is needed.

Three kinds of things with four relations each, one to three of them in an example.
""",
    ),
    _mini(
        "mini-logic2text",
        "a logical form to text (generated, after Logic2Text)",
        """A logical form over a made-up table to a sentence, after Logic2Text; generated, no file is needed.

The forms are Logic2Text's own, of four of its seven kinds, so that BLEC decides, as in the original; as a copy of the
form would pass BLEC too, BLEU stands beside it.
""",
    ),
    _mini(
        "mini-mrpc",
        "do two sentences of news say the same (generated, after MRPC)",
        """Whether two sentences of made-up news say the same, after MRPC; generated, no file is needed.

A pair with mini-qqp: the same labels on text of other topics. 68 in a hundred are duplicates; the others differ in
one value, or in what they say of the same values.
""",
    ),
    _mini(
        "mini-mtop",
        "an utterance to a bracketed parse (generated, after MTOP)",
        """An utterance to a bracketed parse, after MTOP; generated, no file is needed.

Ten intents, two verbs with each of five things, and three slots for each thing, one to three of them in an utterance, none
inside another.
""",
    ),
    _mini(
        "mini-news",
        "mini-squad's task on news (generated, after MRQA out of domain)",
        """A question on a passage of made-up news to words of it, after MRQA's out-of-domain sets; generated, no file is needed.

The same task as mini-squad on text that a prompt trained there has not seen: events for things, other questions,
longer passages with sentences that nobody asks about. It has a training split of its own.
""",
    ),
    _mini(
        "mini-qqp",
        "do two questions ask the same (generated, after QQP)",
        """Whether two questions ask the same, after QQP; generated, no file is needed.

A pair with mini-mrpc: the same labels on text of other topics. 37 in a hundred are duplicates; the others differ in
one value, or in what they ask of the same values.
""",
    ),
    _mini(
        "mini-spider",
        "a question and a schema to SQL (generated, after Spider)",
        """A question on a made-up database to SQL, after Spider; generated, no file is needed.

Six kinds of questions on one table; exact set match decides, as in the original, and it looks at no value: exact
match does.
""",
    ),
    _mini(
        "mini-squad",
        "a question on a passage to words of it (generated, after SQuAD)",
        """A question on a passage about a made-up thing to words of it, after SQuAD; generated, no file is needed.

Three kinds of things; a passage has three to five sentences, and the answer stands in it once.
""",
    ),
    _mini(
        "mini-totto",
        "highlighted cells to text (generated, after ToTTo)",
        """Highlighted cells of a made-up table to a sentence, after ToTTo; generated, no file is needed.

A page has a section of one of three kinds and one of two writers, whom only another example of the page gives away:
about half of the test examples have one in the training split.
""",
    ),
)
