"""kill -9 of the server at every named crash point of a three-name clone: after a restart every job is terminal and nothing is left that nobody owns."""
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support import Agent, ApiError, World  # noqa: E402

ENGINE = ["step-before-intent", "step-after-intent", "step-after-effect", "step-after-done", "job-before-report", "job-after-report"]
STEPS = [f"{when}:{step}" for step in ("capture", "materialize", "boot") for when in ("run", "ran")]
CLONE = ["job-before-reserve", "job-after-reserve", "overlay-written", "captured-before-rows", "captured", "layer-written", "nic-plugged", "seed-written"]
QEMU = ["qemu.launched", "qemu.prelaunch", "qemu.snapshot.stopped", "qemu.snapshot.cut", "qemu.recorded", "storage.partial-whole", "storage.renamed"]
LATER = ["layer-written#2", "nic-plugged#3", "storage.renamed#3", "step-after-done#4", "run:boot#2"]  # at a later passage, when other clones are made already
UNDO = ["undo-after-intent", "undo-after-effect", "layers-doomed", "layer-file-removed", "volumes-demolished"]  # passed when the clone is cancelled or fails


FIRMWARE = ["firmware-taken", "firmware-given", "firmware-given#3", "qemu.tpm-launched", "qemu.snapshot.cut", "captured"]


class Kill(World):
    source_tags, clone_tags = [], []

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"], systemTags=cls.source_tags)
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping")
        cls.count = 0

    def restart(self, **environment):
        self.server.stop()
        self.server.start(**environment)
        type(self).api = self.server.api()

    def job_uuid(self):
        type(self).count += 1
        return f"{self.count:012x}4000800000000000{os.getpid() & 0xffff:04x}"[:32]

    def end_of(self, job, patience=60):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
            if status != 202:
                return status, text
            time.sleep(0.1)
        self.fail(f"job {job} has not ended {patience} s after the restart")

    def expunge_clones(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])

    def kill_at(self, point, fail_it=False):
        self.agent.run("echo x >> /root/log; sync")  # else the capture has nothing to do
        self.restart(RAMET_CRASH_POINT=point)
        job = self.job_uuid()
        body = {"cloneVmInstance": {"names": ["a", "b", "c"], "systemTags": self.clone_tags}}
        try:
            self.api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", body, {"X-Job-UUID": job})
            if fail_it:
                self.api.send("DELETE", "/zstack/v1/jobs/" + job)
        except OSError:
            pass  # it died before it could answer
        end = time.monotonic() + 30
        while self.server.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        passed = self.server.process.poll() is not None
        if not passed:
            self.end_of(job)
        else:
            self.assertEqual(-9, self.server.process.returncode)
            self.server.start()
            type(self).api = self.server.api()
            status, text = self.end_of(job)
            self.assertIn(status, (200, 503, 404), text)  # 404: killed before anything was committed
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assert_nothing_left_over()
        self.assertEqual("alive", self.agent.run("echo alive"))
        self.expunge_clones()
        self.assert_nothing_left_over()
        return passed

    def sweep(self, points):
        missed = []
        for point in points:
            with self.subTest(point=point):
                if not self.kill_at(point):
                    missed.append(point)
        self.assertEqual([], missed, "these crash points were never passed")

    def test_engine_points(self):
        self.sweep(ENGINE)

    def test_step_points(self):
        self.sweep(STEPS)

    def test_clone_points(self):
        self.sweep(CLONE)

    def test_hypervisor_and_storage_points(self):
        self.sweep(QEMU)

    def test_later_passages(self):
        self.sweep(LATER)

    def test_points_of_an_undo(self):
        reached = [point for point in UNDO if self.kill_at(point, fail_it=True)]
        self.assertNotEqual([], reached, "no cancelled clone passed any point of an undo")


@unittest.skipUnless(os.path.exists("/usr/bin/swtpm"), "swtpm is not installed")
class KillFirmware(Kill):
    """The same with a source that has a TPM, whose state goes to each clone."""

    source_tags, clone_tags = ["tpm::2.0"], ["tpmPolicy::copy"]
    test_engine_points = test_step_points = test_clone_points = test_hypervisor_and_storage_points = test_later_passages = test_points_of_an_undo = None

    def test_firmware_points(self):
        self.sweep(FIRMWARE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
