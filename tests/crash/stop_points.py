"""A server that stops at a named point (RAMET_STOP_POINT), so that a test can do something to the machine meanwhile."""
import contextlib
import pathlib
import signal
import threading
import time


class StopPoints:
    """For a World."""

    def wait_until(self, holds, what, patience=90):
        end = time.monotonic() + patience
        while not holds():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def pid_of(self, vm):
        return int((pathlib.Path(self.server.data_dir) / "run" / vm / "pid").read_text().split()[0])

    def server_is_stopped(self):
        stat = pathlib.Path(f"/proc/{self.server.process.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] in "Tt"

    @contextlib.contextmanager
    def stopped_at(self, point, call):
        """A new server, which `call` makes stop at the point; it goes on afterwards, and the call has returned then."""
        self.server.stop()
        self.server.start(RAMET_STOP_POINT=point)
        type(self).api = self.server.api()
        caller = threading.Thread(target=call)  # the answer may come after the stop
        caller.start()
        try:
            self.wait_until(self.server_is_stopped, f"{point} was never passed", 20)
            yield
        finally:
            self.server.process.send_signal(signal.SIGCONT)
            caller.join()
