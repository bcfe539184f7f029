"""The command `python -m recipes.simulations`: measure where the truth is known, and write docs/statistics.md; minutes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from foreword.util.files import write_text
from recipes.simulations import measured as m
from recipes.simulations.worlds import Method

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"

# zero or icl, which needs no training, then prompt tuning, then the dearest: costs rise
TWELVE = (Method(50.0, True, 1.0), Method(47.0, False, 2.0), Method(59.0, False, 3.0))
FIVE = (Method(50.0, True, 1.0), Method(55.0, False, 2.0))
EVEN = (Method(55.0, True, 1.0), Method(55.0, False, 2.0))

TEXT = """# Statistics

What a comparison says of its scores, which model that rests on, and what it does where the truth is known. This page is written by
`python -m recipes.simulations`, from made-up studies with fixed seeds; `tests/test_simulations.py` (slow) holds its claims.

## The rule

* **One model decides both.** A method's score is a mean over seeds and test examples, and both are drawn from more of their kind. The
  variance is that of the crossed two-way model: between examples, plus between seeds, less what both count twice. *t* has
  Satterthwaite's degrees of freedom, at least those of its smallest mean square. The interval of a difference and its p are read from
  the same *t*, so that one never contradicts the other: p is below 0.05 exactly where the interval leaves 0 out.
* **Any metric.** Where the metric is a mean of example scores, these are analysed. Else (BLEU, F1 over labels, MCC) each example has
  its jackknife value, N times the score less N - 1 times the score without it, which for a mean is the example's score itself.
* **Few examples.** Two examples that differ as the others do, one each way, are added to each difference (Bonett and Price 2012),
  so that three examples that agree are no proof. The interval of one method's score is Wilson's, for as many right-or-wrong
  examples as would give its variance: it stays on the scale, and 0 of 20 right is 0 to 18, not 0 to 0.
* **Clusters.** Test examples that share a passage, a table or a data base (Spider's 1,034 questions are on 20) are right or wrong together.
  The tasks of the shelf say which do, `--cluster-column` says it of a table of one's own, and the cluster then takes the example's
  place: its numbers are added up before anything is analysed, it is left out whole in the jackknife and drawn whole in the bootstrap,
  and it is what degrees of freedom and "so many more" count. No score changes where a test file is given; splits and folds that are
  cut from one file are cut between clusters, since a prompt that was tuned on half a document has seen the other half. Examples that ask
  one question are a cluster, too: copies are no more evidence than one. Of one cluster nothing can be said of others: its interval is
  the whole scale.
* **Several methods.** p-values are adjusted by Holm's method over *all* pairs of methods, because the best one is chosen by the same
  scores; the interval is at the level at which Holm judges that p. Adjusted over the pairs with the best alone, 5 equal methods
  were called different in 7.7 % of studies.
* **Trends.** Whether IPT's gain over PT grows with the demonstration's similarity (`foreword study`) is asked of the two methods' slopes
  in the same way: each example, or cluster, has its jackknife value of a slope, seeds count as above, and so many panels share 5 %.
* **One seed** speaks for one prompt. Its interval is that prompt's, and no method is called better or worse on it.
* **The recommendation** is the highest mean, unless a cheaper method is *shown* to lie within a margin of it (`--margin`; 2 points or
  5 % of the best score, whichever is smaller): the whole interval of the difference lies below the margin. Cheaper is told by the
  floating-point operations of one training and of `--amortize-over` answers, counted from tokens, because a clock would decide otherwise
  the next time. Methods that the test
  does not tell from the best are a tie, and it says how many more examples, or seeds, would tell them apart four times in five, by the
  test's own *t*: few seeds tell far less than many.
  The probability of being best is drawn from the same model.
* **Nothing is recommended** that does not score above always giving the commonest training answer, or above chance.

## Measured

Right or wrong answers on {N} test examples and others, of which 40 % of the (latent) variance is the examples' difficulty for all
methods and 30 % for each alone; three seeds; seeds spread *r* times the standard error of a score over 200 examples. In percent of
studies, ± one Monte Carlo standard error; {draws:,} studies each, of BLEU {few:,}.

### Two equal methods: how often p < 0.05 (at most 5 is right)

{first}

### How often a 95 % interval covers the truth

{cover}

### A difference of 6 points: how often it is told (power)

{power}

### What a study says that it tells four times in five, in points (and how often it does)

200 examples; the mean of what studies say, which with few seeds vary widely in it. At most 45 points are tried.

{stated}

### Equal methods, three seeds, 200 examples: how often any is called worse than the best

{family}

### One seed

The interval is that prompt's. What another seed would give lies in it in so many percent of studies, which is why it is not
claimed for the method:

{one_seed}

### Examples that come in clusters

One run of a method on 200 examples, two of one cluster alike with a correlation of {correlation:g}: where the clusters are not named,
intervals are too narrow and equal methods are told apart; where they are, the cluster is the unit. A handful of clusters has wide
intervals, and is said to be rough.

{clusters}

### Regret: points lost against the truly best method

By three rules: the cheapest that is not significantly worse (silence taken for proof, as foreword had it), the highest mean, and the
highest mean or a cheaper one shown to lie within the margin (as foreword has it). {regrets:,} studies each.

{regret}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write; exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m recipes.simulations", description=__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="studies of each kind (2000; BLEU a quarter)")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page is written (docs/statistics.md)")
    args = parser.parse_args(argv)
    write_text(args.page, written(args.draws))
    print(f"written: {args.page}")
    return 0


