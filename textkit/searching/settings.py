"""The options of searching and drawing: the bounds, default and meaning of each. Light to import; knows no graph."""

from __future__ import annotations

from textkit.defaults import SEED
from textkit.kinds import Flag, Real, Whole
from textkit.task import Setting

SEARCH = {
    "beam_size": Setting(Whole(1, 1024), 4, "1 is greedy search; a wide beam takes much memory."),
    "n_best": Setting(Whole(1, 1 << 20), 1, "Give the N best, in --format nbest or jsonl."),
    "length_penalty": Setting(Real(-100, 100), 1.0, "Scores are log-probabilities / length^A.", "A"),
    "min_length": Setting(Whole(0, 1 << 20), 0, "The fewest tokens."),
    "max_length": Setting(Whole(1, 1 << 20), None, "The most tokens."),
    "max_length_factor": Setting(
        Real(0, 1000), 0.0, "The most tokens for each of the source, plus 16; 0: no such limit.", "F"
    ),
    "early_stopping": Setting(Flag(), False, "Stop once --beam-size are finished, though a better one may follow."),
    "no_repeat_ngram_size": Setting(Whole(0, 1000), 0, "No N tokens in a row occur twice; 0: no such limit."),
    "allow_unk": Setting(Flag(), False, "Allow unknown words in the output, as <unk>."),
    "sample": Setting(Flag(), False, "Draw --n-best translations at random instead of searching for the best."),
    "temperature": Setting(Real(0, 100), 1.0, "Below 1: likelier; above 1: more varied; 0: always the likeliest.", "T"),
    "top_k": Setting(Whole(0, 1 << 24), 0, "Draw from the N likeliest tokens; 0: from all."),
    "top_p": Setting(Real(0, 1, above=True), 1.0, "Draw from the likeliest tokens that make up probability P.", "P"),
    "seed": Setting(Whole(0, (1 << 63) - 1), SEED, "Seeds the random numbers, together with each line's number."),
}
