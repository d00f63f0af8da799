"""Episodes gathered into lists of a few megabytes, so that NumPy has something to work on."""

from collections.abc import Iterable, Iterator

from trajstore.episode.episode import Episode

BATCH_BYTES = 4 * 2**20


def gathered(episodes: Iterable[Episode]) -> Iterator[list[Episode]]:
    """Yield the episodes in order, a list at a time; frames of a codec are not decoded for it."""
    batch: list[Episode] = []
    size = 0
    for episode in episodes:
        batch.append(episode)
        size += sum(episode.arrays[it.name].nbytes for it in episode.schema.uncoded.fields)
        size += len(episode) * sum(it.row_bytes for it in episode.schema.coded)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
