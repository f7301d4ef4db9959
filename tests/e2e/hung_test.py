"""What hangs beside the server: QEMU processes that stand (SIGSTOP) and guest agents that say nothing. A cancel is answered in time, the doctor
says which VM it is, and a source that stood in the middle of a capture goes on as soon as its QEMU does."""
import contextlib
import os
import pathlib
import signal
import time
import unittest

from instants import InstantWorld

CANCEL_SECONDS = 2.0
DOCTOR_SECONDS = 3.0


class Hung(InstantWorld):
    def pid(self):
        return int((pathlib.Path(self.server.data_dir) / "run" / self.source["uuid"] / "pid").read_text().split()[0])

    @contextlib.contextmanager
    def hung(self):
        os.kill(self.pid(), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(), signal.SIGCONT)

    @contextlib.contextmanager
    def silent_agent(self, seconds=15):
        """The guest's own doing: nobody could tell an agent that hangs to go on."""
        self.agent.start(f"sleep 0.3; kill -STOP $(pidof qemu-ga); sleep {seconds}; kill -CONT $(pidof qemu-ga)")
        time.sleep(1)
        try:
            yield
        finally:
            self.agent.call("guest-ping", 60)

    def start(self, **more):
        body = {"cloneVmInstance": {"names": ["no"], **more}}
        InstantWorld.jobs += 1
        uuid = f"{int(time.time() * 1000):012x}4{InstantWorld.jobs:03x}8{os.getpid() & 0xffffff:015x}"
        status, text, _ = self.api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", body, {"X-Job-UUID": uuid})
        self.assertEqual(202, status, text)
        return uuid

    def cancel(self, job, after):
        """Seconds from the cancel to the job's end."""
        time.sleep(after)
        begun = time.monotonic()
        self.api.delete("/jobs/" + job)
        while self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] == 202 and time.monotonic() < begun + 60:
            time.sleep(0.02)
        took = time.monotonic() - begun
        print(f"cancelled in {took:.2f} s", flush=True)
        self.assertEqual("Canceled", self.api.get("/jobs/" + job)["state"])
        return took

    def assert_goes_on(self):
        self.counts_on(self.agent, 1)
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assertEqual([], self.api.rows("/vm-instances", "name=no"))
        self.assert_nothing_left_over()

    def test_a_cancel_while_the_agent_of_a_source_is_silent(self):
        for more in ({"memory": True}, {}, {"quiesce": "require"}):
            with self.subTest(**more), self.silent_agent():
                self.assertLess(self.cancel(self.start(**more), after=0.5), CANCEL_SECONDS)
        self.assert_goes_on()

    def test_a_cancel_while_the_qemu_of_a_source_hangs(self):
        for more in ({"memory": True}, {}, {"quiesce": "require"}):
            with self.subTest(**more), self.hung():
                self.assertLess(self.cancel(self.start(**more), after=0.7), CANCEL_SECONDS)
            self.assert_goes_on()

    def test_the_doctor_tells_of_a_vm_whose_qemu_hangs(self):
        with self.hung():
            begun = time.monotonic()
            report = self.api.get("/doctor")
            self.assertLess(time.monotonic() - begun, DOCTOR_SECONDS)
            told = [finding for invariant in report["invariants"] for finding in invariant["findings"]]
            self.assertEqual(1, len(told), told)
            for words in (self.source["uuid"], "web01", "does not answer", "ramet vm stop --cold"):
                self.assertIn(words, told[0])
        self.assert_goes_on()

    @contextlib.contextmanager
    def hung_at(self, point, act, restart=False):
        """Runs `act` while the server stands at a point of a capture; then QEMU hangs, and the server goes on."""
        self.server.stop()
        self.server.start(RAMET_STOP_POINT=point)
        type(self).api = self.server.api()
        job = act()
        stat = pathlib.Path(f"/proc/{self.server.process.pid}/stat")
        end = time.monotonic() + 30
        while stat.read_text().rsplit(")", 1)[1].split()[0] != "T":
            self.assertLess(time.monotonic(), end, f"the capture did not come to {point}")
            time.sleep(0.01)
        with self.hung():
            os.kill(self.server.process.pid, signal.SIGCONT)
            yield job
            if restart:
                self.server.stop(signal.SIGKILL)
        if restart:
            self.server.start()
            type(self).api = self.server.api()

    def goes_on_soon(self, seconds=10):
        """The guest itself says so: its agent answers and its counter counts."""
        end = time.monotonic() + seconds
        self.agent.call("guest-ping", seconds)
        self.assertLess(time.monotonic(), end)
        self.assert_goes_on()

    def test_a_cancel_in_the_middle_of_a_capture_leaves_no_source_that_stands(self):
        for point in ("qemu.memory.cut", "qemu.memory.streaming"):
            with self.subTest(point=point):
                with self.hung_at(point, lambda: self.start(memory=True)) as job:
                    self.assertLess(self.cancel(job, after=0.3), CANCEL_SECONDS)
                self.goes_on_soon()
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()

    def test_a_source_that_a_capture_stopped_goes_on_after_a_restart_too(self):
        with self.hung_at("qemu.memory.cut", lambda: self.start(memory=True), restart=True) as job:
            self.assertLess(self.cancel(job, after=0.3), CANCEL_SECONDS)
        self.goes_on_soon()


if __name__ == "__main__":
    unittest.main(verbosity=2)
