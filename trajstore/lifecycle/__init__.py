"""The life of a dataset's versions: judged, published, reviewed, rotated, archived, restored."""

from trajstore.lifecycle.looking import UNREADABLE, look, standing, status_of
from trajstore.lifecycle.moving import finish, restore
from trajstore.lifecycle.place import Place
from trajstore.lifecycle.publishing import Published, preview, publish
from trajstore.lifecycle.rotating import plan, rotate
from trajstore.quality.judging import judge, review

__all__ = [
    "UNREADABLE",
    "Place",
    "Published",
    "finish",
    "judge",
    "look",
    "plan",
    "preview",
    "publish",
    "restore",
    "review",
    "rotate",
    "standing",
    "status_of",
]
