"""The life of a dataset's versions: judged, published, reviewed, rotated, archived, restored."""

from trajstore.governance.judging import judge, review
from trajstore.governance.looking import UNREADABLE, look, standing, status_of
from trajstore.governance.moving import finish, restore
from trajstore.governance.place import Place
from trajstore.governance.publishing import Published, preview, publish
from trajstore.governance.rotating import plan, rotate

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
