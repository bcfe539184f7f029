"""The data classes of a finished comparison, which studies make and reports show."""

from __future__ import annotations

from dataclasses import dataclass, field

from foreword.results.clusters import Clusters


@dataclass(frozen=True)
class Classes:
    """How one method's answers fall on the labels, over all its runs.

    macro_f1, mcc: the mean over runs; see `metrics.labels` and `metrics.agreement`. confusion: counts [truth][answer], labels in
    their order, in the last column the answers that are no label; empty for more labels than a person reads as a matrix. mistakes: the
    truth, the answer (None: no label) and how often, the most frequent first.
    """

    macro_f1: float
    mcc: float
    confusion: list[list[int]]
    mistakes: list[tuple[str, str | None, int]]


@dataclass(frozen=True)
class MethodRow:
    """One method over all its seeds.

    mean: the metric of all examples, averaged over seeds. std: over seeds (sample standard deviation; 0.0 for a deterministic
    method or one seed). ci95: of the method, by the crossed model of seeds and examples; of its prompt alone, where it ran with
    one seed. deterministic: one run stands for every seed. prefix_tokens:
    mean positions before the input. dropped_demonstrations, cut_answers (those that ended at
    max_new_tokens): summed over the runs of this row. subsets: the mean of each
    named part of the test examples. train_flop, answer_flop: operations counted from tokens, of a training and of an answer.
    clusters: how many the examples come in, over which the interval is; 0 where each stands alone.
    """

    method: str
    metric: str
    mean: float
    std: float
    ci95: tuple[float, float]
    seeds: list[int]
    deterministic: bool
    trainable_parameters: int
    train_seconds: float
    prefix_tokens: float
    seconds_per_answer: float
    scores_by_seed: list[float]
    dropped_demonstrations: int
    examples: int
    subsets: dict[str, float] = field(default_factory=dict)
    classes: Classes | None = None
    cut_answers: int = 0
    train_flop: float = 0.0
    answer_flop: float = 0.0
    clusters: int = 0

    @property
    def one_seed(self) -> bool:
        """Whether only one of the prompts that chance could have given is known."""
        return not self.deterministic and len(self.seeds) < 2

    def cost_seconds(self, answers: int) -> float:
        """Seconds to train once and then answer so many inputs."""
        return self.train_seconds + answers * self.seconds_per_answer

    def cost_flop(self, answers: int) -> float:
        """Operations to train once and then answer so many inputs: what decides which of two methods is cheaper, since a clock would
        decide otherwise the next time."""
        return self.train_flop + answers * self.answer_flop


@dataclass(frozen=True)
class Failure:
    """A trial that could not be finished. seed: None where it changes nothing. others: scores of the method's other seeds, which make
    no row, since those that fail are not left out by chance. fold: its number, the others being those of other folds too; 0 where nothing
    is folded."""

    method: str
    seed: int | None
    cause: str
    others: list[float] = field(default_factory=list)
    fold: int = 0

    def sentence(self) -> str:
        """What failed, why, and what of the method is known all the same."""
        name = self.method if self.seed is None else f"{self.method} seed {self.seed}"
        name += f" fold {self.fold}" if self.fold else ""
        trials = "trials (a fold of a seed each)" if self.fold else "seeds"
        known = (
            f" Its other {trials} scored {', '.join(f'{score:.1f}' for score in self.others)}." if self.others else ""
        )
        return f"{name} failed, so {self.method} has no row: {self.cause}{known}"


@dataclass(frozen=True)
class MethodComparison:
    """A method against the best one.

    difference: best minus method, in points of the metric. p_adjusted: after Holm over all pairs of methods. ci95: at the level
    at which Holm judges p, so that it leaves 0 out exactly where p_adjusted is below 0.05. of_prompts: a side ran with one seed,
    so that this speaks of the prompts at hand and never makes a method significantly worse.
    """

    method: str
    best: str
    difference: float
    ci95: tuple[float, float]
    p: float
    p_adjusted: float
    significantly_worse: bool
    of_prompts: bool = False


@dataclass(frozen=True)
class Baseline:
    """What scores without a model. name: `always 'yes'`, or `chance`. score: by the primary metric."""

    name: str
    score: float


@dataclass(frozen=True)
class Recommendation:
    """The method to use, why, and for how many answers its cost was counted.

    method: empty where no method works. tied: the others, not significantly different from the best. probability: of the method's
    being the best. margin: how far below the best, in points, a cheaper method must be shown not to lie to be taken.
    """

    method: str
    reason: str
    amortize_over: int
    tied: tuple[str, ...] = ()
    probability: float = 1.0
    margin: float = 0.0

    @property
    def headline(self) -> str:
        """The answer in a few words."""
        return f"Use {self.method}" if self.method else "No method works here"


@dataclass(frozen=True)
class Invocation:
    """What was asked for. date: of the report, as in 2026-01-31. wording: the template's parts. prompts: the folder of each kept soft
    prompt by its trial. next_command: how to answer new inputs with the recommended method; empty where there is none. trials: each
    one's key by its name."""

    command: str
    date: str
    wording: dict[str, str]
    prompts: dict[str, str]
    next_command: str
    trials: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """Everything a report says. subsets: how many examples each named part of the test split has. fingerprints: those that all
    records share. notes: whole sentences. sizes: examples of each split, where known; of the first fold,
    where there are folds: their number. labels:
    what a classification chooses from; empty where it is none, or there are more than a matrix can show. clusters: what intervals and
    tests are over, where examples share something; None where each stands alone."""

    task: str
    backbone: str
    metric: str
    examples: int
    rows: tuple[MethodRow, ...]
    comparisons: tuple[MethodComparison, ...]
    recommendation: Recommendation
    subsets: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    hardware: str = ""
    fingerprints: dict[str, str] = field(default_factory=dict)
    signatures: dict[str, str] = field(default_factory=dict)
    baselines: tuple[Baseline, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    folds: int = 0
    labels: tuple[str, ...] = ()
    invocation: Invocation | None = None
    failures: tuple[Failure, ...] = ()
    clusters: Clusters | None = None

    def row(self, method: str) -> MethodRow:
        """The row with this label. Raises KeyError when there is none."""
        return {row.method: row for row in self.rows}[method]

    @property
    def best(self) -> MethodRow:
        """The row with the highest mean; of equal ones the cheapest, then the first."""
        answers = self.recommendation.amortize_over
        return best_row(self.rows, answers)


def best_row(rows: tuple[MethodRow, ...], answers: int) -> MethodRow:
    """The row with the highest mean; of equal ones the cheapest for so many answers, then the first."""
    return max(enumerate(rows), key=lambda pair: (pair[1].mean, -pair[1].cost_flop(answers), -pair[0]))[1]
