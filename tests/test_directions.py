"""Which model --to and --from choose, what is guessed, and what a person is told."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from small_translator import write_translator

import textkit
from textkit.bundle import places
from textkit.cli.options import Messages
from textkit.errors import UsageError
from textkit.tasks.translate.serving import directions, doubts
from textkit.tasks.translate.serving.translator import Translator


def put(folder, source, target):
    write_translator(folder)
    manifest = folder / "manifest.json"
    stated = json.loads(manifest.read_text("utf-8"))
    stated["text"] |= {"source_language": source, "target_language": target}
    stated["name"] = folder.name
    manifest.write_text(json.dumps(stated), "utf-8")
    return folder


@pytest.fixture
def shelves(tmp_path, monkeypatch):
    """A package with en-de and de-en, and an empty folder of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEXTKIT_MODEL_TRANSLATE", raising=False)
    monkeypatch.setattr(places, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setattr(places, "package_folder", lambda: tmp_path / "package")
    monkeypatch.setattr(places, "configuration_file", lambda: tmp_path / "none.toml")
    put(tmp_path / "package" / "en-de", "en", "de")
    put(tmp_path / "package" / "de-en", "de", "en")
    return tmp_path


def names(to=None, source=None):
    return [one.name for one in directions.fitting(to, source)]


def test_the_target_chooses_and_so_does_the_source(shelves):
    assert names("de") == ["en-de"]
    assert names("en") == ["de-en"]
    assert names(source="de") == ["de-en"]
    assert names("DE-AT", "en_US") == ["en-de"]  # a longer code falls back to the shorter one
    assert directions.languages("target") == ["de", "en"]
    with pytest.raises(UsageError) as raised:
        names("fr")
    assert str(raised.value) == "--to fr: no model for that; there are de-en (de to en), en-de (en to de)"
    with pytest.raises(UsageError, match="--from en --to en: no model"):
        names("en", "en")


def test_a_model_in_the_current_folder_is_never_chosen(shelves):
    put(shelves / "exported_models" / "en-fr", "en", "fr")
    with pytest.raises(UsageError, match="no model for that"):
        names("fr")


def test_of_equal_models_the_default_is_taken_and_otherwise_none(shelves, monkeypatch):
    put(shelves / "user" / "my-de", "en", "de")
    assert names("de") == ["en-de"]
    monkeypatch.setenv("TEXTKIT_MODEL_TRANSLATE", "my-de")
    assert names("de") == ["my-de"]
    put(shelves / "user" / "my-en", "de", "en")
    with pytest.raises(UsageError) as raised:
        names("en")
    assert str(raised.value) == "--to en: my-en (de to en), de-en (de to en) fit equally; choose one with -m"


def test_a_user_s_model_hides_textkit_s_of_its_name(shelves):
    put(shelves / "user" / "de-en", "de", "en")
    assert [one.folder for one in directions.fitting("en", None)] == [shelves / "user" / "de-en"]


def test_a_default_elsewhere_counts(shelves, monkeypatch):
    monkeypatch.setenv("TEXTKIT_MODEL_TRANSLATE", str(put(shelves / "far" / "en-de", "en", "it")))
    assert [one.folder for one in directions.fitting("it", None)] == [shelves / "far" / "en-de"]
    assert [one.folder for one in directions.fitting("de", None)] == [shelves / "package" / "en-de"]


def test_a_source_that_leaves_the_target_open_asks_for_it(shelves):
    put(shelves / "user" / "en-fr", "en", "fr")
    with pytest.raises(UsageError, match=r"--from en: en-fr \(en to fr\), en-de \(en to de\) fit; choose with --to"):
        names(source="en")


@pytest.mark.parametrize("stated", ['{"task": "translate"}', '{"task": "translate", "text": 1}', "[]", "{", "\0"])
def test_damaged_manifests_are_passed_over(shelves, stated):
    (shelves / "user" / "bad").mkdir(parents=True)
    (shelves / "user" / "bad" / "manifest.json").write_text(stated)
    assert names("de") == ["en-de"]


def test_codes_from_a_manifest_are_bounded_and_shown_safely(shelves):
    put(shelves / "user" / "odd", "\x1b[2J", "x" * 5000)
    assert [one for one in directions.directions() if one.name == "odd"][0][2:] == ("", "")
    assert names("de") == ["en-de"]


@pytest.mark.parametrize("code", ["", "d", "German language", "de\n", "-de", "überall"])
def test_what_is_no_code_is_refused(shelves, translate, code):
    ended = translate("--to", code, given="x\n")
    assert (ended.code, ended.out) == (2, "")
    assert "is no code of a language" in ended.err


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def translate(call):
    def translated(*args, given=""):
        return Ended(*call("translate", *args, stdin=given))

    return translated


def guesser(monkeypatch, shares, asked=None):
    """Stands in for the classifier: each line has the same shares."""

    def opened(name, task, **options):
        def answer(lines):
            if asked is not None:
                asked.append(list(lines))
            import numpy as np

            return [SimpleNamespace(probabilities=np.array([*shares.values()]), known=tuple(shares)) for _ in lines]

        assert (name, task) == ("languages", "classify")
        return answer

    monkeypatch.setattr("textkit.serving.open_model", opened)


def test_the_text_decides_between_sources(shelves, monkeypatch):
    put(shelves / "user" / "fr-en", "fr", "en")
    found = directions.fitting("en", None)
    assert {one.name for one in found} == {"fr-en", "de-en"}
    guesser(monkeypatch, {"de": 0.9, "fr": 0.1})
    assert directions.guessed(found, ["Guten Tag"], "en").name == "de-en"
    guesser(monkeypatch, {"de": 0.1, "fr": 0.9})
    assert directions.guessed(found, ["Bonjour"], "en").name == "fr-en"
    guesser(monkeypatch, {"de": 0.1, "fr": 0.05, "ja": 0.85})
    with pytest.raises(UsageError, match="the text's language is unclear: .*choose with --from"):
        directions.guessed(found, ["こんにちは"], "en")
    monkeypatch.setenv("TEXTKIT_MODEL_TRANSLATE", "fr-en")
    assert directions.guessed(directions.fitting("en", None), ["こんにちは"], "en").name == "fr-en"


def test_the_shipped_classifier_tells_them_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [directions.Direction(f"{code}-en", tmp_path, code, "en") for code in ("de", "fr", "es")]
    for name, text in (
        ("de-en", "Ich gehe nach Hause."),
        ("fr-en", "Je rentre à la maison."),
        ("es-en", "Me voy a casa."),
    ):
        assert directions._likeliest(found, [text]).name == name


def test_the_verb_reads_the_first_lines_and_loses_none(shelves, translate, monkeypatch):
    put(shelves / "user" / "fr-en", "fr", "en")
    asked = []
    guesser(monkeypatch, {"de": 0.1, "fr": 0.9}, asked)
    ended = translate("--to", "en", "-v", given="\nthe dog\nthe cat\n" * 50)
    assert ended.out == "\nder Hund\ndie Katze\n".replace("die", "der") * 50
    assert "fr-en" in ended.err
    assert len(asked) == 1
    assert asked[0][:2] == ["the dog", "the cat"]
    assert translate("--to", "en", given="").out == ""
    assert len(asked) == 1
    assert translate("--to", "en", "--from", "de", given="the dog\n").out == "der Hund\n"
    assert len(asked) == 1  # nothing is guessed where it is said
    assert translate("--to", "de", given="the dog\n").out == "der Hund\n"
    assert len(asked) == 1


def test_a_named_model_must_fit(shelves, translate):
    ended = translate("-m", "en-de", "--to", "en", given="the dog\n")
    assert (ended.code, ended.err) == (2, "textkit: --to en: en-de translates en to de\n")
    assert translate("-m", "en-de", "--to", "de", given="the dog\n").out == "der Hund\n"


def test_from_python(shelves):
    assert textkit.load(task="translate", to="en").bundle.manifest.name == "de-en"
    assert Translator(to="de", source="en").bundle.manifest.name == "en-de"
    put(shelves / "user" / "fr-en", "fr", "en")
    with pytest.raises(UsageError, match="to=en: .* fit; choose with source"):
        Translator(to="en")
    with pytest.raises(UsageError, match="to=fr: en-de translates en to de"):
        Translator("en-de", to="fr")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "textkit: en-de translates en to de; --to en takes another model\n"),
        (("--to", "en"), "textkit: de-en translates de to en\n"),
        (("-m", "en-de"), ""),
        (("-q",), ""),
    ],
)
def test_a_person_is_told_the_direction_once(shelves, translate, monkeypatch, args, said):
    monkeypatch.setattr("textkit.tasks.translate.verbs.running.seen", lambda files: True)
    assert translate(*args, given="the dog\nthe cat\n").err == said
    monkeypatch.setattr("textkit.tasks.translate.verbs.running.seen", lambda files: False)
    assert translate(*args, given="the dog\n").err == ""


