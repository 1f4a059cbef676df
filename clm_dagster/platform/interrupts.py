"""Signals that arrive while a run is executed.

Belongs here: noticing Ctrl-C and SIGTERM. Does not: what happens to the run (`runs`).

Dagster replaces the handlers of these signals while it executes a run, and forgets some that arrive outside a step.
Python writes the number of every signal that has a handler to a file descriptor, whatever that handler does.
"""

import signal
import socket
import sys
import threading

from dagster._core.errors import DagsterExecutionInterruptedError

_STOPPING = {signal.SIGINT, signal.SIGTERM}


class ReceivedSignals:
    """Whether this process has received Ctrl-C or SIGTERM since this object was created, until `close`.

    Only the main thread can notice signals; in another one, none is ever received.
    """

    def __init__(self) -> None:
        self._is_main = threading.current_thread() is threading.main_thread()
        self._received = False
        if self._is_main:
            self._reader, self._writer = socket.socketpair()
            self._reader.setblocking(False)
            self._writer.setblocking(False)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
            self._previous = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)

    def received(self) -> bool:
        """Return whether such a signal has arrived."""
        if self._is_main and not self._received:
            try:
                self._received = bool(_STOPPING & set(self._reader.recv(4096)))
            except BlockingIOError:
                return False
        return self._received

    def _unraisable(self, error: "sys.UnraisableHookArgs") -> None:
        """Print what Python cannot raise, except for a signal inside a finalizer, which is noticed anyway."""
        if not issubclass(error.exc_type, (KeyboardInterrupt, DagsterExecutionInterruptedError)):
            self._hook(error)

    def close(self) -> bool:
        """Stop noticing signals. Return whether one has arrived."""
        found = self.received()
        if self._is_main:
            signal.set_wakeup_fd(self._previous)
            sys.unraisablehook = self._hook
            self._reader.close()
            self._writer.close()
        return found
