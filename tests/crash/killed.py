"""A server that dies at a named crash point in the middle of a call, and its successor that ends the call's job."""
import os
import time


class Killed:
    """For a World."""

    calls = 0

    def restart(self, **environment):
        self.server.stop()
        self.server.start(**environment)
        type(self).api = self.server.api()

    def killed_during(self, point, method, path, body=None):
        """Calls with the crash point armed, restarts, and returns the ended job's (status, body); 404: killed before it was committed."""
        self.restart(RAMET_CRASH_POINT=point)
        Killed.calls += 1
        job = f"{Killed.calls:012x}4000800000000001{os.getpid() & 0xffff:04x}"[:32]
        try:
            self.api.send(method, "/zstack/v1" + path, body, {"X-Job-UUID": job})
        except OSError:
            pass  # it died before it could answer
        end = time.monotonic() + 30
        while self.server.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(-9, self.server.process.poll(), f"{point} was never passed")
        self.server.start()
        type(self).api = self.server.api()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
            if status != 202:
                self.assertIn(status, (200, 503, 404), text)
                return status, text
            time.sleep(0.1)
        self.fail(f"job {job} has not ended 60 s after the restart")
