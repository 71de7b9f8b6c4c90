"""Which columns of a table hold what: as options say, as a header names them, or by their order. Never a guess between two.

Knows no task, no model and no file.
"""

from __future__ import annotations

from collections.abc import Sequence

from textkit.corpora.tables import Role, Row, Table
from textkit.errors import TextkitError, UsageError, nearest, quoted
from textkit.evaluation.layouts import folded

_LONGEST_NAME, _MOST_WORDS = 40, 2  # of a cell that may be a column's name
_ENDS = tuple(".,;:!?")  # of sentences


def is_header(cells: Sequence[str], roles: Sequence[Role]) -> bool:
    """Whether cells name the columns: those that options name are there, or else all that are needed, by their known names."""
    if len(cells) < 2:
        return False
    named = [role.given for role in roles if _by_name(role)]
    if named:
        return all(_place(name, cells) is not None for name in named)
    return all(_known(cells, role) for role in roles if role.needed)


def resolved(name: str, kind: str, rows: Sequence[Row], roles: Sequence[Role], ordered: bool = True) -> Table:
    """The places of `roles` in the table whose first rows these are (see textkit.corpora.tables.head_rows).

    Where an option gives a column, it decides. Otherwise the header's names do; without a header, columns that no option
    gives have the order of `roles`, if there are as many (CSV: if `ordered`, or an option gives one). An optional role may
    lack a column. Raises TextkitError, which names file, line and options, where that says nothing or two things.
    """
    number, first = rows[0]
    where = f"{name}, line {number}"
    fields = kind == "jsonl"
    header = fields or is_header(first, roles) or any(map(_by_name, roles))
    found: dict[Role, int | str] = {role: _given(where, first, role, fields) for role in roles if role.given}
    if header:
        _name_rest(where, first, roles, found, fields)
    else:
        if not any(role.given for role in roles):
            _refuse_half_a_header(where, rows, roles)
            if kind == "csv" and not ordered:
                raise TextkitError(f"{where}: {_unnamed(first, roles)}")
        _order_rest(where, first, kind, roles, found)
    taken: dict[int | str, Role] = {}
    for role, place in found.items():
        if place in taken:
            raise TextkitError(f"{where}: {taken[place].option} and {role.option} are the same column")
        taken[place] = role
    having = tuple(role for role in roles if role in found)
    places = tuple(found[role] for role in having)
    if fields:
        places = tuple(first[place] if isinstance(place, int) else place for place in places)
    return Table(kind, having, places, header, 0 if fields else len(first))


def said(roles: Sequence[Role]) -> str:
    """What an error advises: the options of `roles`."""
    options = [role.option for role in roles if role.needed]
    listed = f"{', '.join(options[:-1])} and {options[-1]}" if len(options) > 1 else options[0]
    return f"say which with {listed} (names, or numbers from 1)"


def _by_name(role: Role) -> bool:
    return bool(role.given) and not role.given.isdecimal()


def _place(name: str, cells: Sequence[str]) -> int | None:
    if name in cells:
        return list(cells).index(name)
    wanted = name.strip().casefold()
    return next((at for at, cell in enumerate(cells) if cell.strip().casefold() == wanted), None)


def _known(cells: Sequence[str], role: Role) -> list[int]:
    """The places that may be a role's: those with its names; of a role given by its number that one, if it has such a name."""
    if role.given:
        at = int(role.given) - 1
        return [at] if 0 <= at < len(cells) and folded(cells[at]) in role.names else []
    return [at for at, cell in enumerate(cells) if folded(cell) in role.names]


def _given(where: str, first: Sequence[str], role: Role, fields: bool) -> int | str:
    """The place that an option gives; a way to a field inside others (`a.b`) stays as it is."""
    if role.given.isdecimal() and not fields:
        if not int(role.given):
            raise UsageError(f"{role.option}={role.given}: columns are counted from 1")
        if int(role.given) > len(first):
            raise TextkitError(f"{where}: has no column {role.given}, which {role.option} names, but {len(first)}")
        return int(role.given) - 1
    place = _place(role.given, first)
    if place is None and fields and "." in role.given:
        return role.given
    if place is None:
        what = "field" if fields else "column"
        close = nearest(role.given, [cell for cell in first if 0 < len(cell) <= _LONGEST_NAME])
        raise TextkitError(f"{where}: has no {what} {role.given!r}, which {role.option} names{close}")
    return place


def _name_rest(
    where: str, first: Sequence[str], roles: Sequence[Role], found: dict[Role, int | str], fields: bool
) -> None:
    """Finds the roles that no option gives by the header's names; with one needed role and one column left, these two."""
    missing = []
    for role in roles:
        if role.given:
            continue
        places = [at for at in _known(first, role) if at not in found.values()]
        if len(places) > 1:
            shown = " or ".join(repr(first[at]) for at in places[:3])
            raise TextkitError(f"{where}: {shown} may be the {role.what}: {said([role])}")
        if places:
            found[role] = places[0]
        elif role.needed:
            missing.append(role)
    left = [at for at in range(len(first)) if at not in found.values()]
    if len(missing) == 1 and len(left) == 1 and not fields:
        found[missing[0]] = left[0]
    elif missing:
        what = "field" if fields else "column"
        there = quoted(", ".join(first))[1:-1]
        raise TextkitError(f"{where}: no {what} is named like the {missing[0].what} ({there}): {said(missing)}")


def _order_rest(
    where: str, first: Sequence[str], kind: str, roles: Sequence[Role], found: dict[Role, int | str]
) -> None:
    """Gives the columns that are left to the roles that are left, in their order."""
    left = [at for at in range(len(first)) if at not in found.values()]
    missing = [role for role in roles if role not in found]
    needed = [role for role in missing if role.needed]
    if not needed and found:
        return
    if len(left) not in (len(needed), len(missing)):
        if kind == "tsv" and len(first) == 1:
            whats = "<tab>".join(role.what for role in roles if role.needed)
            raise TextkitError(f"{where}: has no tab: a line is {whats}; JSON lines and CSV have a header of names")
        raise TextkitError(f"{where}: {_unnamed(first, roles)}")
    found |= dict(zip(needed if len(left) == len(needed) else missing, left, strict=True))


def _unnamed(first: Sequence[str], roles: Sequence[Role]) -> str:
    whats = " and ".join(role.what for role in roles if role.needed)
    there = f"{len(first)} column{'s' if len(first) != 1 else ''}"
    return f"has {there} and no header that names {whats}: {said(roles)}"


def _refuse_half_a_header(where: str, rows: Sequence[Row], roles: Sequence[Role]) -> None:
    """The first row may be a header of which one name is not known, and then its order is not known either.

    It is none if a cell is too long for a name, or if another row begins with the same cell, as labels recur.
    """
    first = rows[0][1]
    names = frozenset[str]().union(*(role.names for role in roles))
    known = [cell for cell in first if folded(cell) in names]
    if not known or any(cells[:1] == first[:1] for _, cells in rows[1:]):
        return
    if all(
        0 < len(cell) <= _LONGEST_NAME and len(cell.split()) <= _MOST_WORDS and not cell.endswith(_ENDS)
        for cell in first
    ):
        raise TextkitError(f"{where}: {known[0]!r} may be a column's name or a record's: {said(roles)}")
