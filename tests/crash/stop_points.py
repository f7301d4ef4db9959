"""A server that stops at a named point (RAMET_STOP_POINT), so that a test can do something to the machine meanwhile."""
import contextlib
import pathlib
import signal
import threading
import time

CALL_SECONDS = 300  # more than a request is waited for


class StopPoints:
    """For a World."""

    def wait_until(self, holds, what, patience=90):
        end = time.monotonic() + patience
        while not holds():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.01)

    def end_of_job(self, job, point):
        """(status, text) of its answer."""
        self.wait_until(lambda: self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] != 202, f"the job does not end after {point}")
        status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
        return status, text

    def pid_of(self, vm):
        return int((pathlib.Path(self.server.data_dir) / "run" / vm / "pid").read_text().split()[0])

    def server_is_stopped(self):
        stat = pathlib.Path(f"/proc/{self.server.process.pid}/stat").read_text()
        return stat.rsplit(")", 1)[1].split()[0] in "Tt"

    @contextlib.contextmanager
    def stopped_at(self, point, call):
        """A new server, which `call` makes stop at the point; it goes on afterwards, whatever happened meanwhile, and the call has returned then."""
        self.server.stop()
        caller = threading.Thread(target=call, daemon=True)  # the answer may come after the stop
        try:
            self.server.start(RAMET_STOP_POINT=point)
            type(self).api = self.server.api()
            caller.start()
            self.wait_until(self.server_is_stopped, f"{point} was never passed", 20)
            yield
        finally:
            self.server.process.send_signal(signal.SIGCONT)
            if caller.ident is not None:
                caller.join(CALL_SECONDS)
                self.assertFalse(caller.is_alive(), f"the call that passed {point} does not return")
