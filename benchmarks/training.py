"""Measures how fast and how well word embeddings train: `python benchmarks/training.py DATA --peers PYTHON`.

word2vec beside gensim, fasttext beside fastText, ppmi-svd against its bounds, glove beside word2vec: one section of
docs/benchmarks.md each. DATA holds wikitext2/ and wordvec/; PYTHON has benchmarks/peers.txt installed. `--quick` tries
everything on a part of the text and writes no report.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measuring import report, trained
from measuring.comparison import RATIOS, described, processes, seed_table, speeds, spread
from measuring.cost import Failed
from measuring.trained import Corpus, Trained, median

SKIPGRAM = {"dim": 100, "window": 5, "negative": 5, "min_count": 5}
WORD2VEC = {**SKIPGRAM, "subsample": 1e-3, "learning_rate": 0.025}
FASTTEXT = {**SKIPGRAM, "subsample": 1e-4, "learning_rate": 0.05, "minn": 3, "maxn": 6, "bucket": 2_000_000}
MODES = ("file", "list")  # how gensim gets its text
TRIES = 4  # attempts per training of fastText, which may stop with "Encountered NaN"


@dataclass(frozen=True)
class Bench:
    """What all parts need."""

    data: Path
    peers: str | None
    corpus: Corpus
    scratch: Path
    quick: bool
    threads: int = 2

    @property
    def pairs(self) -> trained.Pairs:
        return trained.word_pairs(self.data / "wordvec" / "wordsim353.tsv")

    def epochs(self, full: int) -> int:
        return min(full, 2) if self.quick else full

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder that is removed afterwards."""
        path = Path(tempfile.mkdtemp(dir=self.scratch))
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def textkit(self, plugin: str, settings: dict[str, Any], measured: bool = True, **options: Any) -> Trained:
        """One training by textkit, with WordSim-353 if `measured`."""
        with self.folder() as folder:
            told = trained.textkit(plugin, self.corpus, folder, settings, self.pairs if measured else None, **options)
        return say(f"textkit {plugin}", told)

    def peer(self, script: str, job: dict[str, Any]) -> Trained:
        """One training by a peer."""
        with self.folder() as folder:
            job = {"corpus": str(self.corpus.path), "raw_words": self.corpus.words, **job}
            told = trained.peer(str(self.peers), script, job, folder, self.pairs)
        return say(f"{script} {job.get('mode', '')}", told)

    def warm(self, *plugins: str) -> None:
        """Trains each plugin on a tiny text, so that its kernels are compiled, which happens once per machine."""
        small = Corpus(self.scratch / "small.txt", 0)
        with self.corpus.path.open(encoding="utf-8") as lines, small.path.open("w", encoding="utf-8") as out:
            out.writelines(line for line, _ in zip(lines, range(500), strict=False))
        for plugin in plugins:
            epochs = {} if plugin == "ppmi-svd" else {"epochs": 1}
            with self.folder() as folder:
                trained.textkit(plugin, small, folder, {"min_count": 1, "dim": 100, **epochs}, threads=self.threads)


