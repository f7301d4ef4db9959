"""kill -9 of the server at the named crash points of snapshots, reverts and checkpoints: after a restart every job has ended, what it says is so,
and nothing is left that nobody owns."""
import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from killed import Killed  # noqa: E402
from support import Agent, World  # noqa: E402

STEP = ["step-after-intent", "step-after-effect", "job-after-reserve"]
CUT = ["overlay-written", "captured-before-rows", "captured", "qemu.snapshot.stopped", "qemu.snapshot.cut"]
REVERT = ["revert-overlay-written", "reverted", "layers-doomed", "layer-file-removed"]


class SnapshotKill(Killed, World):
    """The running VM `web01` is captured; the stopped VM `cold` is reverted."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"])
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping")
        cls.cold = cls.api.clone(cls.source["uuid"], ["cold"], strategy="CreateStopped")["inventories"][0]["inventory"]

    def check_whole(self):
        self.assert_nothing_left_over()
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assertEqual("alive", self.agent.run("echo alive"))

    def touch(self):
        self.agent.run("echo x >> /root/log; sync")  # else the capture has nothing to do

    def test_taking_a_group_of_a_running_vm(self):
        for point in STEP + CUT:
            with self.subTest(point=point):
                self.touch()
                body = {"params": {"rootVolumeUuid": self.source["rootVolumeUuid"], "name": point}}
                status, text = self.killed_during(point, "POST", "/volume-snapshots/group", body)
                groups, snapshots = self.api.rows("/volume-snapshots/group"), self.api.rows("/volume-snapshots")
                self.assertEqual((1, 1) if status == 200 else (0, 0), (len(groups), len(snapshots)), text)
                self.check_whole()
                for group in groups:
                    self.api.delete("/volume-snapshots/group/" + group["uuid"])
                self.check_whole()

    def test_making_a_checkpoint_of_a_running_vm(self):
        for point in CUT:
            with self.subTest(point=point):
                self.touch()
                status, text = self.killed_during(point, "POST", f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": point}})
                checkpoints = self.api.rows("/checkpoints")
                self.assertEqual(1 if status == 200 else 0, len(checkpoints), text)
                self.check_whole()
                for checkpoint in checkpoints:
                    self.api.delete("/checkpoints/" + checkpoint["uuid"])
                self.check_whole()

    def test_reverting_a_stopped_vm(self):
        for point in ["step-after-intent", "step-after-effect#2"] + REVERT:
            with self.subTest(point=point):
                root = self.cold["rootVolumeUuid"]
                kept = self.api.post(f"/volumes/{root}/volume-snapshots", {"params": {"name": point}})["inventory"]
                before = self.api.rows("/volumes", "uuid=" + root)[0]["installPath"]
                status, text = self.killed_during(point, "PUT", f"/volume-snapshots/{kept['uuid']}/actions", {"revertVolumeFromSnapshot": {}})
                self.assertEqual(200, status, text)
                self.assertNotEqual(before, self.api.rows("/volumes", "uuid=" + root)[0]["installPath"])
                self.assertFalse(os.path.exists(before))
                self.check_whole()
                self.api.delete("/volume-snapshots/" + kept["uuid"])
                self.check_whole()

    def test_deleting_what_keeps_the_last_hold_of_its_layers(self):
        for point in ("snapshots-deleted", "layers-doomed", "layer-file-removed"):
            with self.subTest(point=point):
                root = self.cold["rootVolumeUuid"]
                first = self.api.post(f"/volumes/{root}/volume-snapshots", {"params": {"name": "first"}})["inventory"]
                self.restart()
                vm = self.api.action(self.cold["uuid"], "startVmInstance")["inventory"]
                Agent(self.server.data_dir, vm["uuid"]).run("echo y > /root/y; sync", 90)
                self.api.action(self.cold["uuid"], "stopVmInstance", type="cold")
                second = self.api.post(f"/volumes/{root}/volume-snapshots", {"params": {"name": "second"}})["inventory"]
                self.api.put(f"/volume-snapshots/{first['uuid']}/actions", {"revertVolumeFromSnapshot": {}})
                status, text = self.killed_during(point, "DELETE", "/volume-snapshots/" + second["uuid"])
                self.assertEqual((200, {}), (status, json.loads(text)))
                self.assertFalse(os.path.exists(second["primaryStorageInstallPath"]))
                self.api.delete("/volume-snapshots/" + first["uuid"])
                self.check_whole()

    def test_deleting_a_checkpoint_and_cloning_from_one(self):
        self.touch()
        path = f"/vm-instances/{self.source['uuid']}/checkpoints"
        checkpoint = self.api.post(path, {"params": {"name": "kept"}})["inventory"]
        for point in ("job-after-reserve", "layer-written", "run:boot"):
            with self.subTest(point=point):
                body = {"cloneVmInstance": {"names": ["c"]}}
                status, text = self.killed_during(point, "PUT", f"/checkpoints/{checkpoint['uuid']}/actions", body)
                self.assertEqual((200, 1), (status, json.loads(text)["result"]["numberOfClonedVm"]))
                self.expunge(json.loads(text)["result"]["inventories"][0]["inventory"]["uuid"])
                self.check_whole()
        status, text = self.killed_during("checkpoint-deleted", "DELETE", "/checkpoints/" + checkpoint["uuid"])
        self.assertEqual((200, []), (status, self.api.rows("/checkpoints")))
        self.check_whole()

    def test_making_a_vm_and_a_volume_from_a_snapshot(self):
        kept = self.api.post(f"/volumes/{self.cold['rootVolumeUuid']}/volume-snapshots", {"params": {"name": "kept"}})["inventory"]
        network = self.cold["vmNics"][0]["l3NetworkUuid"]
        vm = {"name": "made", "cpuNum": 1, "memorySize": 128 << 20, "l3NetworkUuids": [network], "strategy": "CreateStopped"}
        for point in ("job-before-reserve", "job-after-reserve", "layer-written", "ran:materialize"):
            for path, params in (("/vm-instances/from/volume-snapshots/", vm), ("/volumes/data/from/volume-snapshots/", {"name": "made"})):
                with self.subTest(point=point, path=path):
                    status, text = self.killed_during(point, "POST", path + kept["uuid"], {"params": params})
                    self.assertEqual(404 if point == "job-before-reserve" else 200, status, text)
                    self.check_whole()
                    if status == 200:
                        self.remove_made(path, json.loads(text)["inventory"]["uuid"])
        self.api.delete("/volume-snapshots/" + kept["uuid"])
        self.check_whole()

    def remove_made(self, path, uuid):
        if path.startswith("/vm-instances"):
            return self.expunge(uuid)
        self.api.delete("/volumes/" + uuid)
        return self.api.put(f"/volumes/{uuid}/actions", {"expungeDataVolume": {}})


if __name__ == "__main__":
    unittest.main(verbosity=2)
