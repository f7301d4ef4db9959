"""kill -9 of the server, and of QEMU, at every named point of making a chain shorter: by FlattenVmInstance, of a VM that is off and one that runs, and by the
capture that finds a full chain. After a restart the job is terminal, the disks hold what they held, nothing is left that nobody owns."""
import os
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from chains import Written, make_writer_image  # noqa: E402
from stop_points import StopPoints  # noqa: E402
from support import World  # noqa: E402

STEP = ["run:flatten-0", "ran:flatten-0"]
OFFLINE = ["merge-reserved", "storage.partial-whole", "storage.renamed", "merged-before-rows", "merged", "layer-file-removed"]
ONLINE = ["qemu.stream.recorded", "qemu.stream.begun", "qemu.stream.whole", "shortened-before-rows", "shortened"]
ROOM = ["merge-reserved", "storage.renamed", "merged-before-rows", "merged", "layer-file-removed", "storage.renamed#2", "captured-before-rows"]
UNDO = ["undo-after-intent", "undo-after-effect"]


class MergeKill(StopPoints, World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        disk = pathlib.Path(cls.directory) / "writer.qcow2"
        make_writer_image(disk)
        cls.writer = cls.api.add_image(disk, name="writer")
        cls.set_merging("false")
        cls.count = 0

    @classmethod
    def set_merging(cls, value):
        cls.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": value}})

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    def restart(self, **environment):
        self.server.stop()
        self.server.start(**environment)
        type(self).api = self.server.api()

    def source(self, depth):
        """A stopped VM on a chain of this depth, and a clone that needs the layers between."""
        type(self).count += 1
        vm = Written(self, self.api.create_vm(f"s{self.count}", self.writer["uuid"], strategy="CreateStopped")).run()
        return vm, self.grow(vm, depth)

    def grow(self, vm, depth):
        while vm.depth() < depth:
            type(self).count += 1
            other = vm.clone(f"{vm.name}-{self.count}")
            vm.run()
        return other

    def job_uuid(self):
        type(self).count += 1
        return f"{self.count:012x}4000800000000001{os.getpid() & 0xffff:04x}"[:32]

    def killed_in(self, point, path, body, cancel=False):
        """Sends the call to a server that dies at `point`; True when it did. The next server has ended the job when this returns."""
        self.restart(RAMET_CRASH_POINT=point)
        job = self.job_uuid()
        try:
            self.api.send("PUT", "/zstack/v1" + path, body, {"X-Job-UUID": job})
            if cancel:
                self.api.send("DELETE", "/zstack/v1/jobs/" + job)
        except OSError:
            pass  # it died before it could answer
        end = time.monotonic() + 10
        while self.server.process.poll() is None and time.monotonic() < end and self.api_status(job) in (None, 202):
            time.sleep(0.02)
        time.sleep(0.1)
        died = self.server.process.poll() is not None
        if died:
            self.server.start()
            type(self).api = self.server.api()
        end = time.monotonic() + 30
        while (status := self.api_status(job)) == 202 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIn(status, (200, 503), point)
        return died

    def api_status(self, job):
        try:
            return self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0]
        except OSError:
            return None

    def assert_whole(self, vm, other):
        self.assert_nothing_left_over()
        self.assertEqual(self.api.get(f"/vm-instances/{vm.uuid}/lineage")["vms"][0]["depth"], vm.depth())
        for one in (vm, other):
            one.assert_content()

    def test_flattening_a_vm_that_is_off(self):
        missed = []
        for point in STEP + OFFLINE:
            with self.subTest(point=point):
                vm, other = self.source(3)
                if not self.killed_in(point, f"/vm-instances/{vm.uuid}/actions", {"flattenVmInstance": {}}):
                    missed.append(point)
                self.assertEqual(1, vm.depth())
                self.assert_whole(vm, other)
        self.assertEqual([], missed)

    def test_flattening_a_vm_that_runs(self):
        missed = []
        for point in ONLINE:
            with self.subTest(point=point):
                vm, other = self.source(4)
                vm.start_paused()
                if not self.killed_in(point, f"/vm-instances/{vm.uuid}/actions", {"flattenVmInstance": {}}):
                    missed.append(point)
                self.assertEqual("Paused", self.api.vm(vm.uuid)["state"])
                self.assertEqual(1, vm.depth())
                clone = vm.clone(f"{point}-clone")  # the disk can still be cut
                vm.resume()
                clone.assert_content()
                self.assert_whole(vm, other)
        self.assertEqual([], missed)

    def test_a_qemu_that_dies_while_its_disk_is_flattened(self):
        for point in ONLINE:
            with self.subTest(point=point):
                vm, other = self.source(4)
                vm.start_paused()
                job = self.job_uuid()
                flatten = lambda: self.api.send("PUT", f"/zstack/v1/vm-instances/{vm.uuid}/actions", {"flattenVmInstance": {}}, {"X-Job-UUID": job})  # noqa: E731
                with self.stopped_at(point, flatten):
                    time.sleep(0.3)  # what QEMU was told to do it does meanwhile
                    os.kill(self.pid_of(vm.uuid), signal.SIGKILL)
                    time.sleep(0.2)
                self.wait_until(lambda: self.api_status(job) != 202, f"the job does not end after {point}")
                self.wait_until(lambda: self.api.vm(vm.uuid)["state"] == "Stopped", "a VM that died does not show as Stopped")
                self.assertEqual(200 if point in ("qemu.stream.whole", "shortened-before-rows", "shortened") else 503, self.api_status(job))
                self.assert_whole(vm, other)

    def test_a_clone_whose_source_s_chain_is_full(self):
        missed = []
        vm, _ = self.source(3)
        for point in ROOM:
            with self.subTest(point=point):
                other = self.grow(vm, 8)
                if not self.killed_in(point, f"/vm-instances/{vm.uuid}/actions", {"cloneVmInstance": {"names": ["made-" + point], "strategy": "CreateStopped"}}):
                    missed.append(point)
                made = self.api.rows("/vm-instances", "name=made-" + point)
                self.assertEqual(1, len(made), point)
                clone = Written(self, made[0], vm.cells)
                for one in (vm, clone):
                    self.assertLess(one.depth(), 8)
                clone.assert_content()
                self.assert_whole(vm, other)
        self.assertEqual([], missed)

    def test_points_of_an_undo(self):
        reached = []
        for point in UNDO:
            vm, other = self.source(3)
            if self.killed_in(point, f"/vm-instances/{vm.uuid}/actions", {"flattenVmInstance": {}}, cancel=True):
                reached.append(point)
            self.assert_whole(vm, other)
        if not reached:
            self.skipTest("each flattening was quicker than its cancelling")


if __name__ == "__main__":
    unittest.main(verbosity=2)
