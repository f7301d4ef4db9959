"""kill -9 of QEMU, the source's or the clone's, at every step of an instant clone or a checkpoint with memory: the server is stopped at a named point, the
process is killed, and the server goes on. The call tells what became of the clone, a source that lives runs on, one that died shows as Stopped, and nothing
is left."""
import json
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from instants import COUNTER, InstantWorld, KeptWorld  # noqa: E402
from stop_points import StopPoints  # noqa: E402

CAPTURING = ("run:capture", "qemu.memory.stopped", "qemu.memory.cut", "qemu.memory.streaming", "qemu.memory.captured", "memory-captured-before-row")
KEEPING = ("run:keep", "qemu.memory.stopped", "qemu.memory.streaming", "qemu.memory.captured", "memory-captured-before-row", "captured")
KEPT_WITH_PROCESS = ("qemu.memory.loaded", "memory-resumed", "run:gate", "gate-passed")
WITHOUT_PROCESS = ("ran:capture", "memory-used", "qemu.recorded")
WITH_PROCESS = ("qemu.launched", "qemu.memory.loaded", "memory-resumed", "nic-plugged", "ran:resume", "run:gate", "gate-passed", "job-before-report")


class Killing(StopPoints):
    """For an InstantWorld."""

    def process_of_the_clone(self):
        """By its working directory: its pid file comes a moment later."""
        run, found = str(pathlib.Path(self.server.data_dir) / "run") + "/", []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                name = os.readlink(entry / "cwd").removeprefix(run)
            except OSError:
                continue
            if len(name) == 32 and name != self.source["uuid"]:
                found.append(int(entry.name))
        self.assertEqual(1, len(found), found)
        return found[0]

    def kill_at(self, point, victim, prepare=lambda: None, **more):
        """One clone, whose server stops at the point while `victim` says whose process is killed; whether it was made."""
        jobs = []
        try:
            with self.stopped_at(point, lambda: (prepare(), jobs.append(self.begin(["c"], **more)))):
                os.kill(victim(), signal.SIGKILL)
                time.sleep(0.2)  # until it has ended
        finally:  # else the next server would take the job up and stop in it before it is ready
            ends = [self.end_of_job(job, point) for job in jobs]
        status, text = ends[0]
        self.assertIn(status, (200, 503), text)
        made = status == 200 and json.loads(text)["result"]["numberOfClonedVm"] == 1
        if not made:
            self.assertIn("details", text)
        self.assertEqual(int(made), len(self.api.rows("/vm-instances", "name=c")), text)
        return made

    def revive_source(self):
        self.wait_until(lambda: self.api.vm(self.source["uuid"])["state"] == "Stopped", "a source that died does not show as Stopped")
        self.api.action(self.source["uuid"], "startVmInstance")
        self.agent.call("guest-ping", 90)
        self.agent.run(COUNTER)


class Killed(Killing, InstantWorld):
    def test_a_source_that_dies(self):
        for point in CAPTURING + WITHOUT_PROCESS:
            with self.subTest(point):
                made = self.kill_at(point, lambda: self.pid_of(self.source["uuid"]))
                self.assertTrue(made or point in CAPTURING, "a clone whose source was captured needs it no more")
                self.tearDown()
                self.revive_source()
                self.assertIn(f"VM {self.source['uuid']}: QEMU has ended", self.server.log_tail(20))  # not a child of this server: no code

    def test_a_clone_that_dies(self):
        for point in WITH_PROCESS:
            with self.subTest(point):
                made = self.kill_at(point, self.process_of_the_clone)
                self.assertFalse(made and point not in ("gate-passed", "job-before-report"), "it died before it was anybody's")
                if made:
                    clone = self.api.rows("/vm-instances", "name=c")[0]["uuid"]
                    self.wait_until(lambda: self.api.vm(clone)["state"] == "Stopped", "a clone that died does not show as Stopped")
                self.tearDown()
                self.counts_on(self.agent, 1)
                self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])


class KilledKept(Killing, KeptWorld):
    """The same when a checkpoint is taken, and when clones are made of it."""

    def checkpoints_after_a_kill_at(self, point):
        said = []

        def take():
            status, text, _ = self.api.send("POST", f"/zstack/v1/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "warm", "memory": True}})
            said.append((status, text))

        with self.stopped_at(point, take):
            os.kill(self.pid_of(self.source["uuid"]), signal.SIGKILL)
            time.sleep(0.2)  # until it has ended
        status, text = said[0]
        if status == 202:
            job = json.loads(text)["location"].rsplit("/", 1)[-1]
            status, text = self.end_of_job(job, point)
        found = self.api.rows("/checkpoints")
        self.assertEqual(int(status == 200), len(found), text)
        if status != 200:
            self.assertEqual(503, status, text)
            self.assertIn("details", text)
        return found

    def test_a_source_that_dies_while_its_checkpoint_is_taken(self):
        for point in KEEPING:
            with self.subTest(point):
                found = self.checkpoints_after_a_kill_at(point)
                self.assertEqual(len(found), len(self.images()), "memory is kept with its checkpoint or not at all")
                self.assertTrue(found or point not in ("memory-captured-before-row", "captured"), "all was captured already")
                for checkpoint in found:
                    (vm,) = self.clones_of(checkpoint, "after")
                    self.assertEqual("after", self.guest(vm).run("hostname", 60))
                self.tearDown()
                self.revive_source()

    def test_a_clone_of_a_checkpoint_that_dies(self):
        checkpoint = self.keep()
        for point in KEPT_WITH_PROCESS:
            with self.subTest(point):
                made = self.kill_at(point, self.process_of_the_clone, checkpoint=checkpoint)
                self.assertEqual(point in ("gate-passed", "job-before-report"), made, "it died before it was anybody's")
                for vm in self.api.rows("/vm-instances", "name=c"):
                    self.wait_until(lambda: self.api.vm(vm["uuid"])["state"] == "Stopped", "a clone that died does not show as Stopped")
                    self.expunge(vm["uuid"])
                self.assert_nothing_left_over()
                self.assertEqual(1, len(self.images()))
        self.assertEqual("well", self.guest(self.clones_of(checkpoint, "well")[0]).run("hostname", 60))


class KilledWaiting(Killing, KeptWorld):
    """The process is one that waited for a clone."""

    arguments = ("--ready-processes", "1")

    def test_a_process_that_waits_and_dies_costs_no_clone(self):
        checkpoint = self.keep()
        for when in ("before", "while it is taken"):
            with self.subTest(when):
                (waiting,) = self.wait_for_ready(1)
                if when == "before":
                    os.kill(waiting, signal.SIGKILL)
                    vm = self.clones_of(checkpoint, "c")[0]
                else:
                    made = self.kill_at("qemu.ready-taken", self.process_of_the_clone, lambda: self.wait_for_ready(1), checkpoint=checkpoint)
                    self.assertTrue(made, "another process can be started for it")
                    (vm,) = self.api.rows("/vm-instances", "name=c")
                self.assertEqual("c", self.guest(vm).run("hostname", 60))
                self.counts_on(self.guest(vm), 1)
                self.expunge(vm["uuid"])
                self.assert_nothing_left_over()


if __name__ == "__main__":
    unittest.main(verbosity=2)
