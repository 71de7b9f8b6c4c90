"""Chooses a model by the languages that it translates from and into, as manifests state them. Opens no model to translate.

A code of a model fits one that is asked for where they are equal or one goes on where the other ends: `de` and `de-AT`
(the lookup and filtering of RFC 4647, whichever side is longer). Which of several source languages a text is in is guessed by
the model `languages`, which is reached by its name, and only where that decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from textkit.bundle import bundle as bundles
from textkit.bundle import places
from textkit.errors import TextkitError, UsageError, quoted
from textkit.tasks.translate.task import TASK

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

CODE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_GUESSER = "languages"  # a model for `classify` whose labels are codes of languages
_LONGEST = 35  # characters of a code
_SAMPLED = 64  # lines that the guess looks at
_SHOWN = 10  # models that an error lists


class Direction(NamedTuple):
    """A model, by its folder's name, and the codes of its languages; "" where it does not state one."""

    name: str
    folder: Path
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.name} ({said(self.source, self.target)})"


def said(source: str, target: str) -> str:
    """A direction in words."""
    return f"{source or 'any language'} to {target or 'a language that it does not state'}"


def checked(option: str, code: str | None) -> None:
    """Raises UsageError where `code`, the value of `option`, cannot be the code of a language."""
    if code is not None and not CODE.fullmatch(code):
        raise UsageError(f"{option} {quoted(code)}: is no code of a language, such as de or pt-BR")


def directions() -> list[Direction]:
    """Every model for `translate` that the user has or textkit brought, and the default; none that lies in the current folder.

    A model of the user's hides one of textkit's that has its name, as it does for -m.
    """
    found: dict[str, Direction] = {}
    for _, folder in places.installed(here=False):
        if (one := _direction(folder)) is not None:
            found.setdefault(one.name, one)
    default = _default()
    if default is not None and not any(_same(one, default) for one in found.values()):
        found[str(default.folder)] = default
    return list(found.values())


def languages(of: str) -> list[str]:
    """The codes of all languages that models translate from (`of`: "source") or into ("target")."""
    return sorted({code for one in directions() if (code := getattr(one, of))})


def fitting(to: str | None, source: str | None) -> list[Direction]:
    """The models that translate from `source` into `to` (None: whatever it is).

    One, or several that differ in their source languages alone: then the text decides (`guessed`). Of several with the same
    languages it is the default model.
    Raises UsageError, which lists what there is, where none fits, and where several do that nothing can choose among.
    """
    known = directions()
    asked = _asked(to, source)
    fits = [
        one for one in known if (to is None or alike(one.target, to)) and (source is None or alike(one.source, source))
    ]
    if not fits:
        raise UsageError(f"{asked}: no model for that; there {_listed(known)}")
    default = _default()
    chosen: dict[tuple[str, str], Direction] = {}
    for pair in dict.fromkeys((one.source, one.target) for one in fits):
        equal = [one for one in fits if (one.source, one.target) == pair]
        best = next((one for one in equal if default is not None and _same(one, default)), equal[0])
        if len(equal) > 1 and (default is None or not _same(best, default)):
            raise UsageError(f"{asked}: {_all(equal)} fit equally; choose one with -m")
        chosen[pair] = best
    if len({target for _, target in chosen}) > 1:
        missing = "--to" if to is None else "-m"
        raise UsageError(f"{asked}: {_all(list(chosen.values()))} fit; choose with {missing}")
    return list(chosen.values())


def opened(model: str | Path | Bundle | None, to: str | None, source: str | None) -> Bundle:
    """The `model`, or else the one that translates from `source` into `to` (None: whatever it is).

    Raises UsageError where a model does not; where none fits or several do, it lists what there is.
    """
    for option, code in (("--to", to), ("--from", source)):
        checked(option, code)
    if model is None:
        model = _only(fitting(to, source), _asked(to, source)).folder
    bundle = model if isinstance(model, bundles.Bundle) else bundles.located(str(model), TASK.name)
    _check(bundle, to, source)
    return bundle


