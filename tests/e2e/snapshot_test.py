"""Volume snapshots, groups and checkpoints on real guests: what was kept comes back, trees keep their shape, and deleting breaks nobody."""
import json
import os
import subprocess
import time
import unittest

from support import RAMET, Agent, Api, World

MIB = 1 << 20


class Snapshots(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"])
        cls.root = cls.source["rootVolumeUuid"]
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping")

    def tearDown(self):
        for snapshot in self.snapshots():
            self.api.delete("/volume-snapshots/" + snapshot["uuid"])
        for checkpoint in self.api.rows("/checkpoints"):
            self.api.delete("/checkpoints/" + checkpoint["uuid"])
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])
        for volume in self.api.rows("/volumes", "type=Data"):
            if "vmInstanceUuid" in volume:
                self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
            self.api.delete("/volumes/" + volume["uuid"])
            if "primaryStorageUuid" in volume:  # one that never had a disk is gone at once
                self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        self.assertEqual([], self.api.rows("/volume-snapshots/trees") + self.api.rows("/volume-snapshots/group"))
        self.assert_nothing_left_over()

    # --- what the tests do

    def snapshots(self, *conditions):
        return self.api.rows("/volume-snapshots", *conditions)

    def snapshot(self, name, volume=None):
        return self.api.post(f"/volumes/{volume or self.root}/volume-snapshots", {"params": {"name": name}})["inventory"]

    def generation_id(self):
        facts = self.api.get(f"/vm-instances/{self.source['uuid']}/identity")["facts"]
        return next(fact["newValue"] for fact in facts if fact["identifier"] == "vm-generation-id")

    def revert(self, snapshot):
        return self.api.put(f"/volume-snapshots/{snapshot['uuid']}/actions", {"revertVolumeFromSnapshot": {}})

    def group(self, name):
        return self.api.post("/volume-snapshots/group", {"params": {"rootVolumeUuid": self.root, "name": name}})["inventory"]

    def checkpoint(self, vm, name):
        return self.api.post(f"/vm-instances/{vm}/checkpoints", {"params": {"name": name}})["inventory"]

    def availability(self, group):
        return self.api.get("/volume-snapshots/groups/availabilities?uuids=" + group["uuid"])["results"][0]

    def state(self, action, **parameters):
        return self.api.action(self.source["uuid"], action, **parameters)

    def write(self, text, agent=None):
        (agent or self.agent).run(f"echo {text} > /root/note; sync", 90)

    def read(self, agent=None):
        return (agent or self.agent).run("cat /root/note", 90)

    def guest(self, vm):
        return Agent(self.server.data_dir, vm["uuid"])

    def shape(self):
        """name -> (parent's name, distance, latest, tree)"""
        rows = {row["uuid"]: row for row in self.snapshots(f"volumeUuid={self.root}")}
        return {row["name"]: (rows[row["parentUuid"]]["name"] if "parentUuid" in row else None, row["distance"], row["latest"], row["treeUuid"])
                for row in rows.values()}

    def data_volume(self, attach=True):
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 64 * MIB}})["inventory"]
        if attach:
            self.attach(volume)
        return volume

    def attach(self, volume):
        self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})

    def device(self, volume, agent=None, patience=60):
        find = f"for b in /sys/block/vd*; do [ \"$(cat $b/serial)\" = {volume['uuid'][:20]} ] && echo /dev/${{b##*/}}; done; true"
        end = time.monotonic() + patience
        while not (device := (agent or self.agent).run(find, 90)) and time.monotonic() < end:
            time.sleep(0.1)
        return device

    def write_raw(self, volume, text):
        self.agent.run(f"echo {text} | dd of={self.device(volume)} bs=512 conv=sync 2>/dev/null; sync")

    def read_raw(self, volume, agent=None):
        return (agent or self.agent).run(f"dd if={self.device(volume, agent)} bs=512 count=1 iflag=direct 2>/dev/null | head -n 1", 90)

    # --- snapshots

    def test_snapshots_running_paused_and_stopped_and_reverts_between_them(self):
        self.write("one")
        first = self.snapshot("first")
        self.write("two")
        self.state("pauseVmInstance")
        second = self.snapshot("second")
        self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
        self.state("resumeVmInstance")
        self.write("three")
        self.refused("VM.1010", "Stopped", call=lambda: self.revert(first))
        self.state("stopVmInstance", type="cold")
        third = self.snapshot("third")
        tree = third["treeUuid"]
        self.assertEqual({"first": (None, 1, False, tree), "second": ("first", 2, False, tree), "third": ("second", 3, True, tree)}, self.shape())
        self.assertEqual(("Ready", "Root", "qcow2", "Enabled", []), tuple(third[key] for key in ("status", "volumeType", "format", "state", "backupStorageRefs")))
        self.assertGreater(second["size"], 0)
        self.assertTrue(os.path.isfile(third["primaryStorageInstallPath"]))

        generation = self.generation_id()
        self.assertEqual({}, self.revert(first))
        self.assertNotEqual(generation, self.generation_id(), "what compares it with the one it remembers sees that it was taken back")
        self.assertTrue(self.shape()["first"][2])
        self.state("startVmInstance")
        self.assertEqual("one", self.read())
        self.write("other")
        branch = self.snapshot("branch")
        self.assertEqual(("first", 2, True, tree), self.shape()["branch"])
        nested = self.api.rows("/volume-snapshots/trees", "current=true")[0]["tree"]
        self.assertEqual("first", nested["inventory"]["name"])
        self.assertEqual({"second", "branch"}, {child["inventory"]["name"] for child in nested["children"]})
        self.assertEqual([first["uuid"]] * 2, [child["parentUuid"] for child in nested["children"]])

        # The root goes: its children become roots, and everything that stands on it stays whole.
        self.api.delete("/volume-snapshots/" + first["uuid"])
        shape = self.shape()
        self.assertEqual([(None, 1, False), ("second", 2, False), (None, 1, True)], [shape[name][:3] for name in ("second", "third", "branch")])
        self.assertEqual({shape["branch"][3]}, {row["uuid"] for row in self.api.rows("/volume-snapshots/trees", "current=true")})
        self.assertEqual("other", self.read())
        self.api.delete("/volume-snapshots/" + second["uuid"])
        self.state("stopVmInstance", type="cold")
        self.revert(third)
        self.api.delete("/volume-snapshots/" + branch["uuid"])
        self.state("startVmInstance")
        self.assertEqual("three", self.read())

    def test_a_detached_volume_is_kept_and_taken_back(self):
        volume = self.data_volume()
        self.write_raw(volume, "before")
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        kept = self.snapshot("kept", volume["uuid"])
        self.assertEqual("Data", kept["volumeType"])
        self.attach(volume)
        self.write_raw(volume, "after")
        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        self.revert(kept)
        self.attach(volume)
        self.assertEqual("before", self.read_raw(volume))

    def test_a_group_keeps_all_volumes_at_one_instant(self):
        volume = self.data_volume()
        self.write("a")
        self.write_raw(volume, "a")
        group = self.group("both")
        self.assertEqual((2, {"Root", "Data"}), (group["snapshotCount"], {ref["volumeType"] for ref in group["volumeSnapshotRefs"]}))
        self.assertEqual({group["uuid"]}, {row["groupUuid"] for row in self.snapshots()})
        self.assertEqual({"uuid": group["uuid"], "available": True}, self.availability(group))
        self.write("b")
        self.write_raw(volume, "b")
        result = self.api.clone(self.source["uuid"], ["of-group"], full=True, volumeSnapshotGroupUuid=group["uuid"])
        clone = result["inventories"][0]["inventory"]
        self.assertEqual("a", self.read(self.guest(clone)))
        data = next(row for row in clone["allVolumes"] if row["type"] == "Data")
        self.assertEqual("a", self.read_raw(data, self.guest(clone)))
        self.assertEqual("b", self.read())

        self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        self.assertIn("no longer attached", self.availability(group)["reason"])
        self.state("stopVmInstance", type="cold")
        path = f"/volume-snapshots/group/{group['uuid']}/actions"
        self.refused("SYS.1006", "attach it again", call=lambda: self.api.put(path, {"revertVmFromSnapshotGroup": {}}))
        self.attach(volume)
        results = self.api.put(path, {"revertVmFromSnapshotGroup": {}})["results"]
        self.assertEqual([True, True], [entry["success"] for entry in results])
        self.assertEqual({self.root, volume["uuid"]}, {entry["volumeUuid"] for entry in results})
        self.state("startVmInstance")
        self.assertEqual(("a", "a"), (self.read(), self.read_raw(volume)))
        renamed = self.api.put(path, {"updateVolumeSnapshotGroup": {"name": "renamed"}})["inventory"]
        self.assertEqual("renamed", renamed["name"])
        self.assertEqual(2, len(self.api.delete("/volume-snapshots/group/" + group["uuid"])["results"]))
        self.assertEqual([], self.snapshots())

    def test_groups_dissolve_and_snapshots_are_deleted_in_batches(self):
        group = self.group("g")
        self.assertEqual({}, self.api.delete("/volume-snapshots/ungroup/" + group["uuid"]))
        self.assertEqual((1, 0), (len(self.snapshots()), len(self.snapshots("groupUuid not null"))))
        second, third = self.group("g2"), self.snapshot("single")
        uuid = second["volumeSnapshotRefs"][0]["volumeSnapshotUuid"]
        self.api.put(f"/volume-snapshots/{third['uuid']}/actions", {"updateVolumeSnapshot": {"name": "renamed", "description": "why"}})
        self.assertEqual("why", self.snapshots("name=renamed")[0]["description"])
        answer = self.api.put("/volume-snapshots/batch-delete", {"batchDeleteVolumeSnapshot": {"uuids": [uuid, third["uuid"]]}})
        self.assertEqual((True, [True, True]), (answer["success"], [entry["success"] for entry in answer["results"]]))
        self.assertEqual([], self.api.rows("/volume-snapshots/group"))  # its only snapshot went
        self.assertEqual({}, self.api.delete("/volume-snapshots/" + third["uuid"]))

    def test_queries_reach_over_snapshots(self):
        kept = self.snapshot("q")
        for condition in (f"volume.vmInstanceUuid={self.source['uuid']}", "tree.current=true", "primaryStorage.state=Enabled", "name~=q%"):
            self.assertEqual([kept["uuid"]], [row["uuid"] for row in self.snapshots(condition)], condition)
        self.assertEqual([self.root], [row["uuid"] for row in self.api.rows("/volumes", "snapshot.name=q")])

    def test_snapshots_go_with_their_vm(self):
        vm = self.api.clone(self.source["uuid"], ["brief"], strategy="CreateStopped")["inventories"][0]["inventory"]
        self.snapshot("s1", vm["rootVolumeUuid"])
        self.api.post("/volume-snapshots/group", {"params": {"rootVolumeUuid": vm["rootVolumeUuid"], "name": "g"}})
        self.expunge(vm["uuid"])
        self.assertEqual([], self.snapshots() + self.api.rows("/volume-snapshots/group"))

    def test_refusals_say_what_to_do(self):
        volume = self.data_volume(attach=False)
        post = self.api.post
        self.refused("SYS.1006", "NotInstantiated", call=lambda: self.snapshot("x", volume["uuid"]))
        self.refused("SYS.1007", "CreateVolumeSnapshot", call=lambda: post("/volume-snapshots/group", {"params": {"rootVolumeUuid": volume["uuid"], "name": "x"}}))
        self.refused("SYS.1007", "name", call=lambda: post(f"/volumes/{self.root}/volume-snapshots", {"params": {}}))
        vm = self.api.clone(self.source["uuid"], ["other"], strategy="CreateStopped")["inventories"][0]["inventory"]
        checkpoint = self.checkpoint(vm["uuid"], "c")
        self.refused("SYS.1007", "/checkpoints/", call=lambda: self.api.clone(self.source["uuid"], ["x"], checkpointUuid=checkpoint["uuid"]))

    # --- VMs and volumes made from snapshots

    def vm_from(self, path, name, **more):
        network = self.source["vmNics"][0]["l3NetworkUuid"]
        params = {"name": name, "cpuNum": 1, "memorySize": 192 << 20, "l3NetworkUuids": [network], **more}
        return self.api.post("/vm-instances/from/volume-snapshots/" + path, {"params": params})["inventory"]

    def test_a_vm_made_from_a_snapshot_has_its_disk_and_outlives_it(self):
        self.write("kept")
        kept = self.snapshot("kept")
        self.write("later")
        vm = self.vm_from(kept["uuid"], "made", description="of monday")
        self.assertEqual(("Running", 192 << 20, "of monday", self.source["imageUuid"]), tuple(vm[key] for key in ("state", "memorySize", "description", "imageUuid")))
        self.assertEqual(kept["primaryStorageUuid"], vm["allVolumes"][0]["primaryStorageUuid"])
        self.assertNotEqual(self.source["vmNics"][0]["mac"], vm["vmNics"][0]["mac"])
        self.api.delete("/volume-snapshots/" + kept["uuid"])
        self.assertEqual(("kept", "later"), (self.read(self.guest(vm)), self.read()))
        clone = self.api.clone(vm["uuid"], ["of-made"], strategy="CreateStopped")["inventories"][0]["inventory"]
        self.assertEqual("Stopped", clone["state"])

    def test_a_vm_made_from_a_group_has_all_its_volumes(self):
        volume = self.data_volume()
        self.write_raw(volume, "a")
        group = self.group("g")
        self.write_raw(volume, "b")
        thick = {"dataVolumeSystemTags": ["volumeProvisioningStrategy::ThickProvisioning"]}
        vm = self.vm_from("group/" + group["uuid"], "made", **thick)
        data = next(row for row in vm["allVolumes"] if row["type"] == "Data")
        self.assertEqual("a", self.read_raw(data, self.guest(vm)))
        facts = json.loads(subprocess.run(["qemu-img", "info", "-U", "--output=json", data["installPath"]], check=True, capture_output=True, text=True).stdout)
        self.assertNotIn("backing-filename", facts)
        self.assertGreaterEqual(facts["actual-size"], 64 * MIB)
        stopped = self.vm_from("group/" + group["uuid"], "stopped", strategy="CreateStopped")
        self.assertEqual(("Stopped", 2), (stopped["state"], len(stopped["allVolumes"])))
        self.assertEqual({}, self.violated())

    def test_a_volume_made_from_a_snapshot_has_its_content(self):
        volume = self.data_volume()
        self.write_raw(volume, "monday")
        kept = self.snapshot("monday", volume["uuid"])
        self.write_raw(volume, "tuesday")
        zone = self.api.rows("/zones")[0]["uuid"]
        other = self.api.post("/primary-storage/local-storage", {"params": {"name": "third", "url": self.directory + "/third", "zoneUuid": zone}})["inventory"]
        path = "/volumes/data/from/volume-snapshots/" + kept["uuid"]
        linked, moved = (self.api.post(path, {"params": {"name": name, **more}})["inventory"] for name, more in (("linked", {}), ("moved", {"primaryStorageUuid": other["uuid"]})))
        self.assertEqual([("Ready", "Data", 64 * MIB)] * 2, [(row["status"], row["type"], row["size"]) for row in (linked, moved)])
        self.assertTrue(moved["installPath"].startswith(self.directory + "/third/"))
        self.api.delete("/volume-snapshots/" + kept["uuid"])
        for row in (linked, moved):
            self.attach(row)
            self.assertEqual("monday", self.read_raw(row))
        self.assertEqual("tuesday", self.read_raw(volume))
        self.assertEqual({}, self.violated())
        for row in (moved,):
            self.api.delete(f"/volumes/{row['uuid']}/vm-instances")
            self.api.delete("/volumes/" + row["uuid"])
            self.api.put(f"/volumes/{row['uuid']}/actions", {"expungeDataVolume": {}})
        self.api.delete("/primary-storage/" + other["uuid"])

    def test_what_cannot_be_made_from_a_snapshot_is_refused(self):
        kept = self.snapshot("kept")
        missing = "0" * 12 + "4000800000000000" + "0" * 4
        self.refused("SYS.1007", "strategy", call=lambda: self.vm_from(kept["uuid"], "x", strategy="JustCreate"))
        self.refused("SYS.1003", call=lambda: self.vm_from(missing, "x"))
        self.refused("SYS.1003", call=lambda: self.api.post("/volumes/data/from/volume-snapshots/" + missing, {"params": {"name": "x"}}))

    def test_a_repeated_call_with_its_key_is_one_snapshot_and_one_checkpoint(self):
        for path in (f"/volumes/{self.root}/volume-snapshots", f"/vm-instances/{self.source['uuid']}/checkpoints"):
            first, again = (self.api.send("POST", "/zstack/v1" + path, {"params": {"name": "once"}}, {"Idempotency-Key": "once" + path[-9:]})[:2] for _ in range(2))
            self.assertEqual((200, first), (first[0], again), path)
        self.assertEqual((1, 1), (len(self.snapshots("name=once")), len(self.api.rows("/checkpoints", "name=once"))))

    # --- checkpoints

    def test_a_checkpoint_outlives_its_vm_and_the_server(self):
        vm = self.api.clone(self.source["uuid"], ["warm"])["inventories"][0]["inventory"]
        self.write("warm", self.guest(vm))
        self.api.action(vm["uuid"], "updateVmInstance", description="a description")
        checkpoint = self.checkpoint(vm["uuid"], "kept")
        self.assertEqual(("warm", "Running", 1), (checkpoint["vmInstanceName"], checkpoint["vmInstanceState"], len(checkpoint["volumes"])))
        layer = next((self.server.data_dir / "primary").rglob(vm["rootVolumeUuid"] + ".qcow2"))  # sealed by the checkpoint
        self.write("later", self.guest(vm))
        beside = self.api.clone(vm["uuid"], ["beside"], strategy="CreateStopped", checkpointUuid=checkpoint["uuid"])["inventories"][0]["inventory"]
        self.assertEqual("later", self.read(self.guest(vm)))
        self.expunge(vm["uuid"])
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()
        path = f"/checkpoints/{checkpoint['uuid']}/actions"
        result = self.api.put(path, {"cloneVmInstance": {"names": ["again"], "systemTags": ["packer"]}})["result"]
        self.assertEqual(1, result["numberOfClonedVm"])
        again = result["inventories"][0]["inventory"]
        self.assertEqual(("again", "Running", "a description"), (again["name"], again["state"], again["description"]))
        self.assertEqual("warm", self.read(self.guest(again)))
        self.assertNotEqual(vm["vmNics"][0]["mac"], again["vmNics"][0]["mac"])
        # Deleting it works while clones stand on it, and they do not notice.
        self.assertEqual({}, self.api.delete("/checkpoints/" + checkpoint["uuid"]))
        self.assertEqual([], self.api.rows("/checkpoints"))
        self.api.action(beside["uuid"], "startVmInstance")
        self.assertEqual("warm", self.read(self.guest(beside)))
        self.expunge(again["uuid"])
        self.assertTrue(layer.exists())
        self.expunge(beside["uuid"])  # the last that needs it
        self.assertFalse(layer.exists())

    def test_a_kept_vm_can_be_copied_to_another_storage(self):
        zone = self.api.rows("/zones")[0]["uuid"]
        params = {"name": "second", "url": self.directory + "/second", "zoneUuid": zone}
        other = self.api.post("/primary-storage/local-storage", {"params": params})["inventory"]
        group = self.group("g")
        result = self.api.clone(self.source["uuid"], ["moved"], strategy="CreateStopped", volumeSnapshotGroupUuid=group["uuid"],
                                primaryStorageUuidForRootVolume=other["uuid"])
        root = result["inventories"][0]["inventory"]["allVolumes"][0]
        facts = subprocess.run(["qemu-img", "info", "--output=json", "-f", "qcow2", root["installPath"]], check=True, capture_output=True, text=True)
        self.assertNotIn("backing-filename", json.loads(facts.stdout))
        checkpoint = self.checkpoint(root["vmInstanceUuid"], "there")
        self.expunge(root["vmInstanceUuid"])
        self.refused("SYS.1006", "volume of a checkpoint", call=lambda: self.api.delete("/primary-storage/" + other["uuid"]))
        self.api.delete("/checkpoints/" + checkpoint["uuid"])
        self.api.delete("/primary-storage/" + other["uuid"])

    # --- accounts and the command line

    def test_accounts_see_and_touch_their_own_only(self):
        self.snapshot("admins")
        checkpoint = self.checkpoint(self.source["uuid"], "admins")
        digest = __import__("hashlib").sha512(b"secret").hexdigest()
        account = self.api.post("/accounts", {"params": {"name": "someone", "password": digest}})["inventory"]
        someone = Api(self.server.url, "someone", "secret")
        try:
            for path in ("/volume-snapshots", "/volume-snapshots/trees", "/volume-snapshots/group", "/checkpoints"):
                self.assertEqual([], someone.rows(path), path)
            mine = self.snapshots()[0]["uuid"]
            for code, call in (("SYS.1006", lambda: someone.delete("/volume-snapshots/" + mine)),
                               ("SYS.1006", lambda: someone.put(f"/volume-snapshots/{mine}/actions", {"revertVolumeFromSnapshot": {}})),
                               ("ID.1002", lambda: someone.put("/volume-snapshots/batch-delete", {"batchDeleteVolumeSnapshot": {"uuids": [mine]}})),
                               ("SYS.1006", lambda: someone.post(f"/volumes/{self.root}/volume-snapshots", {"params": {"name": "x"}})),
                               ("ID.1002", lambda: someone.post("/volume-snapshots/group", {"params": {"rootVolumeUuid": self.root, "name": "x"}})),
                               ("SYS.1006", lambda: someone.post(f"/vm-instances/{self.source['uuid']}/checkpoints", {"params": {"name": "x"}})),
                               ("SYS.1006", lambda: someone.put(f"/checkpoints/{checkpoint['uuid']}/actions", {"cloneVmInstance": {"names": ["x"]}})),
                               ("SYS.1006", lambda: someone.delete("/checkpoints/" + checkpoint["uuid"]))):
                self.refused(code, "permission denied", call=call)
        finally:
            self.api.delete("/accounts/" + account["uuid"])

    def ramet(self, *arguments, code=0):
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        done = subprocess.run([RAMET, *arguments], env=environment, capture_output=True, text=True, timeout=90)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_the_command_line(self):
        self.ramet("snapshot", "create", "web01", "cli-group")
        self.ramet("snapshot", "create", "--volume", self.root, "cli-volume")
        listed = self.ramet("snapshot", "list")
        self.assertIn("cli-group", listed)
        self.assertIn("cli-volume", listed)
        self.assertIn("cli-group", self.ramet("snapshot", "list", "--groups"))
        self.assertIn("needs it to be one of [Stopped]", self.ramet("snapshot", "revert", "cli-volume", code=1))
        cloned = json.loads(self.ramet("-o", "json", "clone", "--snapshot", "cli-group", "of-snapshot", "--strategy", "CreateStopped"))
        self.assertEqual("of-snapshot", cloned["result"]["inventories"][0]["inventory"]["name"])
        self.assertNotIn("capture", cloned["result"], "nothing was captured")
        self.ramet("snapshot", "revert", self.snapshot("of-clone", cloned["result"]["inventories"][0]["inventory"]["rootVolumeUuid"])["uuid"])
        self.ramet("vm", "create", "cli-made", "--snapshot", "cli-group", "--strategy", "CreateStopped")
        self.ramet("vm", "create", "cli-made-2", "--snapshot", "cli-volume", "--strategy", "CreateStopped")
        self.assertEqual(2, len(self.api.rows("/vm-instances", "name~=cli-made%")))
        self.assertIn("Ready", self.ramet("volume", "create", "cli-data", "--snapshot", "cli-volume"))
        self.assertIn("--image", self.ramet("vm", "create", "cli-none", code=2))
        self.assertIn("cli-renamed", self.ramet("snapshot", "update", "cli-group", "--name", "cli-renamed"))
        self.assertIn("of the volume", self.ramet("-o", "json", "snapshot", "update", "cli-volume", "--description", "of the volume"))
        self.assertIn("--name", self.ramet("snapshot", "update", "cli-volume", code=2))
        members = self.api.rows("/volume-snapshots", "groupUuid=" + self.api.rows("/volume-snapshots/group", "name=cli-renamed")[0]["uuid"])
        self.ramet("snapshot", "ungroup", "cli-renamed")
        self.assertEqual([], self.api.rows("/volume-snapshots/group", "name=cli-renamed"))
        self.assertGreater(len(members), 0)
        for member in members:
            self.ramet("snapshot", "delete", member["uuid"])
        self.ramet("snapshot", "delete", "cli-volume")
        self.assertIn("there is no snapshot named", self.ramet("snapshot", "delete", "cli-volume", code=1))
        self.ramet("checkpoint", "create", "web01", "cli-warm")
        self.ramet("checkpoint", "create", "web01")
        self.assertEqual(2, self.ramet("checkpoint", "list").count("web01 "))
        self.assertIn("clone-2", self.ramet("clone", "--checkpoint", "cli-warm", "clone-{1..2}", "--strategy", "CreateStopped"))
        self.ramet("checkpoint", "delete", "cli-warm")
        data = self.api.post("/volumes/data", {"params": {"name": "cli-more", "diskSize": 16 << 20}})["inventory"]["uuid"]
        self.api.post(f"/volumes/{data}/vm-instances/{self.source['uuid']}", {"params": {}})
        self.ramet("clone", "web01", "cli-full", "--full", "--copy", "linked", "--strategy", "CreateStopped")
        self.api.delete(f"/volumes/{data}/vm-instances")
        self.api.delete("/volumes/" + data)
        paths = lambda: {volume["type"]: volume["installPath"] for volume in self.api.rows("/vm-instances", "name=cli-full")[0]["allVolumes"]}  # noqa: E731
        linked = paths()
        self.ramet("vm", "flatten", "cli-full", "--root-only")
        self.assertEqual({"Root": False, "Data": True}, {kind: path == linked[kind] for kind, path in paths().items()})
        self.ramet("vm", "flatten", "cli-full")
        self.assertNotEqual(linked["Data"], paths()["Data"])
        self.assertIn("names of the clones", self.ramet("clone", "web01", code=2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
