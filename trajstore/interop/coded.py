"""Camera codecs of what is imported: no file of others declares one, so whoever imports says it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from trajstore.episode.codec import Codec, as_codec
from trajstore.episode.episode import Episode
from trajstore.episode.fields import FieldSpec
from trajstore.episode.schema import EpisodeSchema
from trajstore.episode.texts import shown
from trajstore.errors import ArgumentError, SchemaError
from trajstore.interop.imported import Imported, told
from trajstore.version.coders import check_decoders

Said = Mapping[str, str | Codec] | tuple[str, ...]
"""Codecs by field; the command line gives ``front=jpeg`` or ``front=h264,quality=26,group=8``."""


def with_codecs(imported: Imported, said: Said) -> Imported:
    """What an importer gives, with codecs for its cameras; frames go through them when recorded.

    Names of the file itself do as well, where the importer knows them: those of LeRobot's features.

    Raises:
        ArgumentError: if a field does not exist or holds no frames, or there is no such codec.
        NotFoundError: if the package of a codec is not installed.

    Example:
        >>> codecs_said(("front=jpeg", "wrist=h264,quality=26,group=8"))["wrist"]
        Codec(name='h264', quality=26, group=8)
    """
    codecs = codecs_said(said, imported.names)
    if not codecs:
        return imported
    for name in codecs:
        if name not in imported.schema.names:
            cameras = [it.name for it in imported.schema.fields if _is_camera(it)]
            there = f"one of {', '.join(cameras)}" if cameras else "and there is none"
            raise ArgumentError(f"codec: expected a camera, {there}, got {shown(name)}")
    try:
        schema = EpisodeSchema(
            tuple(replace(it, codec=codecs.get(it.name, it.codec)) for it in imported.schema.fields)
        )
    except SchemaError as error:
        raise ArgumentError(str(error)) from error
    check_decoders(schema.coded)
    lossy = (f"{it.name}: stored as {it.codec}, which loses detail" for it in schema.coded)
    notes = (*imported.notes, *lossy)
    provenance = told(imported.provenance, imported.left_out, notes)
    read = partial(_episodes, imported, schema)
    return replace(imported, schema=schema, provenance=provenance, read=read, notes=notes)


def codecs_said(said: Said, names: Mapping[str, str] = MappingProxyType({})) -> dict[str, Codec]:
    """Codecs by field, as whoever imports says them; raises as `with_codecs` does.

    ``names`` are those of fields by other names that stand for them.
    """
    pairs = said.items() if isinstance(said, Mapping) else map(_pair, said)
    codecs: dict[str, Codec] = {}
    try:
        for told_name, it in pairs:
            name = names.get(told_name, told_name)
            codec = _codec(it) if isinstance(it, str) else as_codec("codec", it)
            if codec is None or name in codecs:
                raise SchemaError(f"codec: expected one of {shown(name)}, got none or two")
            codecs[name] = codec
    except SchemaError as error:
        raise ArgumentError(str(error)) from error
    return codecs


def _pair(text: str) -> tuple[str, str]:
    name, _, codec = text.partition("=")
    return name.strip(), codec.strip()


def _codec(text: str) -> Codec:
    name, *choices = text.split(",")
    chosen: dict[str, int] = {}
    for choice in choices:
        key, _, number = choice.partition("=")
        if key not in ("quality", "group") or not number.isdecimal() or len(number) > 4:
            raise SchemaError(
                f"codec: expected FIELD=CODEC such as front=jpeg, front=jpeg,quality=95 or "
                f"front=h264,quality=26,group=8, got {shown(choice)}"
            )
        chosen[key] = int(number)
    return Codec(name, **chosen)


def _is_camera(spec: FieldSpec) -> bool:
    try:
        return replace(spec, codec=Codec("jpeg")).codec is not None
    except SchemaError:
        return False


def _episodes(imported: Imported, schema: EpisodeSchema) -> Iterator[Episode]:
    for episode in imported.episodes:
        yield Episode(schema, episode.arrays)