def test_stderr_or_a_typed_input_shows_a_person(monkeypatch):
    from textkit.cli.typed import seen

    terminal, pipe = SimpleNamespace(isatty=lambda: True), SimpleNamespace(isatty=lambda: False)
    for stdin, stderr, files, expected in (
        (pipe, pipe, (), False), (terminal, pipe, (), True), (pipe, terminal, ("file",), True),
        (terminal, pipe, ("file",), False), (None, None, (), False),
    ):  # fmt: skip
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", stderr)
        assert seen(files) is expected


def test_codes_are_completed(shelves):
    import click

    from textkit.tasks.translate.verbs.translate import translate

    params = {param.name: param for param in translate.params}
    put(shelves / "user" / "en-fr", "en", "fr")
    for name, begun, codes in (
        ("to", "", ["de", "en", "fr"]),
        ("to", "d", ["de"]),
        ("source_language", "", ["de", "en"]),
    ):
        found = params[name].shell_complete(click.Context(translate), begun)
        assert [item.value for item in found] == codes


def test_models_says_the_languages(shelves, capfd):
    from textkit.cli import run

    assert run(["models"], Messages()) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [" ".join(line.split()[:5]) for line in lines[1:]] == ["de-en translate de to en", "en-de * translate en to"]


def test_a_line_in_the_target_language_is_doubted():
    for line in ("Ich gehe heute nach Hause, weil ich müde bin.", "Das ist nicht die Katze."):
        assert doubts.in_target_language(line, "en", "de")
        assert not doubts.in_target_language(line, "de", "en")
    assert doubts.in_target_language("I do not know where they are.", "de", "en")
    for line in (
        "They die in the war.",
        "Die Hard",
        "I am at home, and you are not.",
        "Hut",
        "",
        "His hat was on the bed.",
    ):
        assert not doubts.in_target_language(line, "en", "de")
    assert not doubts.in_target_language("Das ist nicht die Katze.", "", "de")  # a model that states no source
    assert not doubts.in_target_language("Das ist nicht die Katze.", "en", "xx")


def test_the_doubt_is_said_and_the_translation_given(shelves, translate):
    ended = translate("--check", given="the dog runs.\ndas ist der dog und die cat\n")
    first, second = ended.out.splitlines()
    assert first == "der Hund läuft. ||| Doubts= "
    assert second.endswith("language")
    assert second.split(" ||| ")[0]
    assert "1 line is doubtful" in ended.err


def test_a_named_model_imports_nothing_of_this():
    script = (
        "import sys; from textkit.tasks.translate.serving.translator import Translator; Translator('en-de');"
        "print(any('directions' in name for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
