"""kill -9 of the server at the named crash points of groups with memory: after a restart every job has ended, what it says is so, and nothing is left
that nobody owns."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from instants import InstantWorld  # noqa: E402
from killed import Killed  # noqa: E402

CREATE = ["job-after-reserve", "step-after-intent", "overlay-written", "qemu.memory.stopped", "memory-captured-before-row", "captured-before-rows", "captured",
          "step-after-effect"]
REVERT = ["job-after-reserve", "step-after-intent", "revert-overlay-written", "step-after-effect#2", "step-after-intent#3", "revert-begun", "seed-written",
          "qemu.memory.loaded", "revert-resumed", "step-after-effect#3", "reverted", "layers-doomed", "layer-file-removed", "step-after-effect#4",
          "revert-links-up", "step-after-effect#5"]
DELETE = ["step-after-intent", "snapshots-deleted", "memory-doomed", "memory-removed"]


class SnapshotMemoryKill(Killed, InstantWorld):
    def tearDown(self):
        for group in self.api.rows("/volume-snapshots/group"):
            self.api.delete("/volume-snapshots/group/" + group["uuid"])
        self.api.action(self.source["uuid"], "stopVmInstance", type="cold")  # its process may map what was kept
        super().tearDown()
        self.api.action(self.source["uuid"], "startVmInstance")
        self.agent.call("guest-ping", 180)

    def body(self, name):
        return {"params": {"rootVolumeUuid": self.source["rootVolumeUuid"], "name": name, "withMemory": True}}

    def group(self, name):
        return self.api.post("/volume-snapshots/group", {"params": self.body(name)["params"]})["inventory"]

    def test_taking_a_group_with_memory(self):
        for point in CREATE:
            with self.subTest(point=point):
                self.agent.run("echo x >> /root/log; sync")
                status, text = self.killed_during(point, "POST", "/volume-snapshots/group", self.body(point))
                groups = self.api.rows("/volume-snapshots/group")
                self.assertEqual((1, 1) if status == 200 else (0, 0), (len(groups), len(self.images())), text)
                self.assert_nothing_left_over()
                self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
                self.assertEqual("alive", self.agent.run("echo alive"))
                for group in groups:
                    self.api.delete("/volume-snapshots/group/" + group["uuid"])
                self.assertEqual([], self.images())
                self.assert_nothing_left_over()

    def test_going_back_to_a_group_with_memory(self):
        self.agent.run("echo kept >/run/mark; echo kept >/root/mark; sync")
        group = self.group("kept")
        for point in REVERT:
            with self.subTest(point=point):
                self.agent.run("echo later >/run/mark; echo later >/root/mark; sync")
                self.api.action(self.source["uuid"], "stopVmInstance", type="cold")
                path = f"/volume-snapshots/group/{group['uuid']}/actions"
                status, text = self.killed_during(point, "PUT", path, {"revertVmFromSnapshotGroup": {}})
                self.assert_nothing_left_over()
                self.assertEqual((200, "Running"), (status, self.api.vm(self.source["uuid"])["state"]), text)
                self.assertEqual(["kept", "kept"], self.agent.run("cat /run/mark /root/mark", 60).split())
                self.assertEqual({}, self.violated())
                self.agent.run("echo later >/root/mark; sync")
                self.assertEqual(1, len(self.images()))

    def test_deleting_a_group_with_memory(self):
        for point in DELETE:
            with self.subTest(point=point):
                group = self.group(point)
                status, text = self.killed_during(point, "DELETE", "/volume-snapshots/group/" + group["uuid"])
                self.assertEqual((200, True), (status, json.loads(text)["results"][0]["success"]))
                self.assertEqual(([], []), (self.api.rows("/volume-snapshots/group"), self.images()))
                self.assert_nothing_left_over()


if __name__ == "__main__":
    unittest.main(verbosity=2)
