"""The experiment: expert, recording, cloning, comparison."""

import os
import sys

if (sys.argv[0], *sys.orig_argv[1:3]) == ("-m", "-m", "pipelines"):
    # This process is a stage that begins, as in `trajstore`: Ctrl-C ends it while modules load.
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"stopped\n"), os._exit(130)))
    except KeyboardInterrupt:
        os._exit(130)
