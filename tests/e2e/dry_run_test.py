"""A dry run tells the bytes that the call then writes: of the whole data directory, within five percent, or as a bound where a full chain is made
shorter first. Rows of the database and logs are left out."""
import os
import pathlib
import shutil
import subprocess
import unittest

from chains import Written, make_writer_image
from support import Agent, World

MIB = 1 << 20
UEFI = ["bootMode::UEFI", "tpm::2.0"]


class DryRun(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Bytes on the disk are measured around calls here: nothing else may write meanwhile.
        cls.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": "false"}})

    def tearDown(self):
        self.expunge_all()
        self.assert_nothing_left_over()

    def occupied(self):
        """Of every file, by its path. QEMU may end while we look."""
        found = {}
        for path in pathlib.Path(self.server.data_dir).rglob("*"):
            try:
                if path.is_file() and not path.name.startswith("ramet.db") and path.suffix != ".log":
                    found[str(path)] = path.lstat().st_blocks * 512
            except FileNotFoundError:
                continue
        return found

    def assert_told(self, source, names, target=None, **more):
        """Returns the plan and the clones; what was written is what the plan had told."""
        target = target or f"/vm-instances/{source['uuid']}"
        act = lambda **extra: self.api.put(target + "/actions", {"cloneVmInstance": {"names": names, **more, **extra}})["result"]  # noqa: E731
        plan = act(dryRun=True)["plan"]
        before = self.occupied()
        result = act()
        after = self.occupied()
        grown = {path: size - before.get(path, 0) for path, size in after.items() if size > before.get(path, 0)}
        written = sum(grown.values())
        print(f"\n  {names[0]}: {plan['bytesToWrite']} bytes told, {written} written ({100 * (plan['bytesToWrite'] / written - 1):+.1f} %)")
        # What a merger writes is told as a bound: what several layers hold of the same place is written once.
        self.assertLess(0.95 * (plan["bytesToWrite"] - plan["mergeBytesToWrite"]), written, f"{plan} {grown}")
        self.assertGreater(1.05 * plan["bytesToWrite"], written, f"{plan} {grown}")
        self.assertEqual(len(names), result["numberOfClonedVm"], result)
        return plan, [entry["inventory"] for entry in result["inventories"]]

    def test_ten_linked_clones_and_started_ones(self):
        source = self.deaf_vm("web01")
        self.api.action(source["uuid"], "stopVmInstance", type="cold")
        plan, _ = self.assert_told(source, [f"linked-{i}" for i in range(10)], strategy="CreateStopped")
        self.assertEqual(0, plan["startBytesToWrite"] + plan["firmwareBytesToWrite"])
        plan, _ = self.assert_told(source, ["started-1", "started-2"])
        self.assertGreater(plan["startBytesToWrite"], plan["volumes"][0]["bytesToWrite"])

    def test_full_copies(self):
        source = self.api.create_vm("web01", self.image["uuid"], strategy="CreateStopped")
        self.assert_told(source, ["full-1", "full-2"], strategy="CreateStopped", copy="full")

    def test_uefi_variables_and_tpm_state(self):
        for program in ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/bin/swtpm"):
            if not os.path.exists(program):
                self.skipTest(f"{program} is not installed")
        blank = self.deaf_vm("other")["imageUuid"]
        source = self.api.create_vm("uefi", blank, memorySize=256 * MIB, systemTags=UEFI)
        plan, _ = self.assert_told(source, ["copied", "copied-2"], strategy="CreateStopped", systemTags=["tpmPolicy::copy"])
        self.assertGreater(plan["firmwareBytesToWrite"], 528 * 1024)
        self.assert_told(source, ["fresh"], systemTags=["tpmPolicy::new"])
        self.api.action(source["uuid"], "stopVmInstance", type="cold")
        self.assert_told(source, ["of-stopped"], strategy="CreateStopped", systemTags=["tpmPolicy::copy"])
        checkpoint = self.api.post(f"/vm-instances/{source['uuid']}/checkpoints", {"params": {"name": "kept"}})["inventory"]["uuid"]
        self.assert_told(source, ["of-checkpoint"], f"/checkpoints/{checkpoint}", strategy="CreateStopped", systemTags=["tpmPolicy::copy"])
        never = self.api.create_vm("never", blank, strategy="CreateStopped", memorySize=256 * MIB, systemTags=UEFI)
        self.assert_told(never, ["of-never-started"], systemTags=["tpmPolicy::new"])

    def test_layers_that_are_made_one_before_the_capture(self):
        path = self.directory + "/writer.qcow2"
        make_writer_image(path)
        image = self.api.add_image(path, name="writer")
        source = Written(self, self.api.create_vm("source", image["uuid"], strategy="CreateStopped")).run()
        depth = 0
        for i in range(12):
            if (depth := source.depth()) >= 8:
                break
            self.api.clone(source.uuid, [f"holder-{i}"], strategy="CreateStopped")  # keeps the layer
            source.run()
        self.assertGreaterEqual(depth, 8)
        plan, _ = self.assert_told({"uuid": source.uuid}, ["after-merge"], strategy="CreateStopped")
        self.assertGreater(plan["mergeBytesToWrite"], 0)

    def test_memory(self):
        source = self.api.create_vm("warm", self.image["uuid"])
        Agent(self.server.data_dir, source["uuid"]).call("guest-ping", 120)
        plan, _ = self.assert_told(source, ["resumed"], memory=True, identity="keep")
        self.assertGreater(plan["bytesToWrite"], plan["memory"]["bytesToWrite"])

    def test_reflinks_on_xfs(self):
        """What shares blocks is counted by no file, but by what its file system has free: it is told to the size of that one's own tables."""
        if os.geteuid() != 0 or not shutil.which("mkfs.xfs"):
            self.skipTest("needs root and mkfs.xfs")
        image, folder = pathlib.Path(self.directory) / "xfs.img", pathlib.Path(self.directory) / "xfs"
        with open(image, "wb") as file:
            file.truncate(2 << 30)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
        folder.mkdir()
        if subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True).returncode != 0:
            self.skipTest("no loop mounts here")
        self.addCleanup(lambda: (subprocess.run(["umount", "-l", str(folder)], check=True), image.unlink()))
        zone = self.api.rows("/zones")[0]["uuid"]
        storage = self.api.post("/primary-storage/local-storage", {"params": {"name": "xfs", "url": str(folder / "ps"), "zoneUuid": zone}})["inventory"]
        source = self.api.create_vm("on-xfs", self.image["uuid"], strategy="CreateStopped", primaryStorageUuidForRootVolume=storage["uuid"])

        def free():
            subprocess.run(["sync", "-f", str(folder)], check=True)
            return os.statvfs(folder).f_bfree * os.statvfs(folder).f_frsize

        names = [f"reflink-{i}" for i in range(10)]
        plan = self.api.clone(source["uuid"], names, strategy="CreateStopped", copy="reflink", dryRun=True)["plan"]
        before = free()
        made = self.api.clone(source["uuid"], names, strategy="CreateStopped", copy="reflink")["inventories"]
        written = before - free()
        print(f"\n  reflinks: {plan['bytesToWrite']} bytes told, {written} written")
        self.assertAlmostEqual(plan["bytesToWrite"], written, delta=0.05 * written + MIB)
        for vm in [entry["inventory"] for entry in made] + [source]:
            self.expunge(vm["uuid"])
        self.api.delete("/primary-storage/" + storage["uuid"])
        subprocess.run(["chattr", "-R", "-f", "-i", str(folder)], check=False)


if __name__ == "__main__":
    unittest.main(verbosity=2)
