"""Full disks and quotas under a real server: where layers are, where the database is, where images and memory are. Every call ends with a success
or a clean error, the source runs on, nothing is left over, reads are answered meanwhile; and when there is room again, the server goes on
without a restart."""
import errno
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support import ROOT, Agent, Server, World, remove_tree  # noqa: E402,F401

NIGHTLY = os.environ.get("RAMET_CAMPAIGN") == "nightly"
ROUNDS = 25 if NIGHTLY else 1
KIB, MIB = 1 << 10, 1 << 20
MADE = ("/vm-instances", "/volumes", "/images")


class Disk:
    """A file system of its own on a sparse file, and how full it is."""

    def __init__(self, directory, name, size, make=("mkfs.ext4", "-q", "-F", "-m", "0")):
        self.file, self.folder = pathlib.Path(directory) / (name + ".img"), pathlib.Path(directory) / name
        with open(self.file, "wb") as file:
            file.truncate(size)
        subprocess.run([*make, str(self.file)], check=True, capture_output=True)
        self.folder.mkdir()
        done = subprocess.run(["mount", "-o", "loop", str(self.file), str(self.folder)], capture_output=True, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("no loop mounts here: " + done.stderr.strip())
        self.ballast = self.folder / "ballast"

    def fill(self, leave=0):
        """Only about `leave` bytes can still be written."""
        for step in (64 * MIB, MIB, 64 * KIB, 4 * KIB):
            with open(self.ballast, "ab") as file:
                while True:
                    try:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        break
        if leave:
            with open(self.ballast, "r+b") as file:
                file.truncate(max(0, os.fstat(file.fileno()).st_size - leave))

    def free(self):
        self.ballast.unlink(missing_ok=True)

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


@unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
class DiskFull(World):
    @classmethod
    def setUpClass(cls):
        cls.directory, cls.disks, cls.binds = tempfile.mkdtemp(prefix="ramet-full-"), [], []
        os.chmod(cls.directory, 0o711)  # QEMU's user passes through
        cls.state = cls.disk("state", 512 * MIB)
        data = cls.state.folder / "data"
        cls.pool, cls.images, cls.memory = cls.disk("pool", 4096 * MIB), cls.disk("images", 1024 * MIB), cls.disk("memory", 512 * MIB)
        for disk, folder in ((cls.pool, "primary"), (cls.images, "images"), (cls.memory, "memory")):
            cls.bind(disk.folder / "storage", data / folder)
        cls.server = Server(data).start()
        cls.api = cls.server.api()
        cls.written = pathlib.Path(cls.directory) / "written.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(cls.written), "256M"], check=True)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64M", str(cls.written)], check=True, capture_output=True)
        cls.image = cls.api.add_image(cls.written, name="written")
        cls.running = cls.api.create_vm("running", cls.image["uuid"])
        cls.stopped = cls.api.create_vm("stopped", cls.image["uuid"], strategy="CreateStopped")
        cls.kept = {path: {row["uuid"] for row in cls.api.rows(path)} for path in MADE}
        cls.results = []

    @classmethod
    def disk(cls, name, size):
        cls.disks.append(Disk(cls.directory, name, size))
        return cls.disks[-1]

    @classmethod
    def bind(cls, folder, place):
        for one in (folder, place):
            one.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(folder), str(place)], check=True)
        cls.binds.append(place)

    @classmethod
    def tearDownClass(cls):
        for disk in cls.disks:
            disk.free()
        try:
            print(f"{len(cls.results)} cases of full disks: {sum(not ok for ok in cls.results)} clean errors, {sum(cls.results)} went through", flush=True)
            World.tearDownClass.__func__(cls)
        finally:
            for place in cls.binds:
                subprocess.run(["umount", "-l", str(place)], check=True)
            for disk in reversed(cls.disks):
                disk.unmount()
            remove_tree(cls.directory)

    # --- one case

    def case(self, name, disk, leave, call, expected):
        """`call` with `leave` bytes free; `expected`: what may come of it, "error", "success" or both."""
        for _ in range(ROUNDS):
            with self.subTest(name):
                disk.fill(leave)
                job = call()
                status, text = self.end_of(job, patience=3, needed=disk is not self.state)
                self.assertTrue(self.api.rows("/vm-instances"), "reads are not answered while the disk is full")
                disk.free()
                if status == 202:  # its end cannot be written down before
                    status, text = self.end_of(job)
                self.judge(name, status, text, expected)

    def judge(self, name, status, text, expected):
        answer = json.loads(text)
        partial = any("error" in entry for entry in answer.get("result", {}).get("inventories", []))
        self.results.append(status == 200 and not partial)
        self.assertIn("success" if self.results[-1] else "error", expected, f"{name}: {status} {text}")
        for error in [answer.get("error")] + [entry.get("error") for entry in answer.get("result", {}).get("inventories", [])]:
            if error:
                self.assertTrue(error.get("code") and error.get("description"), f"{name}: {text}")
                self.assertNotIn(self.directory, json.dumps(error), f"{name}: an error for users names a path")
        self.assertIsNone(self.server.process.poll(), f"{name}: the server has ended")
        self.assertEqual("Running", self.api.vm(self.running["uuid"])["state"], name)
        self.remove_what_was_made()
        self.assert_nothing_left_over()
        result = self.api.clone(self.running["uuid"], ["after"], strategy="CreateStopped")
        self.assertEqual(1, result["numberOfClonedVm"], "with room again, a clone still fails")
        self.remove_what_was_made()

    def remove_what_was_made(self):
        for snapshot in self.api.rows("/volume-snapshots"):
            self.api.delete("/volume-snapshots/" + snapshot["uuid"])
        for checkpoint in self.api.rows("/checkpoints"):
            self.api.delete("/checkpoints/" + checkpoint["uuid"])
        for vm in self.made("/vm-instances"):
            self.expunge(vm)
        for volume in self.made("/volumes"):
            self.api.delete("/volumes/" + volume)
            if self.api.rows("/volumes", "uuid=" + volume):
                self.api.put(f"/volumes/{volume}/actions", {"expungeDataVolume": {}})
        for image in self.made("/images"):
            self.api.delete("/images/" + image)
            self.api.put(f"/images/{image}/actions", {"expungeImage": {}})
        if any(finding["kind"] == "removal not finished" for finding in self.doctor()):
            self.api.put("/doctor/actions", {"cleanGarbage": {}})

    def made(self, path):
        return {row["uuid"] for row in self.api.rows(path)} - self.kept[path]

    # --- calls: the job, or (status, text) of what was refused at once

    def send(self, method, path, body=None):
        job = uuid.uuid4().hex
        status, text, _ = self.api.send(method, "/zstack/v1" + path, body, {"X-Job-UUID": job})
        return job if status == 202 else (status, text)

    def end_of(self, job, patience=60, needed=True):
        """(status, text), of a job that has not ended and need not have: 202."""
        if isinstance(job, tuple):
            return job
        end = time.monotonic() + max(patience, 60 if needed else 0)
        while time.monotonic() < end:
            status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
            if status != 202:
                return status, text
            time.sleep(0.03)
        self.assertFalse(needed, f"job {job} does not end")
        return 202, ""

    def clone(self, vm, names=("a",), **parameters):
        body = {"cloneVmInstance": {"names": list(names), "strategy": "CreateStopped", **parameters}}
        return lambda: self.send("PUT", f"/vm-instances/{vm['uuid']}/actions", body)

    def post(self, path, **params):
        return lambda: self.send("POST", path, {"params": params})

    def create(self):
        network = self.api.rows("/l3-networks", "name=default")[0]["uuid"]
        return self.post("/vm-instances", name="made", cpuNum=1, memorySize=128 * MIB, imageUuid=self.image["uuid"], l3NetworkUuids=[network], strategy="CreateStopped")

    def data_volume(self, *tags):
        return self.post("/volumes/data", name="made", diskSize=64 * MIB, primaryStorageUuid=self.api.rows("/primary-storage")[0]["uuid"], systemTags=list(tags))

    def add_image(self):
        storage = self.api.rows("/backup-storage")[0]["uuid"]
        return self.post("/images", name="more", url=f"file://{self.written}", format="qcow2", mediaType="RootVolumeTemplate", backupStorageUuids=[storage])

    # --- the cases

    def test_where_layers_are(self):
        self.case("clone of a running source", self.pool, 0, self.clone(self.running), ["error"])
        self.case("clone of a stopped source", self.pool, 0, self.clone(self.stopped), ["error"])
        self.case("three clones, room for fewer", self.pool, 28 * KIB, self.clone(self.running, "abc"), ["error", "success"])
        self.case("three clones, all or none", self.pool, 28 * KIB, self.clone(self.stopped, "abc", atomic=True), ["error", "success"])
        self.case("started clone", self.pool, 0, self.clone(self.running, strategy="InstantStart"), ["error"])
        self.case("full copy, no room", self.pool, 0, self.clone(self.stopped, copy="full"), ["error"])
        self.case("full copy, room for a half", self.pool, 32 * MIB, self.clone(self.running, copy="full"), ["error"])
        self.case("two full copies, room for one", self.pool, 80 * MIB, self.clone(self.stopped, "ab", copy="full"), ["error"])

    def test_other_calls_where_layers_are(self):
        self.case("new VM", self.pool, 0, self.create(), ["error"])
        self.case("new VM, less than the reserve", self.pool, 512 * MIB, self.create(), ["error"])
        self.case("thin data volume", self.pool, 0, self.data_volume(), ["error"])
        self.case("thick data volume, room for a half", self.pool, 32 * MIB, self.data_volume("volumeProvisioningStrategy::ThickProvisioning"), ["error"])
        root = self.running["rootVolumeUuid"]
        self.case("snapshot of a running VM", self.pool, 0, self.post(f"/volumes/{root}/volume-snapshots", name="kept"), ["error", "success"])
        self.case("checkpoint of a running VM", self.pool, 0, self.post(f"/vm-instances/{self.running['uuid']}/checkpoints", name="kept"), ["error", "success"])

    def test_where_images_and_memory_are(self):
        self.case("image", self.images, 0, self.add_image(), ["error"])
        self.case("image, room for a half", self.images, 32 * MIB, self.add_image(), ["error"])
        self.case("memory image", self.memory, 0, self.clone(self.running, strategy="InstantStart", memory=True), ["error"])
        self.case("memory image, room for a part", self.memory, 2 * MIB, self.clone(self.running, strategy="InstantStart", memory=True), ["error", "success"])

    def test_where_the_database_and_the_log_are(self):
        self.case("clone", self.state, 0, self.clone(self.running), ["error", "success"])
        self.case("new VM, a little room", self.state, 16 * KIB, self.create(), ["error", "success"])
        self.case("started clone", self.state, 0, self.clone(self.running, strategy="InstantStart"), ["error", "success"])

    def test_a_job_goes_on_when_the_database_has_room_again(self):
        job = uuid.uuid4().hex
        body = {"cloneVmInstance": {"names": ["slow"], "strategy": "CreateStopped", "copy": "full", "bandwidth": 16 * MIB}}
        self.api.send("PUT", f"/zstack/v1/vm-instances/{self.stopped['uuid']}/actions", body, {"X-Job-UUID": job})
        time.sleep(0.3)
        self.state.fill()
        time.sleep(45 if NIGHTLY else 5)  # the copy ends meanwhile, and cannot say so
        self.assertEqual(202, self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0], "the job has ended while nothing could be written")
        self.state.free()
        status, text = self.end_of(job)
        self.judge("job that went on", status, text, ["error", "success"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