def _only(found: Sequence[Direction], asked: str) -> Direction:
    if len(found) > 1:
        raise UsageError(f"{asked}: {_all(found)} fit; choose with --from")
    return found[0]


def guessed(found: Sequence[Direction], texts: Iterable[str], to: str | None) -> Direction:
    """The one of `found` whose source language `texts` are in, or else the default model.

    Raises UsageError where neither decides.
    """
    if len(found) == 1:
        return found[0]
    lines = [text for text in texts if text.strip()][:_SAMPLED]
    if (best := _likeliest(found, lines) if lines else None) is not None:
        return best
    default = _default()
    for one in found:
        if default is not None and _same(one, default):
            return one
    return found[0] if not lines else _only(found, f"{_asked(to, None)}: the text's language is unclear")


def _check(bundle: Bundle, to: str | None, source: str | None) -> None:
    """Raises UsageError where the model in `bundle` does not translate from `source` into `to` (None: whatever it is)."""
    text = bundle.manifest.text
    for option, key, code in (("--to", "target_language", to), ("--from", "source_language", source)):
        own = text.get(key) or ""
        if code is not None and not alike(own, code):
            direction = said(text.get("source_language") or "", text.get("target_language") or "")
            raise UsageError(f"{option} {code}: {bundle.manifest.name} translates {direction}")


def hint(bundle: Bundle, asked: bool) -> str:
    """What a person should know of the model in `bundle`, which no -m names. `asked`: whether --to chose it."""
    text, name = bundle.manifest.text, bundle.manifest.name
    source, target = (text.get(key) or "" for key in ("source_language", "target_language"))
    others = [] if asked else sorted({one.target for one in directions()} - {target, ""})
    more = f"; --to {'|'.join(others)} takes another model" if others else ""
    return f"{name} translates {said(source, target)}{more}"


def alike(own: str, asked: str) -> bool:
    """Whether a model's code fits the one that is asked for."""
    one, other = (re.split("[-_]", code.casefold()) for code in (own, asked))
    return bool(own) and all(a == b for a, b in zip(one, other, strict=False))


def _direction(folder: Path) -> Direction | None:
    stated = places.stated(folder)
    text: Any = stated.get("text")
    if stated.get("task") != TASK.name or not isinstance(text, dict):
        return None
    source, target = (text.get(key) for key in ("source_language", "target_language"))
    codes = [
        code if isinstance(code, str) and len(code) <= _LONGEST and CODE.fullmatch(code) else ""
        for code in (source, target)
    ]
    return Direction(folder.name, folder, *codes)


def _default() -> Direction | None:
    """The model that serves without -m; None where none is installed."""
    folder = places.preferred(TASK.name)
    return _direction(folder or places.package_folder() / str(TASK.default_model))


def _same(one: Direction, other: Direction) -> bool:
    return one.folder.resolve() == other.folder.resolve()


def _likeliest(found: Sequence[Direction], lines: list[str]) -> Direction | None:
    """The one whose source language the lines are in, by the sum of its probabilities; None where the classifier knows none of
    the languages, or is not there."""
    from textkit.serving import open_model

    try:
        answers: Any = open_model(_GUESSER, task="classify", device="cpu", threads=1)(lines)
    except TextkitError:
        return None
    sums = sum(answer.probabilities for answer in answers)
    best, most = None, 0.0
    for one in found:
        share = sum(
            float(value) for label, value in zip(answers[0].known, sums, strict=True) if alike(one.source, label)
        )
        if share > most:
            best, most = one, share
    return best if most >= len(lines) / 4 else None


def _asked(to: str | None, source: str | None) -> str:
    return " ".join(f"{option} {code}" for option, code in (("--from", source), ("--to", to)) if code is not None)


def _listed(known: Sequence[Direction]) -> str:
    return f"{'is' if len(known) == 1 else 'are'} {_all(known)}" if known else "is none at all"


def _all(found: Sequence[Direction]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(map(str, found[:_SHOWN])) + more