def word2vec(bench: Bench) -> str:
    """Skip-gram with negative sampling beside gensim with both of its ways to take text; one seed per round."""
    bench.warm("word2vec")
    rows, seeds = [], []
    plan = ((2, 2, 1), (1, 2, 1)) if bench.quick else ((2, 5, 5), (1, 2, 3))
    for threads, epochs, rounds in plan:
        settings = {**WORD2VEC, "epochs": epochs}
        theirs: dict[str, list[Trained]] = {mode: [] for mode in MODES}
        ours: list[Trained] = []
        for seed in range(1, rounds + 1):
            for mode, found in theirs.items():
                job = {**settings, "mode": mode, "threads": threads, "seed": seed}
                found.append(bench.peer("word2vec_gensim.py", job))
            ours.append(bench.textkit("word2vec", settings, seed=seed, threads=threads))
            same_words(theirs["list"][-1], ours[-1])
        fastest = max(MODES, key=lambda mode: median([one.rate for one in theirs[mode]]))
        rows.append([threads, epochs, fastest, *speeds(theirs[fastest], ours), *processes(theirs[fastest], ours)])
        if threads == bench.threads:
            seeds = list(zip(theirs[fastest], ours, strict=True))
            versions = theirs[fastest][0].detail["versions"]
    before = median([ours.detail["first"] for _, ours in seeds])
    head = ["threads", "epochs", "gensim reads from", "gensim words/s", "textkit words/s", *RATIOS]
    text = f"""## word2vec training, beside gensim

Skip-gram, {described(WORD2VEC)}; {text_of(bench)}, the
same vocabulary of {seeds[0][1].detail["vocabulary"]:,} words on both sides. Wanted: 2.5 times at two threads.

{report.table([*head, "gensim process, s", "textkit process, s"], rows)}

words/s: words of the text, times the epochs, over the seconds of the training loop alone: gensim's `model.train`, the
faster of its two ways to take text; textkit's from the end of its first batch to the end of its last, kernels compiled
before. In textkit {before:.1f} s go before that to turning the text into ids, once; gensim looks words up in each epoch, in
its loop. Medians of rounds in turn. The processes do all there is to do, from the text to vectors on disk. textkit draws
its negatives once a window (Ji et al. 2016), reads the lines in another order each epoch and begins at vectors of length
0.46; gensim draws once a pair, reads in order and begins at 0.06.

WordSim-353, Spearman, {bench.threads} threads, {plan[0][1]} epochs; the same code, the same {len(bench.pairs.scores)} pairs:

{seed_table("gensim", seeds)}
"""
    return text + told_of(versions)


def fasttext(bench: Bench) -> str:
    """Skip-gram over n-grams beside fastText."""
    bench.warm("fasttext")
    rows, seeds, stopped = [], [], 0
    plan = ((2, 1, 1), (1, 1, 1)) if bench.quick else ((2, 5, 2), (1, 1, 3))
    for threads, epochs, rounds in plan:
        settings = {**FASTTEXT, "epochs": epochs}
        both = []
        for seed in range(1, rounds + 1):
            theirs, failed = unstopped(bench, {**settings, "threads": threads, "seed": seed})
            stopped += failed
            ours = bench.textkit("fasttext", settings, seed=seed, threads=threads)
            if theirs is not None:
                both.append((theirs, ours))
        if both:
            rows.append([threads, epochs, *speeds(*map(list, zip(*both, strict=True)))])
            seeds += both if threads == bench.threads else []
    if not rows:
        raise Failed("fastText ended with an error each time")
    measured = seed_table("fastText", seeds) if seeds else "fastText came to no end at all at two threads."
    text = f"""## fasttext training, beside fastText

Skip-gram, {described(FASTTEXT)};
{text_of(bench)}. Wanted: 2 times, thread for thread.

{report.table(["threads", "epochs", "fastText words/s", "textkit words/s", *RATIOS], rows)}

words/s: as for word2vec; from the time of fastText's one call that of the same call with no epoch is taken off. On both
sides a word is the mean of its own row and those of its n-grams, and negatives are drawn for each pair. fastText stopped
with "Encountered NaN" {stopped} times and was then run again with another seed.

WordSim-353, Spearman, {bench.threads} threads, all {len(bench.pairs.scores)} pairs, for unseen words have vectors too:

{measured}
"""
    return text + told_of((seeds or both)[0][0].detail["versions"])


def unstopped(bench: Bench, job: dict[str, Any]) -> tuple[Trained | None, int]:
    """fastText's training, or None if it never finished, and how often it stopped because its loss became NaN."""
    for failed in range(TRIES):
        try:
            return bench.peer("fasttext_train.py", {**job, "seed": job["seed"] + 100 * failed}), failed
        except Failed as error:
            if "NaN" not in str(error):
                raise
            print(f"fastText: {error}", file=sys.stderr)
    return None, TRIES


def ppmi_svd(bench: Bench) -> str:
    """The whole of `textkit train ppmi-svd` against its bounds."""
    bench.warm("ppmi-svd")
    rows = []
    for dim in (100, 300):
        rounds = [
            bench.textkit("ppmi-svd", {"dim": dim}, seed=seed, threads=bench.threads)
            for seed in range(1, 2 if bench.quick else 4)
        ]
        peak = max(one.peak_mb for one in rounds)
        rows.append([dim, f"{median([one.seconds for one in rounds]):.1f}", f"{peak:,.0f}", f"{rounds[0].rho:.3f}"])
    text = f"""## ppmi-svd training

The whole process of `textkit train ppmi-svd`, {bench.threads} threads, options as they come but for dim;
{text_of(bench)}. Median seconds, highest peak of resident memory. Wanted: 60 s, 2,000 MB.

{report.table(["dim", "seconds", "peak MB", "WordSim-353, Spearman"], rows)}
"""
    return text + told_of()


