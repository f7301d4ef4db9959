"""Bad input gets a clear error, and nothing changes."""
import json
import os
import pathlib
import subprocess
import time
import unittest

from support import TINY, Agent, Api, ApiError, World


class Refusals(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"], strategy="CreateStopped")
        cls.path = f"/vm-instances/{cls.source['uuid']}/actions"

    def clone(self, **parameters):
        return lambda: self.api.put(self.path, {"cloneVmInstance": {"names": ["x"], "strategy": "CreateStopped", **parameters}})

    def raw(self, body, path=None, headers=None):
        before = self.inventory()
        status, text, _ = self.api.send("PUT", "/zstack/v1" + (path or self.path), raw=body, headers=headers)
        self.assertEqual(before, self.inventory())
        return status, text

    def test_unknown_uuids(self):
        unknown = "0" * 12 + "4" + "0" * 3 + "8" + "0" * 15
        self.refused("SYS.1003", unknown, call=lambda: self.api.put(f"/vm-instances/{unknown}/actions", {"cloneVmInstance": {"names": ["x"]}}))
        for field in ("primaryStorageUuidForRootVolume", "primaryStorageUuidForDataVolume", "clusterUuid", "hostUuid"):
            self.refused("SYS.1003", field, call=self.clone(**{field: unknown}))
            self.refused("SYS.1003", field, call=self.clone(**{field: "not-a-uuid"}))

    def test_wrong_state(self):
        created = self.api.create_vm("created", self.image["uuid"], strategy="JustCreate")
        error = self.refused("SYS.1006", "Created", call=lambda: self.api.clone(created["uuid"], ["x"]))
        self.assertEqual("VM.1010", error.error["cause"]["code"])

    def test_names(self):
        self.refused("SYS.1007", "names", call=self.clone(names=[]))
        self.refused("SYS.1007", "names", call=lambda: self.api.put(self.path, {"cloneVmInstance": {"strategy": "CreateStopped"}}))
        self.refused("SYS.1007", "names", call=self.clone(names=[f"n{i}" for i in range(1001)]))
        self.refused("SYS.1007", "names", call=self.clone(names=["ok", ""]))
        self.refused("SYS.1007", "names", call=self.clone(names=["n" * 256]))
        self.refused("400", "names", call=self.clone(names="web02"))

    def test_types_and_values(self):
        self.refused("SYS.1007", "strategy", call=self.clone(strategy="Later"))
        self.refused("400", "full", call=self.clone(full="perhaps"))
        self.refused("400", "vmNicParams", call=self.clone(vmNicParams="{"))

    def test_storage_and_host_of_another_cluster(self):
        zone = self.api.rows("/zones")[0]["uuid"]
        other = self.api.post("/clusters", {"params": {"zoneUuid": zone, "name": "other", "hypervisorType": "KVM"}})["inventory"]["uuid"]
        host = self.api.rows("/hosts")[0]["uuid"]
        self.refused("SYS.1007", "hostUuid", call=self.clone(clusterUuid=other, hostUuid=host))
        storage = self.api.post("/primary-storage/local-storage", {"params": {"name": "far", "url": self.directory + "/far", "zoneUuid": zone}})["inventory"]["uuid"]
        cluster = self.api.rows("/clusters", "name=cluster1")[0]["uuid"]
        self.api.delete(f"/clusters/{cluster}/primary-storage/{storage}")
        self.refused("PS.1000", "primaryStorageUuidForRootVolume", call=self.clone(primaryStorageUuidForRootVolume=storage))

    def test_no_room_for_the_clones(self):
        self.api.action(self.source["uuid"], "updateVmInstance", memorySize=1 << 41)
        try:
            result = self.api.clone(self.source["uuid"], ["a", "b"])
            self.assertEqual(0, result["numberOfClonedVm"])
            for name, entry in zip("ab", result["inventories"]):
                self.assertIn(f"'{name}'", entry["error"]["details"])
                self.assertEqual("HOST_ALLOCATION.1000", entry["error"]["code"])
        finally:
            self.api.action(self.source["uuid"], "updateVmInstance", memorySize=128 << 20)

    def test_addresses(self):
        nic = self.source["vmNics"][0]
        l3 = nic["l3NetworkUuid"]
        self.refused("SYS.1007", "ip", call=self.clone(vmNicParams=[{"l3NetworkUuid": l3, "ip": "192.0.2.1"}]))
        self.refused("SYS.1007", "ip", call=self.clone(vmNicParams=[{"l3NetworkUuid": l3, "ip": "nonsense"}]))
        self.refused("L3.1000", nic["ip"], call=self.clone(vmNicParams=[{"l3NetworkUuid": l3, "ip": nic["ip"]}]))
        self.refused("SYS.1007", "ip", call=self.clone(names=["a", "b"], vmNicParams=[{"l3NetworkUuid": l3, "ip": nic["gateway"]}]))
        self.refused("VM.1009", nic["mac"], call=self.clone(vmNicParams=[{"l3NetworkUuid": l3, "mac": nic["mac"]}]))
        self.refused("SYS.1007", "mac", call=self.clone(vmNicParams=[{"l3NetworkUuid": l3, "mac": "01:00:5e:00:00:01"}]))
        network = self.api.rows("/l3-networks")[0]
        other = self.api.post("/l3-networks", {"params": {"name": "elsewhere", "l2NetworkUuid": network["l2NetworkUuid"]}})["inventory"]["uuid"]
        self.refused("SYS.1007", "l3NetworkUuid", call=self.clone(vmNicParams=[{"l3NetworkUuid": other}]))

    def test_tags(self):
        self.refused("SYS.1007", "systemTags", call=self.clone(systemTags=["no::such::tag::at::all"]))
        self.refused("SYS.1007", "rootVolumeSystemTags", call=self.clone(rootVolumeSystemTags=["volumeProvisioningStrategy::Sometimes"]))

    def test_bodies(self):
        self.assertEqual(400, self.raw(b'{"cloneVmInstance": {"names": ["x"')[0])
        deep = b'{"cloneVmInstance": {"names": ' + b"[" * 10000 + b"]" * 10000 + b"}}"
        self.assertEqual(400, self.raw(deep)[0])
        try:
            self.assertEqual(413, self.raw(b'{"cloneVmInstance": {"names": ["' + b"x" * (10 << 20) + b'"]}}')[0])
        except OSError:
            pass  # the server may close before all is sent
        self.assertEqual(400, self.raw(b"")[0])
        self.assertEqual(400, self.raw(b'{"unknownAction": {}}')[0])

    def test_sessions(self):
        nobody = Api(self.server.url)
        status, text, _ = nobody.send("PUT", "/zstack/v1" + self.path, {"cloneVmInstance": {"names": ["x"]}})
        self.assertEqual(400, status)
        nobody.session = "0" * 32
        status, text, _ = nobody.send("PUT", "/zstack/v1" + self.path, {"cloneVmInstance": {"names": ["x"]}})
        self.assertEqual((503, "ID.1001"), (status, json.loads(text)["error"]["code"]))
        with self.assertRaises(ApiError) as caught:
            Api(self.server.url, "admin", "wrong")
        self.assertEqual("ID.1000", caught.exception.code)

    def test_another_account_s_vm(self):
        import hashlib
        self.api.post("/accounts", {"params": {"name": "mallory", "password": hashlib.sha512(b"m").hexdigest()}})
        mallory = Api(self.server.url, "mallory", "m")
        before = self.inventory()
        with self.assertRaises(ApiError) as caught:
            mallory.clone(self.source["uuid"], ["stolen"])
        self.assertEqual("SYS.1006", caught.exception.code)
        self.assertEqual([], mallory.rows("/vm-instances"))
        self.assertEqual(before, self.inventory())

    def test_images_that_are_none(self):
        folder = pathlib.Path(self.directory)
        (folder / "page.qcow2").write_text("<html>not found</html>" * 100)
        (folder / "empty.raw").write_bytes(b"")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(TINY), str(folder / "backed.qcow2")], check=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={folder}/data.raw", str(folder / "data.qcow2"), "1M"], check=True)
        before = self.inventory(), sorted(row["uuid"] for row in self.api.rows("/images"))
        for name, format_ in (("page.qcow2", "qcow2"), ("empty.raw", "raw"), ("backed.qcow2", "qcow2"), ("data.qcow2", "qcow2"), ("missing.qcow2", "qcow2")):
            with self.assertRaises(ApiError, msg=name):
                self.api.add_image(folder / name, name, format=format_)
        with self.assertRaises(ApiError):
            self.api.add_image(TINY, "sum", checksum="sha256:" + "0" * 64)
        self.assertEqual(before, (self.inventory(), sorted(row["uuid"] for row in self.api.rows("/images"))))

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_a_full_disk_fails_the_clone_and_leaves_nothing(self):
        small = self.directory + "/small"
        os.mkdir(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "tmpfs", small], check=True)
        try:
            zone = self.api.rows("/zones")[0]["uuid"]
            storage = self.api.post("/primary-storage/local-storage", {"params": {"name": "small", "url": small, "zoneUuid": zone}})["inventory"]["uuid"]
            before = self.inventory()
            with open(small + "/filler", "wb") as filler:  # the plan sees room; when the copy is made there is none
                self.api.get("/zones")
                filler.write(b"x" * (130 << 20))
            result = None
            try:
                os.posix_fallocate(os.open(small + "/filler2", os.O_CREAT | os.O_WRONLY), 0, 20 << 20)
                result = self.api.clone(self.source["uuid"], ["full-disk"], strategy="CreateStopped", primaryStorageUuidForRootVolume=storage,
                                        rootVolumeSystemTags=["volumeProvisioningStrategy::ThickProvisioning"])
            except ApiError as error:
                self.assertIn(error.code, ("PS.1000", "SYS.1006"))
            if result is not None:
                self.assertEqual(0, result["numberOfClonedVm"])
            self.assertEqual(before, self.inventory())
            left = [path for path in pathlib.Path(small).rglob("*") if path.is_file() and not path.name.startswith("filler")]
            self.assertEqual([], left)
            self.api.delete("/primary-storage/" + storage)
        finally:
            subprocess.run(["umount", "-l", small], check=False)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_a_guest_that_finds_no_room_is_paused_and_goes_on_when_there_is_some(self):
        small = pathlib.Path(self.directory) / "filling"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "tmpfs", small], check=True)
        try:
            zone = self.api.rows("/zones")[0]["uuid"]
            storage = self.api.post("/primary-storage/local-storage", {"params": {"name": "filling", "url": str(small / "pool"), "zoneUuid": zone}})["inventory"]["uuid"]
            vm = self.api.clone(self.source["uuid"], ["filling"], primaryStorageUuidForRootVolume=storage)["inventories"][0]["inventory"]
            agent = Agent(self.server.data_dir, vm["uuid"])
            agent.call("guest-ping", 90)
            facts = os.statvfs(small)
            subprocess.run(["mount", "-o", f"remount,size={(facts.f_blocks - facts.f_bfree) * facts.f_bsize + (1 << 20)}", small], check=True)
            fill = "sleep 1; dd if=/dev/urandom of=/root/big bs=1M count=8 conv=fsync && echo whole >/root/done"
            agent.call("guest-exec", 60, path="/bin/sh", arg=["-c", fill])  # the agent stands with the guest: its end cannot be waited for
            self.assertEqual("Paused", self.wait_for_state(vm["uuid"], "Paused"))
            events = self.api.rows("/events", "name=io-stop")
            self.assertEqual([vm["uuid"]], [event["resourceUuid"] for event in events])
            self.assertIn("resume it", events[0]["message"])
            subprocess.run(["mount", "-o", "remount,size=1200m", small], check=True)
            self.api.action(vm["uuid"], "resumeVmInstance")
            self.assertEqual("Running", self.api.vm(vm["uuid"])["state"])
            self.assertEqual("whole\n8388608", agent.run("while [ ! -e /root/done ]; do sleep 1; done; cat /root/done; stat -c %s /root/big", 90))
            self.assertEqual("Running", self.api.vm(vm["uuid"])["state"])
            self.expunge(vm["uuid"])
            self.api.delete("/primary-storage/" + storage)
        finally:
            subprocess.run(["umount", "-l", small], check=False)

    def wait_for_state(self, vm, state, patience=60):
        end = time.monotonic() + patience
        while self.api.vm(vm)["state"] != state and time.monotonic() < end:
            time.sleep(0.2)
        return self.api.vm(vm)["state"]

    def test_nothing_is_left_over_after_all_this(self):
        self.assert_nothing_left_over()


if __name__ == "__main__":
    unittest.main(verbosity=2)
