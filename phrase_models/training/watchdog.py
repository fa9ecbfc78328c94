"""A training process must not outlive the flow that started it."""

import os
import threading
import time

CHECK_SECONDS = 0.5


def exit_with_parent(parent: int) -> None:
    """End this process at once when its parent is no longer `parent`.

    A flow killed by force cannot stop its child; a child that went on would hold the device and
    race with the next run of the same stage. The last checkpoint is all that counts.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(CHECK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
