"""How the process of a command begins and ends: its streams, its signals, one line for any error.

Nothing that a user meets is a traceback; a fault of our own is told with its place in the code.
"""

import errno
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trajstore.errors import (
    ArgumentError,
    NameRefusedError,
    NotFoundError,
    SealedError,
    TrajStoreError,
)

WRONG_USE = (ArgumentError, NameRefusedError, NotFoundError, SealedError)
"""Errors for which the command line is at fault, not the data."""
TOLD = (
    *(TrajStoreError, OSError, MemoryError, ImportError, RecursionError, UnicodeError),
    KeyboardInterrupt,
)
"""Errors that are no fault of the program's own."""
FAULT = 70
"""Exit status of a fault of the program itself."""
TRACEBACK = "TRAJSTORE_TRACEBACK"
INTERRUPTED = 130
PIPE_CLOSED = 141
_STDERR = 2


def begin() -> None:
    """Give the process the streams that it lacks, write any letter, and heed Ctrl-C as usual.

    A descriptor that is closed would be that of the next file opened; output to one that was is
    refused, and told as that of a full disk is.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == _STDERR else os.O_RDONLY)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - a descriptor
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = lambda _: None


def end(status: int, complain: Callable[[str], None]) -> None:
    """End the process; Ctrl-C comes too late now, and what could not be written is told."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except OSError as error:
        status = status or told(error, complain)
    try:
        sys.stderr.flush()
    except OSError:
        _redirect(_STDERR)
    sys.exit(status)


@contextmanager
def loading() -> Iterator[None]:
    """While modules load, Ctrl-C ends the process: some turn the exception into others."""
    usual = signal.getsignal(signal.SIGINT)
    mine = threading.current_thread() is threading.main_thread()
    if not mine or usual is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _leave(*_: object) -> None:
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def told(error: BaseException, complain: Callable[[str], None]) -> int:
    """Say in one line what ended a command; returns the exit status."""
    if isinstance(error, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        drop_output()
        return PIPE_CLOSED
    if isinstance(error, TrajStoreError):
        complain(str(error))
        return 2 if isinstance(error, WRONG_USE) else 1
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        error = MemoryError(str(error))  # what the limit of memory or of threads looks like
    placeless = isinstance(error, OSError) and error.filename is None
    if os.environ.get(TRACEBACK) and (placeless or not isinstance(error, TOLD)):
        traceback.print_exception(error)
    complain(words(error))
    return 1 if isinstance(error, TOLD) or not _ours(error) else FAULT


def words(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, OSError):
        return _refused(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({_brief(error)}); raise the limit, or ask for less"
    if isinstance(error, ImportError):
        return f"{error.name or 'a module'} cannot be imported: {_brief(error)}; install it again"
    if isinstance(error, RecursionError):
        return f"values are nested too deep: {_brief(error)}"
    if isinstance(error, UnicodeError):
        return f"a text has letters that UTF-8 cannot hold ({_brief(error)}); write it anew"
    if sys.flags.optimize:
        return (
            "python runs with -O or PYTHONOPTIMIZE, which takes away checks that zarr needs "
            f"({type(error).__name__}: {_brief(error)}); run it without"
        )
    frames = _frames(error)[-1:]
    place = "".join(f" at {Path(it.filename).name}:{it.lineno}" for it in frames)
    if not _ours(error):
        return (
            f"{type(error).__name__}: {_brief(error)}{place}, which is no part of trajstore; "
            f"correct it there, {TRACEBACK}=1 in the environment shows how it came to it"
        )
    return (
        f"this is a fault of trajstore: {type(error).__name__}: {_brief(error)}{place}; please "
        f"report it, with what {TRACEBACK}=1 in the environment shows"
    )


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Where it was raised, but for what lies within Python and installed packages."""
    frames = traceback.extract_tb(error.__traceback__)
    bought = (sys.prefix, sys.base_prefix, "<")
    return [it for it in frames if _of_us(it) or not it.filename.startswith(bought)] or frames


def _of_us(frame: traceback.FrameSummary) -> bool:
    """Whether a line is of this package, or of the experiment beside it."""
    rooms = (sys.modules.get(name) for name in ("trajstore", "pipelines"))
    homes = [place for it in rooms if it is not None for place in it.__path__]
    return any(Path(frame.filename).is_relative_to(it) for it in homes)


def _ours(error: BaseException) -> bool:
    """Whether our own code raised it, and not an environment or a function of the user's."""
    return not (frames := _frames(error)) or _of_us(frames[-1])


def _brief(error: BaseException) -> str:
    text = " ".join(ascii(str(error))[1:-1].split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _refused(error: OSError) -> str:
    """What to say of a refusal of the operating system, which may not say what it refused."""
    told = error.strerror or _brief(error)
    if error.filename is not None:
        return f"{error.filename}: {told}; look at the file and its permissions"
    if error.errno in (errno.ENOSPC, errno.EBADF) or _output_is_refused():  # our files have names
        drop_output()
        return f"output: {told}; what was printed is not whole, write it elsewhere"
    return f"the system refused: {told}; {TRACEBACK}=1 in the environment shows where"


def _output_is_refused() -> bool:
    """Whether what was printed still waits, as nothing takes it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads; then click exits with 1, and says nothing."""
    polled = select.poll()
    polled.register(1, 0)
    return any(event & select.POLLERR for _, event in polled.poll(0))


def drop_output() -> None:
    """Let what is still buffered go nowhere, so that the end of the process is quiet too."""
    _redirect(1)


def _redirect(descriptor: int) -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
