"""Which options a search tries next: the defaults, a plugin's known points, then moves away from the best trials.

The moves are drawn as in the autotune of fastText: near the best point that is known, wide at first and narrow later. They
depend on the seed, on the scores so far and on nothing else, so that the same scores lead to the same proposals.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textkit.config import as_dict, check_training
from textkit.errors import TextkitError, UsageError
from textkit.guard import blaming
from textkit.plugin import Plugin, Space, Training
from textkit.training.effects import check_options, unmet, without_effect

Values = dict[str, Any]  # every option, by its name

_DRAWS = 400  # in search of something that was not tried yet
_TIRED = 40  # draws in vain after which they wander off
_WIDE, _NARROWER = 12, 36  # until so many draws, a move is of up to 3 steps, and 2
_DIGITS = 2  # significant digits of a number that is lowered


class Proposals:
    """Proposes the options of trials. `options` and `training` are what the search begins with; `given` options stay fixed."""

    def __init__(
        self, plugin: Plugin[Any, Any], options: Any, training: Training, given: frozenset[str], seed: int
    ) -> None:
        self.plugin, self.given = plugin, given
        self.options, self.training = options, training
        self.base = self._values(options, training)
        self.space = Space()
        self._random = random.Random(seed)
        self._waiting: list[Mapping[str, Any]] = []
        self._seen: set[str] = set()
        self._ceiling: Values = {}  # values of what was lowered so that a model fits
        self._draws = 0

    def enter(self, space: Space) -> None:
        """Takes the space to search in. Raises TextkitError, which names the plugin, for one that is not sound."""
        known = self.base.keys()
        for where, names in (
            ("scales", space.scales),
            ("smaller", space.smaller),
            *(("points", p) for p in space.points),
        ):
            if wrong := [name for name in names if name not in known]:
                raise TextkitError(f"plugin {self.plugin.name!r}: its space names no option {wrong[0]!r} ({where})")
        for name in space.smaller:
            if not _numbers(space.scales.get(name, ())):
                raise TextkitError(
                    f"plugin {self.plugin.name!r}: its space has no scale of numbers for {name!r} (smaller)"
                )
        self.space = space
        self._waiting = list(space.points)

    def begun(self, values: Values) -> tuple[Any, Training]:
        """The plugin's Config and the engine's options of `values`."""
        own = {field.name for field in dataclasses.fields(self.options)}
        engine = {key: value for key, value in values.items() if key not in own}
        options = dataclasses.replace(self.options, **{key: value for key, value in values.items() if key in own})
        training = check_training(dataclasses.replace(self.training, **engine))
        check_options(self.plugin, training)
        return options, training

    def settled(self, values: Mapping[str, Any]) -> Values | None:
        """`values` with fixed options as they were given, and those without effect as in the beginning; None: refused."""
        found = {**self.base, **{key: value for key, value in values.items() if key not in self.given}}
        for _ in range(len(found)):
            try:
                options, training = self.begun(found)
            except (TypeError, ValueError, UsageError):
                return None
            idle = [key for key in self._idle(options, training) if found[key] != self.base[key]]
            if not idle:
                return found
            found.update({key: self.base[key] for key in idle})
        return None

    def changed(self, values: Mapping[str, Any]) -> Values:
        """The options that differ from what the search began with."""
        return {key: value for key, value in values.items() if value != self.base[key]}

    def seen(self, values: Values) -> bool:
        """Whether these options were proposed before; from here on they were."""
        key = repr(sorted(values.items()))
        known = key in self._seen
        self._seen.add(key)
        return known

    def next(self, best: Sequence[Values], fitted: Callable[[Values], Values] = lambda values: values) -> Values | None:
        """The next options; `best`: those of the best trials, the best first. `fitted` changes options so that their trial fits
        into its time; what comes of it is proposed once. None if nothing is left to try."""
        while self._waiting:
            point = self._waiting.pop(0)
            found = self.settled({**point, **self._lowered(point)})
            if found is not None and (values := self._new(found, fitted)):
                return values
        walked: Mapping[str, Any] = {}
        for draw in range(_DRAWS):
            # Where all that is near was tried, each draw begins where the last one ended, and steps are long again: what the
            # Config refuses would otherwise bar the way.
            tired = draw >= _TIRED
            most = 3 if tired or self._draws < _WIDE else 2 if self._draws < _NARROWER else 1
            found = self.settled(self._moved(walked if tired else self._origin(best), most))
            if found is not None and (values := self._new(found, fitted)):
                self._draws += 1
                return values
            walked = found or walked
        return None

    def smaller(
        self, values: Values, share: float, fitted: Callable[[Values], Values] = lambda values: values
    ) -> Values | None:
        """`values` with what makes a model large lowered, so that about `share` of its bytes remain; None: that cannot be.
        `fitted`: as for `next`."""
        found, idle = dict(values), self._idle(*self.begun(values))
        for name in self.space.smaller:
            if name in self.given or name in idle:
                continue
            least, now = self.space.scales[name][0], found[name]
            wanted = _rounded(now * share * 0.98, type(now))
            found[name] = max(wanted, least) if now > least else now
            self._ceiling[name] = found[name]
            if wanted >= least:
                break
            share = min(1.0, share * now / max(found[name], 1e-9))
        lowered = self.settled(found)
        return None if lowered is None else self._new(lowered, fitted)

    def _new(self, values: Values, fitted: Callable[[Values], Values]) -> Values | None:
        """`values` as they fit; None if they were proposed before, as they are or as they fit."""
        if self.seen(values):
            return None
        found = fitted(values)
        return found if found == values or not self.seen(found) else None

    def _lowered(self, point: Mapping[str, Any]) -> Values:
        values = {**self.base, **point}
        return {key: min(values[key], most) for key, most in self._ceiling.items()}

    def _origin(self, best: Sequence[Values]) -> Mapping[str, Any]:
        """Where a move begins: mostly at the best trial, at times at another good one, a known point or the defaults."""
        draw = self._random.random()
        if best and draw < 0.65:
            return best[0]
        if len(best) > 1 and draw < 0.9:
            return self._random.choice(best[1:4])
        point = self._random.choice([{}, *self.space.points])
        return {**self.base, **point, **self._lowered(point)}

    def _moved(self, origin: Mapping[str, Any], most: int) -> Values:
        """`origin` with one option or a few changed, each by up to `most` steps of its scale."""
        found = {**self.base, **origin}
        try:
            idle = self._idle(*self.begun(self.settled(found) or self.base))
        except UsageError:
            idle = set()
        free = [key for key in self.space.scales if key not in self.given and key not in idle]
        count = 1
        while count < len(free) and self._random.random() < 0.5:
            count += 1
        for key in self._random.sample(free, min(count, len(free))):
            found[key] = self._along(self.space.scales[key], found[key], most)
        return found

    def _along(self, scale: Sequence[Any], now: Any, most: int) -> Any:
        """Another value of the scale: of words any, of numbers one that is up to `most` steps away."""
        others = [value for value in scale if value != now]
        if not others:
            return now
        if not _numbers(scale):
            return self._random.choice(others)
        reach = self._random.randint(1, most)
        up = self._random.random() < 0.5
        side = [value for value in others if (value > now) == up]
        side = sorted(side or others, key=lambda value: abs(value - now))
        return side[min(reach, len(side)) - 1]

    def _idle(self, options: Any, training: Training) -> set[str]:
        """The options without effect, alone or with the values of the others."""
        return {*unmet(self.plugin, options, training), *without_effect(self.plugin)}

    def _values(self, options: Any, training: Training) -> Values:
        """Every option by its name, tuples as tuples."""
        return {key: getattr(part, key) for part in (training, options) for key in as_dict(part)}


def space_of(plugin: Plugin[Any, Any], lines: int) -> Space | None:
    """The space of a plugin for training data of so many lines; TextkitError for a plugin that fails to give one."""
    with blaming(plugin, "space"):
        space = plugin.space(lines)
    if space is not None and not isinstance(space, Space):
        raise TextkitError(f"plugin {plugin.name!r}: space must give a Space or None; it gives {type(space).__name__}")
    return space


def _numbers(scale: Sequence[Any]) -> bool:
    return bool(scale) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in scale)


def _rounded(value: float, kind: type) -> Any:
    """`value` with few significant digits, not above it."""
    if kind is not int:
        return value
    whole = int(value)
    step = 10 ** max(0, len(str(whole)) - _DIGITS)
    return whole // step * step
