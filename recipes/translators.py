"""Trains the translators exported_models/en-de and exported_models/de-en.

    python recipes/translators.py DATA exported_models RUNS

DATA holds tatoeba/, german/ and english/. The pairs are those of Tatoeba, everyday phrases that these lack (everyday.en-de.tsv,
REPEATED times) and pairs written for textkit (written/*.tsv, WRITTEN times). They are joined by lines of one language alone,
which the translator of the other direction has translated back (Sennrich et al. 2016, arXiv 1511.06709). The sources of these
begin with BACK, so that what a machine wrote is known as such (Caswell et al. 2019, arXiv 1906.06442).

    RUNS/de-en.first  German to English, from the pairs of Tatoeba alone, in a few epochs; it translates german/ back
    RUNS/en-de.begun  English to German, from all of these
    RUNS/en-de.first  goes on from that, for more epochs; it translates lines of english/ back
    RUNS/de-en.begun  begins with en-de.first, whose vocabulary it shares; it translates german/ back once more
    RUNS/en-de.again  goes on from en-de.first, with these
    RUNS/en-de.deep   begins with en-de.again and grows to eight encoder layers; it translates lines of english/ back once more
    RUNS/de-en.deep   begins with de-en.begun and grows to eight encoder layers
    RUNS/en-de.last   goes on from en-de.deep, with pairs that were written later; it translates lines of english/ back again
    RUNS/de-en.last   goes on from de-en.deep, with these and with all written pairs; it translates german/ back again
    RUNS/de-en.typed  goes on from that, with German as people type it as well
    RUNS/de-en        goes on from that, with what was written last, and a third of all else; shipped
    RUNS/en-de.back   goes on from en-de.last, with all written pairs and german/ as de-en.last has it
    RUNS/en-de        goes on from that, with what was written last, and two fifths of all else; shipped

One source in a hundred (by its hash) is kept from training to choose the best weights. No line of tatoeba/dev.en-de.tsv is
learnt on either side; it is scored once, at the end. What is done is not done again: after an interruption, the same command
goes on. Up to en-de.last it takes about ten hours on two quiet cores of an Intel; the rest took an hour and a half on an AMD,
where it went on from the int8 models that had been shipped (of en-de.last and de-en.deep), because the runs were gone.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from english import held_out, lines
from shipping import measured, ship, textkit, train

from textkit.bundle import bundle, writing

HERE = Path(__file__).parent
CONFIG = HERE / "translators.toml"
REPEATED = 8
WRITTEN = 3
BACK = "\N{ANTICLOCKWISE GAPPED CIRCLE ARROW} "
PLAIN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})

LICENCE = "CC BY 2.0 FR"
NOTE = (
    "Tatoeba en-de sentence pairs of 2018-05-13 (tatoeba.org and manythings.org/anki, CC BY 2.0 FR: please name Tatoeba and its"
    " contributors); phrases and sentences that a language model wrote for textkit; "
)
MORE = ("learning_rate=1e-3", "warmup=500", "cooldown=2500")  # of a training that begins with another
# Layers of the encoder cost a translation little, because they run once a line. New ones change nothing at first.
DEEPER = ("learning_rate=1e-3", "warmup=1000", "cooldown=2400", "epochs=8", "max_steps=5800", "encoder_layers=8")
LAST = ("learning_rate=1e-3", "warmup=300", "cooldown=1050", "epochs=4", "max_steps=1900", "encoder_layers=8")
TYPED = ("learning_rate=1e-3", "warmup=300", "cooldown=700", "epochs=4", "max_steps=1300", "encoder_layers=8")
AGAIN = ("learning_rate=1e-3", "warmup=800", "epochs=4", "encoder_layers=8")
RENEWED = ("learning_rate=8e-4", "warmup=200", "cooldown=600", "epochs=3", "max_steps=1100", "encoder_layers=8")
# Files that the runs before had not seen, when they were trained: a short training learns them, and keeps what it knows.
LATEST = frozenset(("phrases", "bearers", "bulletins", "german-first", "plainly", "english-first", "misspelt"))
HASTY = "augment=join,fragments,numbers,names,copy,keep,punctuation,typos:0.1,case"
# German in small letters is harder to read than English: it loses what tells nouns.
SMALL = "augment=join,fragments,numbers,names,copy,keep,punctuation,typos,case:0.25"
GERMAN = "German sentences of Mozilla Common Voice (CC0), translated back"
ENGLISH = (
    "English lines in the public domain, CC0 or CC BY (digital.gov, 18F, CIA World Factbook, speeches of US presidents,"
    " Standard Ebooks, Common Voice, OpenStax, MASC), translated back"
)
# Files of english/ that are neither share-alike nor full of code.
FREE = (
    "18f_blog", "commonvoice_en", "digitalgov", "factbook", "masc", "openstax_anthropology", "openstax_college_success",
    "standard_ebooks", "us_presidents",
)  # fmt: skip


def pairs(data: Path) -> Iterator[tuple[str, str]]:
    """The pairs of Tatoeba, English and German, that share no side with the dev set."""
    dev = [line.rstrip("\n").split("\t") for line in lines(data / "tatoeba/dev.en-de.tsv")]
    known = {side for pair in dev for side in pair}
    for line in lines(data / "tatoeba/train.en-de.tsv.gz"):
        english, german = line.rstrip("\n").split("\t")[:2]
        if not {english, german} & known:
            yield english, german


def written(direction: str) -> Iterator[tuple[str, str]]:
    """Everyday phrases, and the sentences written for textkit, each as often as it is to be learnt.

    A file for one direction alone (NAME.en-de.tsv, with sources as people type them) is left out of the other.
    """
    for file, times in ((HERE / "everyday.en-de.tsv", REPEATED), *((file, WRITTEN) for file in fitting(direction))):
        for pair in of_file(file):
            yield from [pair] * times


def fitting(direction: str) -> list[Path]:
    """The written files for a direction."""
    return [file for file in sorted(HERE.glob("written/*.tsv")) if file.suffixes[0] in (".tsv", f".{direction}")]


def of_file(file: Path) -> Iterator[tuple[str, str]]:
    for line in lines(file):
        english, german = line.rstrip("\n").split("\t")
        yield english, german


def careless(known: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pairs once more, with the German as people type it: short texts in small letters, and some without umlauts or ß."""
    chance = random.Random(2)
    for english, german in dict.fromkeys(known):
        short = len(german.split()) <= 5
        if short:
            yield english, german.lower()
        for plain in (german.translate(PLAIN), german.replace("ß", "ss")):  # ss alone: in Switzerland, and in capitals
            if plain != german and chance.random() < 0.12:
                yield english, plain.lower() if short and chance.random() < 0.5 else plain


