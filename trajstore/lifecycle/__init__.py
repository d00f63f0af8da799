"""The life of a dataset's versions: judged, published, reviewed, rotated, archived, restored.

Whatever publishes, rotates or restores raises `LockedError` if someone else does so to the same
dataset, and `StorageError` if the operating system refuses; the next call finishes what was begun.
"""

from trajstore.lifecycle.moving import finish, restore
from trajstore.lifecycle.publishing import Published, preview, publish
from trajstore.lifecycle.rotation import plan, rotate
from trajstore.lifecycle.shelf import Shelf
from trajstore.quality.report import judge
from trajstore.quality.reviews import review

__all__ = [
    "Published",
    "Shelf",
    "finish",
    "judge",
    "plan",
    "preview",
    "publish",
    "restore",
    "review",
    "rotate",
]