def written(draws: int) -> str:
    """The page."""
    few = max(2, draws // 4)
    return TEXT.format(
        N="50, 100, 200",
        draws=draws,
        few=few,
        regrets=few,
        first=_table(
            ["metric", "examples", *_spreads()],
            [
                *(["exact match", str(N), *(m.first_kind(N, r, draws) for r in m.SPREADS)] for N in m.SIZES),
                ["exact match, 5 of 100 right", "200", *(m.first_kind(200, r, draws, 5.0) for r in m.SPREADS)],
                ["BLEU", "200", *(m.bleu_first_kind(200, r / 10, few) for r in m.SPREADS)],
            ],
        ),
        cover=_table(
            ["what", "examples", *_spreads()],
            [
                *(["a score", str(N), *(m.coverage(N, r, draws) for r in m.SPREADS)] for N in m.SIZES),
                ["a score of 5", "200", *(m.coverage(200, r, draws, 5.0) for r in m.SPREADS)],
                *(
                    ["a difference of 6", str(N), *(m.difference_coverage(N, r, 6.0, draws) for r in m.SPREADS)]
                    for N in m.SIZES
                ),
                ["BLEU", "200", *(m.bleu_coverage(200, r / 10, few) for r in m.SPREADS)],
            ],
        ),
        power=_table(
            ["examples", *_spreads()],
            [[str(N), *(m.power(N, r, 6.0, draws) for r in m.SPREADS)] for N in (*m.SIZES, 500)],
        ),
        stated=_table(
            ["seeds", *_spreads()], [[str(J), *(_stated(J, r, draws) for r in m.SPREADS)] for J in (2, 3, 5)]
        ),
        family=_table(["methods", *_spreads()], [[str(k), *(m.family(k, r, few) for r in m.SPREADS)] for k in (3, 5)]),
        correlation=m.CORRELATION,
        clusters=_clusters(draws),
        one_seed=_table(["examples", *_spreads()], [["200", *(m.one_seed_coverage(200, r, draws) for r in m.SPREADS)]]),
        regret=_table(
            ["truth", "examples", "cheapest not worse", "highest mean", "foreword's"],
            [
                *(_regret("the dearest is 12 above pt, 9 above icl", TWELVE, N, few) for N in m.SIZES),
                *(_regret("pt is 5 above icl", FIVE, N, few) for N in m.SIZES),
                *(_regret("pt and icl are equal", EVEN, N, few) for N in m.SIZES[-1:]),
            ],
        ),
    )


def _clusters(draws: int) -> str:
    rows: list[list[object]] = []
    for name, sizes in m.CLUSTERS.items():
        covers = [m.cluster_coverage(sizes, named, draws) for named in (False, True)]
        rows.append([name, *covers, *(m.cluster_first_kind(sizes, named, draws) for named in (False, True))])
    heads = ["a 95 % interval covers", "with clusters named", "equal methods told apart", "with clusters named"]
    return _table(["clusters", *heads], rows)


def _stated(J: int, spread: float, draws: int) -> str:
    size, how_often = m.stated(J, spread, draws)
    return f"{size:.1f} ({how_often})"


def _spreads() -> list[str]:
    return [f"r = {spread:g}" for spread in m.SPREADS]


def _regret(name: str, methods: Sequence[Method], N: int, draws: int) -> list[str]:
    lost = m.regret(methods, N, draws)
    return [name, str(N), *(f"{mean:.1f} ± {error:.1f}" for mean, error in (lost.silence, lost.highest, lost.shown))]


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main())