def prepare(folder: Path, known: Iterable[tuple[str, str]], direction: str, back: Path | None = None) -> None:
    """Writes train.tsv and held.tsv. All translations of a source are in the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open(folder / "train.tsv", "w", encoding="utf-8", newline="\n") as learnt,
        open(folder / "held.tsv", "w", encoding="utf-8", newline="\n") as kept,
    ):
        for pair in known:
            source, target = pair if direction == "en-de" else pair[::-1]
            (kept if held_out(source) else learnt).write(f"{source}\t{target}\n")
        for line in lines(back) if back else ():
            learnt.write(line)


def renewed(folder: Path, before: Path, direction: str, share: float) -> None:
    """The data of a short training: a share of the lines that a run has learnt, and the latest pairs six times each."""
    rows = [*lines(before / "train.tsv")]
    random.Random(3).shuffle(rows)
    latest = [pair for file in fitting(direction) if file.name.split(".")[0] in LATEST for pair in of_file(file)]
    prepare(folder, latest * 6 + ([*careless(latest)] * 2 if direction == "de-en" else []), direction)
    with (folder / "train.tsv").open("a", encoding="utf-8", newline="\n") as learnt:
        learnt.writelines(rows[: int(len(rows) * share)])
    (folder / "held.tsv").write_bytes((before / "held.tsv").read_bytes())


def translator(run: Path, files: Path, direction: str, *options: str, init: Path | None = None) -> None:
    """Trains on the data in `files`, with more options, and beginning with the run `init`, if there is one."""
    source, target = direction.split("-")
    said = [f"source_language={source}", f"target_language={target}", *options]
    given = [part for option in said for part in ("--set", option)]
    begun = () if init is None else ("--init", init)
    data = (files / "train.tsv", "--dev", files / "held.tsv")
    train(run, "transformer", *data, "--config", CONFIG, *given, *begun)


def translated_back(model: Path, targets: Iterable[str], file: Path) -> Path:
    """Writes pairs to `file`, unless it is there: BACK and a line's translation, and the line."""
    if not file.exists():
        lines_, made = file.with_suffix(".lines"), file.with_suffix(".made")
        lines_.write_text("".join(f"{line}\n" for line in targets), encoding="utf-8")
        with lines_.open() as read, made.open("w") as write:
            subprocess.run(["textkit", "translate", "-m", model, "--no-guard"], stdin=read, stdout=write, check=True)
        with file.with_suffix(".new").open("w", encoding="utf-8") as done:
            for source, target in zip(lines(made), lines(lines_), strict=True):
                if source.strip():
                    done.write(f"{BACK}{source.strip()}\t{target}")
        file.with_suffix(".new").rename(file)
    return file


