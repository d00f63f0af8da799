"""Which versions a version was made from, as its provenance tells it, through generations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from trajstore.dataset import Dataset
from trajstore.episode.texts import brief
from trajstore.version.manifest import Manifest

CURATION = "curation"
"""Key of the provenance under which a version tells what it was made from."""
MAX_GENERATIONS = 50

Find = Callable[[str, str], tuple[str, Manifest] | None]
"""From a reference and a content digest to where that version lies now, if it is at hand."""


class Parent(msgspec.Struct, frozen=True):
    """One version that another was made from.

    Attributes:
        reference: what it was called then.
        content_digest: what it held, hexadecimal.
        episodes: that it has.
        taken: of these, how many the new version took.
        provenance: what this parent's provenance says that others' do not.
    """

    reference: str
    content_digest: str
    episodes: int
    taken: int
    provenance: Mapping[str, Any] = {}


class Made(msgspec.Struct, frozen=True):
    """How a version was made of others: what lies in its provenance.

    Attributes:
        how: ``select``, ``merge`` or ``split``.
        criterion: what was chosen by.
        counts: of episodes: ``episodes`` in all, ``left_out``, ``duplicates`` among those.
        reason: of the person who made it.
    """

    how: str
    parents: tuple[Parent, ...]
    criterion: Mapping[str, Any] = {}
    counts: Mapping[str, int] = {}
    reason: str = ""

    def __str__(self) -> str:
        parts = [(name, it) for name, it in self.criterion.items() if it is not None]
        chosen = ", ".join(f"{name} {brief(it, 200)}" for name, it in parts)
        return f"{self.how} {chosen}".rstrip() + f" ({brief(self.reason, 200)})" * bool(self.reason)


class Ancestor(msgspec.Struct, frozen=True):
    """A version that another comes from.

    Attributes:
        now: where it lies in the store; empty if it is not at hand.
        made: how it was made itself; ``None`` if it was recorded, or is not at hand.
    """

    reference: str
    content_digest: str
    episodes: int
    taken: int
    now: str = ""
    made: str | None = None
    parents: tuple["Ancestor", ...] = ()


def made_of(provenance: Mapping[str, Any]) -> Made | None:
    """How a version was made of others; ``None`` if it was recorded."""
    try:
        return msgspec.convert(provenance.get(CURATION), Made)
    except msgspec.ValidationError:
        return None


def ancestors(
    provenance: Mapping[str, Any], find: Find, above: Sequence[str] = ()
) -> tuple[Ancestor, ...]:
    """The versions that one was made from, each with those that it was made from."""
    made = made_of(provenance)
    found = []
    for parent in made.parents if made and len(above) < MAX_GENERATIONS else ():
        digest = parent.content_digest
        at_hand = None if digest in above else find(parent.reference, digest)
        now, manifest = at_hand or ("", None)
        own = made_of(manifest.provenance) if manifest else None
        found.append(
            Ancestor(
                *(parent.reference, digest, parent.episodes, parent.taken, now),
                None if own is None else str(own),
                ancestors(manifest.provenance, find, (*above, digest)) if manifest else (),
            )
        )
    return tuple(found)


def generations(line: Sequence[Ancestor], depth: int = 0) -> Iterator[tuple[int, str]]:
    """How deep each ancestor lies, and a line on it."""
    for it in line:
        now = (
            "not in this store" if not it.now else "" if it.now == it.reference else f"now {it.now}"
        )
        facts = [f"{it.taken:,} of {it.episodes:,} episodes", now, it.made and f"made by {it.made}"]
        yield depth, f"{it.reference} ({it.content_digest[:12]}): {'; '.join(filter(None, facts))}"
        yield from generations(it.parents, depth + 1)


def line_to(digest: str, line: Sequence[Ancestor]) -> list[Ancestor]:
    """The way from a version's ancestors to the one of that content; empty if it is none."""
    for it in line:
        if it.content_digest == digest:
            return [it]
        way = line_to(digest, it.parents)
        if way:
            return [it, *way]
    return []


def lineage(
    ancestors_of: Callable[[Dataset], Sequence[Ancestor]], before: Dataset, after: Dataset
) -> list[str]:
    """How one of two versions was made from the other, or both from a third; a line a step."""
    for young, old in ((after, before), (before, after)):
        way = line_to(old.manifest.content_digest, ancestors_of(young))
        if way:
            return _steps(young, way)
    line = ancestors_of(after)
    for digest in _digests(ancestors_of(before)):
        way = line_to(digest, line)
        if way:
            return [
                *_steps(after, way),
                *_steps(before, line_to(digest, ancestors_of(before))),
            ]
    return []


def _digests(line: Sequence[Ancestor]) -> Iterator[str]:
    """The contents of all ancestors, the nearest first."""
    yield from (it.content_digest for it in line)
    for it in line:
        yield from _digests(it.parents)


def _steps(young: Dataset, way: Sequence[Ancestor]) -> list[str]:
    own = made_of(young.manifest.provenance)
    names = [young.path.parent.name + "@" + young.path.name, *(it.reference for it in way)]
    how = [str(own), *(str(it.made) for it in way)]
    return [
        f"{name}: {made}, {parent.taken:,} of {parent.episodes:,} episodes of {parent.reference}"
        for name, made, parent in zip(names, how, way, strict=False)
    ]
