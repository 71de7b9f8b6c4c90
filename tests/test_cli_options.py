"""The names of options: one word means one thing in all verbs, and an old spelling is answered with the new one."""

from __future__ import annotations

from collections import defaultdict

import click
import pytest

from textkit.cli import command_line, own_verbs, run
from textkit.cli.options import Messages
from textkit.cli.renamed import OPTIONS, TRIED
from textkit.defaults import SEED


def options() -> dict[str, dict[str, click.Option]]:
    """Spelling -> verb -> the option."""
    root = click.Context(command_line, info_name="textkit")
    found: dict[str, dict[str, click.Option]] = defaultdict(dict)
    for verb in own_verbs():
        for parameter in command_line.get_command(root, verb).params:
            if isinstance(parameter, click.Option):
                for name in (*parameter.opts, *parameter.secondary_opts):
                    found[name][verb] = parameter
    return found


def test_an_option_is_of_one_kind_in_every_verb():
    for name, verbs in options().items():
        kinds = {(option.is_flag, type(option.type).__name__) for option in verbs.values()}
        # -o: a file, or a folder; --head: one of a layer of attention, or one of the questions that a classifier answers;
        # --labels: those that a user gives to lines, or whether a map shows those of its clusters;
        # --color: when to colour, or the column that a map is coloured by;
        # --keep: a pattern that translate keeps, or which of similar records stays
        if name not in ("-o", "--output", "--head", "--labels", "--color", "--keep"):
            assert len(kinds) == 1, (name, {verb: option.type for verb, option in verbs.items()})


def test_an_option_has_one_short_spelling_in_every_verb():
    for name, verbs in options().items():
        if name.startswith("--"):
            short = {tuple(spelling for spelling in option.opts if spelling[1] != "-") for option in verbs.values()}
            assert len(short) == 1, (name, short)


def test_formats_are_chosen_by_format_alone():
    known = options()
    assert not {"--json", "--jsonl", "--licence", "--samples", "--colour"} & known.keys()
    assert set(known["--sample"]) == {"translate"}


def test_a_seed_begins_at_one_wherever_something_is_drawn():
    from textkit.searching.options import Search
    from textkit.training import recipe

    assert SEED == Search().seed == recipe.SEED == 1
    for verb, option in options()["--seed"].items():
        assert option.default == SEED or f"Default: {SEED}." in option.help, verb


@pytest.mark.parametrize(("verb", "old"), [(verb, old) for verb, names in OPTIONS.items() for old in names])
def test_an_old_spelling_is_answered_by_name(capfd, verb, old):
    new = OPTIONS[verb][old]
    assert old not in options() or verb not in options()[old]
    assert verb in options()[new.split()[0]]
    for spelled in ([verb, old, "x"], [verb, f"{old}=x"]):
        assert run(spelled, Messages()) == 2
        out, err = capfd.readouterr()
        assert (out, err) == ("", f"textkit: {old} is now {new} (see 'textkit {verb} --help')\n")


@pytest.mark.parametrize(("verb", "tried"), [(verb, tried) for verb, names in TRIED.items() for tried in names])
def test_what_other_verbs_and_tools_call_it_is_answered_too(capfd, verb, tried):
    assert run([verb, tried], Messages()) == 2
    assert capfd.readouterr().err.startswith(f"textkit: no such option {tried}: it is {TRIED[verb][tried]} (see ")


def test_an_option_of_another_verb_is_said_to_be_one(capfd):
    assert run(["embed", "--beam-size", "4"], Messages()) == 2
    told = "textkit: embed has no --beam-size: it is an option of distill, translate, evaluate (see 'textkit embed --help')\n"
    assert capfd.readouterr().err == told