def english_lines(data: Path, most: int = 60_000) -> list[str]:
    """Lines of english/ of 4 to 40 words, drawn from all files alike."""
    chance = random.Random(1)
    drawn: list[str] = []
    for name in FREE:
        fit = [line.strip() for line in lines(data / f"english/{name}.txt.gz") if 4 <= len(line.split()) <= 40]
        drawn += chance.sample(fit, min(len(fit), most // len(FREE)))
    chance.shuffle(drawn)
    return drawn


def shipped(run: Path, model: Path, note: str, held: Path, dev: Path) -> None:
    """Exports a run, has its confidence learnt on the pairs `held`, and scores it on `dev`."""
    ship(run, model, LICENCE, NOTE + note, recipe="translators")
    # Lines in capitals alone: on dev, 44 BLEU instead of 19 (en-de, benchmarks/robust.py).
    writing.amend(model, defaults={**bundle.read(model).manifest.defaults, "truecase": True})
    textkit("calibrate", "-m", model, held)
    writing.amend(model, scores=measured(model, dev, "--metric", "bleu,chrf"))


def main(data: Path, folder: Path, runs: Path) -> None:
    runs.mkdir(parents=True, exist_ok=True)
    german = [line.strip() for line in lines(data / "german/commonvoice_de.txt.gz")]
    dev = data / "tatoeba/dev.en-de.tsv"
    turned = runs / "tatoeba/dev.de-en.tsv"
    turned.parent.mkdir(exist_ok=True)
    turned.write_text("".join("\t".join(line.rstrip("\n").split("\t")[1::-1]) + "\n" for line in lines(dev)), "utf-8")

    def learnt(
        name: str, back: Path | None, *options: str, init: Path | None = None, typed: bool = False
    ) -> tuple[Path, Path]:
        """A run by its name, which begins with its direction, and its data. `typed`: whether it has careless pairs as well."""
        run, files, direction = runs / name, runs / f"{name}.data", name[:5]
        if not files.exists():
            known = [*pairs(data)] if back is None else [*pairs(data), *written(direction)]
            prepare(files, [*known, *careless(known)] if typed else known, direction, back)
        translator(run, files, direction, *options, init=init)
        return run, files

    def made_back(name: str, run: Path, targets: Iterable[str]) -> Path:
        """`targets`, translated back by a run's model."""
        model = run.with_name(f"{run.name}.model")
        if not model.exists():
            textkit("export-onnx", run, "-o", model, "--precision", "int8")
        return translated_back(model, targets, runs / f"back.{name}.tsv")

    run, _ = learnt("de-en.first", None, "cooldown=1000")
    more = made_back("first", run, german)
    begun, _ = learnt("en-de.begun", more)
    first, _ = learnt("en-de.first", more, *MORE, "epochs=5", init=begun)
    turned_run, _ = learnt("de-en.begun", made_back("de-en", first, english_lines(data)), *MORE, "epochs=4", init=first)
    more = made_back("en-de", turned_run, german)
    again, _ = learnt("en-de.again", more, *MORE, "epochs=2", "max_steps=3400", init=first)
    deep, _ = learnt("en-de.deep", more, *DEEPER, init=again)
    english = english_lines(data)
    turned_deep, _ = learnt("de-en.deep", made_back("de-en.again", deep, english), *DEEPER, init=turned_run)
    last, _ = learnt("en-de.last", more, *LAST, init=deep)
    back = made_back("de-en.last", last, english)
    turned_last, _ = learnt("de-en.last", back, *AGAIN, SMALL, "max_steps=5200", "cooldown=2800", init=turned_deep)
    typed, files = learnt("de-en.typed", back, *TYPED, init=turned_last, typed=True)
    if not (runs / "de-en.data").exists():
        renewed(runs / "de-en.data", files, "de-en", 0.33)
    run, files = learnt("de-en", back, *RENEWED, SMALL, init=typed)
    shipped(run, folder / "de-en", ENGLISH, files / "held.tsv", turned)
    more = made_back("en-de.last", turned_last, german)
    back, files = learnt("en-de.back", more, *AGAIN, "max_steps=3800", "cooldown=1900", init=last)
    if not (runs / "en-de.data").exists():
        renewed(runs / "en-de.data", files, "en-de", 0.4)
    run, files = learnt("en-de", more, *RENEWED, HASTY, init=back)
    shipped(run, folder / "en-de", GERMAN, files / "held.tsv", dev)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
