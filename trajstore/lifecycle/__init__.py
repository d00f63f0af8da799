"""The life of a dataset's versions: judged, published, reviewed, rotated, archived, restored."""

from trajstore.lifecycle.looking import look
from trajstore.lifecycle.moving import finish, restore
from trajstore.lifecycle.place import Place
from trajstore.lifecycle.publishing import Published, preview, publish
from trajstore.lifecycle.rotating import plan, rotate
from trajstore.quality.judging import judge, review

__all__ = [
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
]
