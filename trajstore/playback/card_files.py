"""The files of a card: written all of them, or none if another is there already."""

import os
from pathlib import Path

from trajstore.disk.files import open_file
from trajstore.errors import CorruptionError, SealedError
from trajstore.playback.card import CROISSANT, PAGE, PICTURE, Card
from trajstore.playback.card_page import page
from trajstore.playback.croissant import croissant
from trajstore.playback.page import write_whole


def write_card(card: Card, target: Path, *, replace: bool = False) -> dict[str, int]:
    """Write the files of a card into a folder, which may be there; returns their sizes in bytes.

    What is there of the same card, as a kill leaves it, is completed.

    Raises:
        SealedError: if another file is there and not to be replaced; nothing is written.
        StorageError: if the operating system refuses.
    """
    files = {PAGE: page(card).encode(), CROISSANT: croissant(card).encode()}
    if card.picture:
        files[PICTURE] = card.picture
    for name, content in files.items():
        if os.path.lexists(target / name) and not replace and not _holds(target / name, content):
            raise SealedError(
                f"{target / name}: exists already; choose another folder, or say --replace"
            )
    return {name: write_whole(target / name, content) for name, content in files.items()}


def _holds(path: Path, content: bytes) -> bool:
    try:
        with open_file(path, follow=False) as file:
            return file.read(len(content) + 1) == content
    except (OSError, CorruptionError):
        return False
