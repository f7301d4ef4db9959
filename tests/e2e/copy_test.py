"""How disks are copied: dry run, linked, reflink, full, thick; all or nothing; bandwidth, cancel, crash. On files and rows, without booting a guest."""
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import sqlite3
import subprocess
import time
import unittest

from chains import Written, make_writer_image
from support import RAMET, ApiError, World

KIB, MIB = 1 << 10, 1 << 20
THICK = ["volumeProvisioningStrategy::ThickProvisioning"]


def derived(parent, name):
    """base/id.cpp: the uuid that follows from a parent's and a name."""
    octets = bytearray(hashlib.blake2b(f"{parent}/{name}".encode(), digest_size=16).digest())
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    return octets.hex()


def new_job():
    token = secrets.token_hex(16)
    return token[:12] + "4" + token[13:16] + "8" + token[17:]


class Copy(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Bytes on the disk are measured around calls here: nothing else may write meanwhile.
        cls.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": "false"}})
        cls.primary = cls.server.data_dir / "primary"
        cls.source = cls.api.create_vm("web01", cls.image["uuid"], strategy="CreateStopped")
        cls.path = f"/vm-instances/{cls.source['uuid']}/actions"

    def setUp(self):
        self.clones_before = {vm["uuid"] for vm in self.api.rows("/vm-instances")}

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] not in self.clones_before:
                self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    # --- helpers

    def clone(self, *names, source=None, **more):
        result = self.api.clone((source or self.source)["uuid"], list(names), strategy="CreateStopped", **more)
        return [entry["inventory"] for entry in result["inventories"]]

    def plan(self, *names, source=None, **more):
        return self.api.clone((source or self.source)["uuid"], list(names), strategy="CreateStopped", dryRun=True, **more)["plan"]

    def rows_dump(self):
        """Every row of every table; a session's sliding expiry, which any call moves, is left out."""
        with sqlite3.connect(f"file:{self.server.data_dir}/ramet.db?mode=ro", uri=True) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") if "session" not in name.lower()]
            return {table: sorted(map(repr, database.execute(f'SELECT * FROM "{table}"'))) for table in tables}

    def files(self, root=None):
        found = {}
        for folder in (root or self.primary, self.server.data_dir / "seeds", self.server.data_dir / "images"):
            for path in pathlib.Path(folder).rglob("*"):
                status = path.lstat()
                found[str(path)] = (status.st_size, status.st_mtime_ns) if path.is_file() else "directory"
        return found

    def occupied(self, root=None):
        return sum(path.lstat().st_blocks * 512 for path in pathlib.Path(root or self.primary).rglob("*") if path.is_file())

    def assert_same_disk(self, vm, source=None):
        path = vm["allVolumes"][0]["installPath"]
        below = self.api.vm((source or self.source)["uuid"])["allVolumes"][0]["installPath"]
        done = subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", below, path], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)

    def assert_flat(self, vm):
        facts = json.loads(subprocess.run(["qemu-img", "info", "--output=json", "-f", "qcow2", vm["allVolumes"][0]["installPath"]], check=True, capture_output=True, text=True).stdout)
        self.assertNotIn("backing-filename", facts)

    def storage(self, name, url):
        zone = self.api.rows("/zones")[0]["uuid"]
        return self.api.post("/primary-storage/local-storage", {"params": {"name": name, "url": url, "zoneUuid": zone}})["inventory"]

    def loop_mount(self, make):
        """A file system in a file, or a skip that says why there is none."""
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        if not shutil.which(make[0]):
            self.skipTest(f"{make[0]} is not installed: ./dev setup all")
        image, folder = pathlib.Path(self.directory) / (make[0] + ".img"), pathlib.Path(self.directory) / make[0]
        with open(image, "wb") as file:
            file.truncate(2 << 30)
        subprocess.run([*make, str(image)], check=True, capture_output=True)
        folder.mkdir()
        done = subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True, text=True)
        if done.returncode != 0:
            self.skipTest("no loop mounts here: " + done.stderr.strip())
        self.addCleanup(lambda: (subprocess.run(["umount", "-l", str(folder)], check=True), image.unlink()))
        return folder

    # --- the plan

    def test_a_dry_run_changes_nothing_and_tells_what_the_call_then_does(self):
        for names, more, strategy in ((["l1", "l2"], {}, None), (["k1"], {"copy": "linked"}, "linked"), (["f1", "f2"], {"copy": "full"}, "full"), (["t1"], {"rootVolumeSystemTags": THICK}, "full")):
            with self.subTest(more=more):
                rows, files = self.rows_dump(), self.files()
                plan = self.plan(*names, **more)
                self.assertEqual((rows, files), (self.rows_dump(), self.files()))
                volume = plan["volumes"][0]
                self.assertEqual(strategy or volume["strategy"], volume["strategy"])
                self.assertGreater(len(volume["reason"]), 20)
                before = self.occupied()
                made = self.clone(*names, **more)
                written = self.occupied() - before
                self.assertAlmostEqual(plan["bytesToWrite"], written, delta=0.05 * written)
                self.assertGreaterEqual(plan["estimatedMilliseconds"], 1)
                self.assertIn("ms per clone", plan["estimateBasis"])
                for told, vm in zip(plan["clones"], made):
                    nic = vm["vmNics"][0]
                    self.assertEqual((told["name"], told["hostUuid"], told["nics"][0]["mac"], told["nics"][0]["ip"]), (vm["name"], vm["lastHostUuid"], nic["mac"], nic["ip"]))
                    self.assertEqual(volume["primaryStorageUuid"], vm["allVolumes"][0]["primaryStorageUuid"])
                    self.assert_same_disk(vm)

    def test_a_dry_run_tells_the_bytes_of_compressed_images_chains_and_data_volumes_within_five_percent(self):
        plain, packed = f"{self.directory}/plain.qcow2", f"{self.directory}/packed.qcow2"
        make_writer_image(plain)
        # Clusters that are full, that are partly zeros, and that hold nothing but zeros.
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 12M 6M", *(word for i in range(40) for word in ("-c", f"write -P 9 {20 * 1024 + 128 * i}k 12k")), "-c", "write -P 0 30M 1M", plain], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", plain, packed], check=True)
        images = [self.api.add_image(path, name=os.path.basename(path)) for path in (plain, packed)]
        volume = self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 24 * MIB}})["inventory"]
        for image in images:
            source = Written(self, self.api.create_vm("source", image["uuid"], strategy="CreateStopped")).run()
            child = source.clone("child").run().clone("grandchild").run()  # layers of an image, a source, a clone and a clone of that
            self.assertGreater(child.depth(), 2)
            self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{child.uuid}", {"params": {}})
            for more in ({"copy": "full"}, {"copy": "full", "full": True}, {"copy": "linked", "full": True}, {"copy": "full", "full": True, "rootVolumeSystemTags": THICK}):
                with self.subTest(image=image["name"], more=more):
                    plan = self.plan("p1", "p2", source={"uuid": child.uuid}, **more)
                    before = self.occupied()
                    made = self.clone("p1", "p2", source={"uuid": child.uuid}, **more)
                    written = self.occupied() - before
                    self.assertAlmostEqual(plan["bytesToWrite"], written, delta=0.05 * written)
                    self.assertEqual(2 if "full" in more else 1, len(made[0]["allVolumes"]))
                    for vm in made:
                        self.expunge(vm["uuid"])
                        for data in (one["uuid"] for one in vm["allVolumes"] if one["type"] == "Data"):
                            self.api.delete("/volumes/" + data)
                            self.api.put(f"/volumes/{data}/actions", {"expungeDataVolume": {}})
            self.api.delete(f"/volumes/{volume['uuid']}/vm-instances")
        self.api.delete("/volumes/" + volume["uuid"])
        self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
        for image in images:
            self.api.delete("/images/" + image["uuid"])
            self.api.put(f"/images/{image['uuid']}/actions", {"expungeImage": {"imageUuid": image["uuid"]}})

    def test_a_dry_run_is_answered_at_once_and_keeps_no_job_even_when_a_job_is_asked_for(self):
        rows, job = self.rows_dump(), new_job()
        for body, expected in (({"names": ["x"], "dryRun": True}, 200), ({"names": ["x"], "dryRun": True, "copy": "linked", "rootVolumeSystemTags": THICK}, 503)):
            status, text, _ = self.api.send("PUT", "/zstack/v1" + self.path, {"cloneVmInstance": body}, {"X-Job-UUID": job})
            self.assertIn(status, (expected, 400) if expected != 200 else (200,), text)
        self.assertEqual(404, self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0])
        self.assertEqual(rows, self.rows_dump())

    def test_a_dry_run_fails_as_the_call_does(self):
        network = self.source["vmNics"][0]["l3NetworkUuid"]
        taken = self.source["vmNics"][0]
        cases = ({"copy": "linked", "rootVolumeSystemTags": THICK}, {"vmNicParams": [{"l3NetworkUuid": network, "ip": taken["ip"]}]},
                 {"vmNicParams": [{"l3NetworkUuid": network, "mac": taken["mac"]}]}, {"vmNicParams": [{"l3NetworkUuid": network, "ip": "192.0.2.1"}]},
                 {"names": ["  "]}, {"systemTags": ["no such pattern"]}, {"memory": "maybe"}, {"copy": "clever"}, {"primaryStorageUuidForRootVolume": "0" * 32},
                 {"rootVolumeSystemTags": ["volumeProvisioningStrategy::Fat"]})
        for case in cases:
            with self.subTest(case=case):
                seen = []
                for dry_run in (True, False):
                    with self.assertRaises(ApiError) as caught:
                        self.api.action(self.source["uuid"], "cloneVmInstance", **{"names": ["x"], "strategy": "CreateStopped", **case, "dryRun": dry_run})
                    seen.append((caught.exception.status, caught.exception.code, caught.exception.error.get("details")))
                self.assertEqual(seen[0], seen[1])

    def test_the_command_line_prints_the_plan(self):
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        before = self.api.get("/jobs?count=true")["total"]
        done = subprocess.run([RAMET, "clone", "web01", "cli-{1..3}", "--dry-run", "--copy", "full", "--bandwidth", "50M"], env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stderr)
        for word in ("STRATEGY", "full", "cli-1", "cli-3", "MAC", "fa:", "nothing has been changed", "bandwidth"):
            self.assertIn(word, done.stdout)
        self.assertEqual([], self.api.rows("/vm-instances", "name~=cli-%"))
        self.assertEqual(before, self.api.get("/jobs?count=true")["total"])

    # --- the choices

    def test_a_choice_that_cannot_be_had_is_an_error_that_names_field_and_reason(self):
        other = self.storage("other", self.directory + "/other")
        self.refused("SYS.1007", "copy:", "linked", "rootVolumeSystemTags", call=lambda: self.clone("x", copy="linked", rootVolumeSystemTags=THICK))
        self.refused("SYS.1007", "copy:", "linked", "primaryStorageUuidForRootVolume", call=lambda: self.clone("x", copy="linked", primaryStorageUuidForRootVolume=other["uuid"]))
        self.refused("SYS.1007", "copy:", "reflink", "thick", call=lambda: self.clone("x", copy="reflink", rootVolumeSystemTags=THICK))
        kind = subprocess.run(["stat", "-f", "-c", "%T", str(self.primary)], capture_output=True, text=True).stdout.strip()
        if kind in ("xfs", "btrfs"):
            self.skipTest(f"the data directory is on {kind}, which can share blocks")
        self.refused("SYS.1007", "copy:", "reflink", "share blocks", call=lambda: self.clone("x", copy="reflink"))
        self.assertEqual("linked", self.plan("x")["volumes"][0]["strategy"])
        self.api.delete("/primary-storage/" + other["uuid"])

    def check_reflink(self, make):
        folder = self.loop_mount(make)
        storage = self.storage(make[0], str(folder / "ps"))
        source = self.api.create_vm("on-" + make[0], self.image["uuid"], strategy="CreateStopped", primaryStorageUuidForRootVolume=storage["uuid"])
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        plan = self.plan("r", source=source, copy="reflink")
        self.assertEqual("reflink", plan["volumes"][0]["strategy"])
        self.assertLess(plan["bytesToWrite"], MIB)
        vm = self.clone("r", source=source, copy="reflink")[0]
        subprocess.run(["sync", "-f", str(folder)], check=True)
        self.assertLess(free - os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize, 8 * MIB)
        self.assert_flat(vm)
        self.assert_same_disk(vm, source)
        few = self.plan("a", source=source)["volumes"][0]
        many = self.plan(*(f"m{i}" for i in range(100)), source=source)["volumes"][0]
        self.assertEqual("linked", many["strategy"])
        self.assertIn("extents", many["reason"])
        self.assertIn(few["strategy"], ("reflink", "linked"))
        if few["strategy"] == "linked":
            self.assertIn("extents", few["reason"])
        self.expunge(source["uuid"])
        for one in self.api.rows("/vm-instances"):
            if one["uuid"] not in self.clones_before:
                self.expunge(one["uuid"])
        self.api.delete("/primary-storage/" + storage["uuid"])
        subprocess.run(["chattr", "-R", "-f", "-i", str(folder)], check=False)

    def test_reflink_on_xfs_is_flat_and_takes_no_room(self):
        self.check_reflink(["mkfs.xfs", "-q", "-m", "reflink=1"])

    def test_reflink_on_btrfs_is_flat_and_takes_no_room(self):
        self.check_reflink(["mkfs.btrfs", "-q"])

    def test_a_full_copy_is_flat_sparse_and_equal_and_a_thick_one_occupies_its_size(self):
        full = self.clone("full", copy="full")[0]
        self.assert_flat(full)
        self.assert_same_disk(full)
        self.assertLess(os.stat(full["allVolumes"][0]["installPath"]).st_blocks * 512, full["allVolumes"][0]["size"] / 2)
        root = self.api.create_vm("thick", self.image["uuid"], strategy="CreateStopped", rootVolumeSystemTags=THICK)
        self.assert_flat(root)
        self.assert_same_disk(root)
        self.assertGreaterEqual(os.stat(root["allVolumes"][0]["installPath"]).st_blocks * 512, root["allVolumes"][0]["size"])

    # --- room

    def small_storage(self, bytes_free):
        """A primary storage of its own with so much room beside its reserve."""
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        folder = pathlib.Path(self.directory) / "small"
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={(1 << 30) + bytes_free},mode=711", "tmpfs", str(folder)], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(folder)], check=True))
        storage = self.storage("small", str(folder / "ps"))
        self.addCleanup(lambda: self.api.delete("/primary-storage/" + storage["uuid"]))
        return storage["uuid"]

    def test_a_copy_that_cannot_fit_is_refused_up_front_and_what_is_promised_is_taken(self):
        size = self.source["allVolumes"][0]["size"]
        small = self.small_storage(size + size // 2)
        thick = {"primaryStorageUuidForRootVolume": small, "rootVolumeSystemTags": THICK}
        for refused in (lambda: self.clone("a", "b", **thick), lambda: self.plan("a", "b", **thick),
                        lambda: self.api.create_vm("c", self.image["uuid"], strategy="CreateStopped", dataDiskSizes=[2 * size], dataVolumeSystemTags=THICK,
                                                   primaryStorageUuidForRootVolume=small),
                        lambda: self.api.post("/volumes/data", {"params": {"name": "d", "diskSize": 2 * size, "primaryStorageUuid": small, "systemTags": THICK}})):
            self.assertRegex(str(self.refused("PS.1000", "small", "delete what is not needed", call=refused)), r"\d+ bytes (required|wanted), \d+ (available|free)")
        job = new_job()
        body = {"cloneVmInstance": {"names": ["slow"], "strategy": "CreateStopped", "bandwidth": MIB, **thick}}
        self.assertEqual(202, self.api.send("PUT", "/zstack/v1" + self.path, body, {"X-Job-UUID": job})[0])
        with self.assertRaises(ApiError) as caught:  # the first has hardly begun, and its room is taken all the same
            self.clone("late", **thick)
        self.assertIn("PS.1000", str(caught.exception))
        self.api.delete("/jobs/" + job)
        end = time.monotonic() + 30
        while self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] == 202 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual("late", self.clone("late", **thick)[0]["name"])
        for vm in self.api.rows("/vm-instances", "name=late"):
            self.expunge(vm["uuid"])

    def test_linked_clones_of_a_large_disk_need_no_room_for_it(self):
        source = self.api.create_vm("large", self.image["uuid"], strategy="CreateStopped", rootDiskSize=100 << 30)
        self.clones_before.add(source["uuid"])
        self.assertEqual(50, len(self.clone(*(f"large-{i}" for i in range(50)), source=source)))
        setting = "/global-configurations/mevoco/overProvisioning.primaryStorage/actions"
        self.api.put(setting, {"updateGlobalConfig": {"value": "1"}})
        try:
            storage = self.api.rows("/primary-storage")[0]
            names = [f"more-{i}" for i in range(1 + max(0, storage["totalCapacity"]) // (100 << 30))]
            self.refused("PS.1000", "is full of promises", "overProvisioning.primaryStorage", call=lambda: self.clone(*names, source=source))
        finally:
            self.api.put(setting, {"updateGlobalConfig": {"value": "0"}})
        for vm in self.api.rows("/vm-instances", "name~=large%"):
            self.expunge(vm["uuid"])

    def test_bandwidth_is_kept_by_all_copies_together(self):
        bytes_each = self.plan("x", copy="full")["volumes"][0]["bytesToWrite"]
        begun = time.monotonic()
        self.clone("b1", "b2", copy="full", bandwidth=32 * MIB)
        self.assertGreater(time.monotonic() - begun, 0.8 * 2 * bytes_each / (32 * MIB))

    def test_a_copy_is_cancelled_within_two_seconds_and_nothing_is_left(self):
        before, job = self.inventory(), new_job()
        body = {"cloneVmInstance": {"names": ["c1", "c2"], "copy": "full", "bandwidth": 4 * MIB, "strategy": "CreateStopped"}}
        self.assertEqual(202, self.api.send("PUT", "/zstack/v1" + self.path, body, {"X-Job-UUID": job})[0])
        end = time.monotonic() + 20
        while self.api.get("/jobs/" + job)["progress"] <= 33 and time.monotonic() < end:  # the capture alone is a third of the steps
            time.sleep(0.05)
        self.assertGreater(self.api.get("/jobs/" + job)["progress"], 33)
        self.assertNotEqual([], list(self.primary.rglob("*.partial")))
        begun = time.monotonic()
        self.api.delete("/jobs/" + job)
        while self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] == 202 and time.monotonic() < begun + 20:
            time.sleep(0.02)
        self.assertLess(time.monotonic() - begun, 2)
        self.assertEqual([], list(self.primary.rglob("*.partial")))
        self.assertEqual(before, self.inventory())

    # --- all or nothing

    def obstruct(self, job, index):
        """A directory where the clone's disk is to be."""
        volume = derived(derived(job, f"vm/{index}"), "volume/0")
        account = pathlib.Path(self.source["allVolumes"][0]["installPath"]).parents[1].name
        folder = self.primary / "rootVolumes" / account / f"vol-{volume}" / f"{volume}.qcow2"
        folder.mkdir(parents=True)
        for each in (folder.parent, folder):  # cleanups run last first
            self.addCleanup(lambda each=each: each.rmdir() if each.exists() else None)

    def ask(self, job, names, **more):
        status, text, _ = self.api.send("PUT", "/zstack/v1" + self.path, {"cloneVmInstance": {"names": names, "strategy": "CreateStopped", **more}}, {"X-Job-UUID": job})
        while status == 202:
            time.sleep(0.05)
            status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
        return status, json.loads(text)

    def test_one_clone_of_a_hundred_that_fails_is_an_entry_that_names_it(self):
        job, names = new_job(), [f"n{i:03}" for i in range(1, 101)]
        self.obstruct(job, 36)
        status, body = self.ask(job, names)
        self.assertEqual(200, status, body)
        entries = body["result"]["inventories"]
        self.assertEqual((99, 100), (body["result"]["numberOfClonedVm"], len(entries)))
        self.assertEqual([36], [i for i, entry in enumerate(entries) if "error" in entry])
        self.assertIn("clone 'n037'", entries[36]["error"]["details"])
        self.assertEqual(99, len(self.api.rows("/vm-instances", "name~=n%")))

    def test_atomic_means_that_one_failure_leaves_none(self):
        before, rows, job = self.inventory(), len(self.api.rows("/vm-instances")), new_job()
        self.obstruct(job, 36)
        status, body = self.ask(job, [f"n{i:03}" for i in range(1, 101)], atomic=True)
        self.assertEqual(503, status, body)
        self.assertIn("clone 'n037'", body["error"]["details"])
        self.assertEqual(rows, len(self.api.rows("/vm-instances")))
        self.assertEqual(before, self.inventory())
        self.assertEqual([], [path for path in self.primary.rglob("*.qcow2") if path.is_file() and "rootVolumes" in str(path) and self.source["allVolumes"][0]["uuid"] not in str(path)])
        self.assertEqual(3, self.ask(new_job(), ["x", "y", "z"], atomic=True)[1]["result"]["numberOfClonedVm"])

    def test_a_copy_that_the_server_s_death_cut_off_is_made_whole_after_the_restart(self):
        for point in ("storage.copy-room-made", "storage.partial-whole"):
            with self.subTest(point=point):
                self.server.stop()
                self.server.start(RAMET_CRASH_POINT=point)
                type(self).api = self.server.api()
                job = new_job()
                body = {"cloneVmInstance": {"names": ["after"], "copy": "full", "strategy": "CreateStopped"}}
                self.assertEqual(202, self.api.send("PUT", "/zstack/v1" + self.path, body, {"X-Job-UUID": job})[0])
                self.server.process.wait(30)
                self.assertEqual(-9, self.server.process.returncode)
                self.server.start()
                type(self).api = self.server.api()
                self.assertEqual(1, self.api.call("GET", "/api-jobs/" + job)["result"]["numberOfClonedVm"])
                vm = self.api.rows("/vm-instances", "name=after")[0]
                self.assert_flat(vm)
                self.assert_same_disk(vm)
                self.assertEqual([], list(self.primary.rglob("*.partial")))
                self.expunge(vm["uuid"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
