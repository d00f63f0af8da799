"""The files of a card: written all of them, or none if one of them is there already."""

import os
from pathlib import Path

from trajstore.errors import SealedError
from trajstore.playback.card import CROISSANT, PAGE, PICTURE, Card
from trajstore.playback.card_page import page
from trajstore.playback.croissant import croissant
from trajstore.playback.page import write_whole


def write_card(card: Card, target: Path, *, replace: bool = False) -> dict[str, int]:
    """Write the files of a card into a folder, which may be there; returns their sizes in bytes.

    Raises:
        SealedError: if one of the files is there and not to be replaced; nothing is written.
        StorageError: if the operating system refuses.
    """
    files = {PAGE: page(card).encode(), CROISSANT: croissant(card).encode()}
    if card.picture:
        files[PICTURE] = card.picture
    for name in files:
        if os.path.lexists(target / name) and not replace:
            raise SealedError(
                f"{target / name}: expected a new file, got one that is there; choose another "
                "folder, or say --replace"
            )
    return {name: write_whole(target / name, content) for name, content in files.items()}