def glove(bench: Bench) -> str:
    """An epoch of glove beside an epoch of word2vec."""
    bench.warm("glove", "word2vec")
    rounds = []
    for seed in range(1, 2 if bench.quick else 4):
        one = bench.textkit("word2vec", {**WORD2VEC, "epochs": 3}, False, seed=seed, threads=bench.threads)
        rounds.append((one, bench.textkit("glove", {"dim": 100, "epochs": 3}, False, seed=seed, threads=bench.threads)))
    whole = bench.textkit("glove", {"dim": 100, "epochs": bench.epochs(25)}, threads=bench.threads)
    slower, faster = ([median(side.detail["epochs"]) for side in sides] for sides in zip(*rounds, strict=True))
    ratios = [one / other for one, other in zip(slower, faster, strict=True)]
    row = [f"{median(slower):.2f}", f"{median(faster):.2f}", *spread(ratios), f"{whole.rho:.3f}"]
    text = f"""## glove training, beside word2vec

Seconds an epoch, without the first, for it reads the text as well; {bench.threads} threads, 100 dimensions;
{text_of(bench)}. glove's other options as they come (window 10), word2vec's as
above (window 5). Medians of rounds in turn. Wanted: glove no slower. Spearman is after {bench.epochs(25)} epochs of glove.

{report.table(["word2vec, s an epoch", "glove, s an epoch", *RATIOS, "WordSim-353, Spearman"], [row])}
"""
    return text + told_of()


PARTS = {"word2vec": word2vec, "fasttext": fasttext, "ppmi-svd": ppmi_svd, "glove": glove}


def text_of(bench: Bench) -> str:
    return f"{bench.corpus.words:,} words of WikiText-2, lower-cased, without `<unk>`"


def told_of(versions: dict[str, str] | None = None) -> str:
    """The last lines of a section: the machine, the versions, and the command to repeat it."""
    peers = "; peers: " + ", ".join(f"{name} {number}" for name, number in versions.items()) if versions else ""
    return f"\n{report.machine(('numpy', 'numba', 'torch'))}{peers}.\n`python benchmarks/training.py DATA --peers PYTHON`\n"


def same_words(theirs: Trained, ours: Trained) -> None:
    """Raises Failed if the two did not learn the same words, because they could not be compared then."""
    if theirs.detail["vocabulary"] != ours.detail["vocabulary"]:
        raise Failed(f"vocabularies differ: {theirs.detail['vocabulary']} and {ours.detail['vocabulary']} words")


def say(what: str, told: Trained) -> Trained:
    """Prints one line about a training on stderr and returns the training."""
    print(
        f"{what}: {told.rate:,.0f} words/s, {told.seconds:.1f} s, {told.peak_mb:,.0f} MB, rho {told.rho:.3f}",
        file=sys.stderr,
    )
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds wikitext2/ and wordvec/")
    parser.add_argument("--peers", metavar="PYTHON", required=True, help="the Python that has benchmarks/peers.txt")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given several times")
    parser.add_argument("--quick", action="store_true", help="a quarter of the text, one round, and no report")
    parser.add_argument("--page", type=Path, default=report.PAGE, help="where the sections go")
    given = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory(prefix="textkit-bench-") as scratch:
        source = given.data / "wikitext2" / "train.txt.gz"
        if not source.is_file():
            parser.error(f"{source}: no such file")
        corpus = Corpus.write(source, Path(scratch, "corpus.txt"), 4 if given.quick else 1)
        bench = Bench(given.data, given.peers, corpus, Path(scratch), given.quick)
        for name in given.only or PARTS:
            try:
                text = PARTS[name](bench)
            except Failed as error:  # the other parts can still be measured
                failed.append(f"{name}: {error}")
                continue
            print(text, flush=True)
            if not given.quick:
                report.section(name, text, given.page)
    sys.exit("\n".join(failed) or None)


if __name__ == "__main__":
    main()
