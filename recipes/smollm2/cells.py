"""Which trials the page docs/smollm2.md rests on, in the order in which they are run: what costs least and says most comes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from foreword.config.run import Run
from foreword.config.tuning import Tuning
from foreword.results.record import Record

WHOLE = 10**9
UNTUNED, TUNED = ("zero", "icl:random", "icl", "icl:bm25:3"), ("pt", "ipt")
METHODS = (*UNTUNED, *TUNED)


@dataclass(frozen=True)
class Setting:
    """One task of the table. paper: the paper's task and metric that it stands for. max_new_tokens: no answer of the test examples
    is longer. metric: decides; the others of the task are reported too."""

    task: str
    paper: str
    metrics: tuple[str, ...]
    max_new_tokens: int


SETTINGS = (
    Setting("dart", "DART BLEU", ("bleu", "dart_bleu", "chrf"), 72),
    Setting("mtop", "MTOP EM", ("mtop_em", "mtop_template", "mtop_tree"), 96),
    Setting("e2e", "", ("bleu_mteval", "bleu", "rouge_l_coco"), 72),
    Setting("logic2text", "Logic2text BLEC", ("bleu", "chrf", "rouge_l"), 72),
    Setting("spider", "Spider EM", ("spider_match", "exact_match"), 144),
)


@dataclass(frozen=True)
class Lay:
    """How all trials are run. test: examples scored. steps, batch: of tuning. length: rows of the soft prompt. tasks: of the table that
    are run."""

    model: str = "smollm2"
    out: Path = Path("runs/smollm2")
    data_dir: str = ""
    dtype: str = "bfloat16"
    seeds: tuple[int, ...] = (0, 1)
    test: int = 200
    steps: int = 200
    batch: int = 8
    length: int = 25
    tasks: tuple[str, ...] = tuple(setting.task for setting in SETTINGS)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The tasks that are run, in their order."""
        return tuple(setting for setting in SETTINGS if setting.task in self.tasks)

    def run(self, setting: Setting, methods: Iterable[str], *, seeds: Iterable[int], **tuning: object) -> Run:
        """The settings of some trials of one task. tuning: what differs."""
        fitted = {
            "prompt_length": self.length,
            "max_steps": self.steps,
            "batch_size": self.batch,
            "eval_every": max(1, self.steps // 4),
            "dev_limit": 64,
        }
        return Run(
            model=self.model,
            task=setting.task,
            data_dir=self.data_dir,
            methods=list(methods),
            metrics=list(setting.metrics),
            seeds=list(seeds),
            limit=self.test,
            train_limit=WHOLE,
            max_new_tokens=setting.max_new_tokens,
            batch_size=32,
            too_long="drop",
            dtype=self.dtype,  # type: ignore[arg-type]
            out=str(self.out),
            tuning=Tuning.model_validate(fitted | tuning),
        )

    def untuned(self) -> list[tuple[Setting, Run]]:
        """The main table's rows that need no tuning, of all tasks."""
        return [(setting, self.run(setting, UNTUNED, seeds=self.seeds)) for setting in self.settings]

    def tuned(self, seed: int) -> list[tuple[Setting, Run]]:
        """PT and IPT of each task with one seed."""
        return [(setting, self.run(setting, [method], seeds=[seed])) for setting in self.settings for method in TUNED]

    def main(self) -> list[tuple[Setting, Run]]:
        """The whole main table."""
        return self.untuned() + [each for seed in self.seeds for each in self.tuned(seed)]

    def transfer(self, records: Iterable[Record]) -> list[tuple[Setting, Run]]:
        """Each source task's first PT prompt, not trained further, before a retrieved demonstration of every target task; and, to hold it
        against, the rows of that length which were never tuned."""
        prompts = {
            record.task: str(self.out / record.prompt)
            for record in records
            if record.label == "pt" and record.seed == self.seeds[0]
        }
        first = self.seeds[:1]
        never = [(setting, self.run(setting, ["ipt"], seeds=first, max_steps=0)) for setting in self.settings]
        carried = [
            (target, self.run(target, ["ipt"], seeds=first, max_steps=0, init="warm_start", init_prompt=prompt))
            for target in self.settings
            for source, prompt in prompts.items()
            if source != target.task
        ]
        return never + carried
