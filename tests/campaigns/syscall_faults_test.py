"""Calls of the shipped binary into the system fail: files and sockets, with EIO, ENOSPC, EINTR, EMFILE and half-done transfers, during clone,
create and destroy. Every answer is a success or a clean error, nothing is left over, the source runs on, and the server lives; only when its
database cannot be brought to disk it ends by itself, and what it had answered is there after the next start."""
import collections
import errno
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from faults import SHORT, Faults  # noqa: E402
from support import ApiError, World  # noqa: E402

NIGHTLY = os.environ.get("RAMET_CAMPAIGN") == "nightly"
LANE, LANES = map(int, os.environ.get("RAMET_LANE", "1/4" if NIGHTLY else "1/1").split("/"))  # by night servers side by side, each for other passages
FAULTS_MAX, SECONDS_MAX = (20_000 // LANES, 30_000) if NIGHTLY else (160, 45)
PASSAGES_MAX = 400 if NIGHTLY else 6  # of one kind of fault in one scenario
# (call, errno, part of the path)
KINDS = [
    ("open", errno.EMFILE, ""), ("open", errno.EIO, "/primary"), ("open", errno.EINTR, "/primary"), ("open", errno.ENOSPC, "/primary"),
    ("write", errno.EIO, "/primary"), ("write", errno.ENOSPC, "/primary"), ("write", errno.EINTR, "/primary"), ("write", SHORT, "/primary"),
    ("write", errno.EIO, "ramet.db"), ("write", errno.ENOSPC, "ramet.db"), ("write", errno.EINTR, "ramet.db"), ("write", SHORT, "ramet.db"),
    ("read", errno.EIO, "/primary"), ("read", errno.EINTR, "/primary"), ("read", SHORT, "/primary"), ("read", errno.EIO, "ramet.db"), ("read", SHORT, "ramet.db"),
    ("fsync", errno.EIO, "/primary"), ("fsync", errno.ENOSPC, "/primary"), ("fsync", errno.EIO, "/run/"),
    ("rename", errno.EIO, ""), ("unlink", errno.EIO, "/primary"), ("mkdir", errno.ENOSPC, ""), ("allocate", errno.ENOSPC, "/primary"),
    ("socket", errno.EMFILE, ""), ("connect", errno.EINTR, ""), ("connect", errno.ECONNREFUSED, ""),
    ("send", errno.EPIPE, "socket:"), ("send", SHORT, "socket:"), ("send", errno.EINTR, "socket:"), ("receive", errno.EINTR, "socket:"), ("receive", errno.ECONNRESET, "socket:"),
    ("write", errno.EIO, "/run/"), ("open", errno.EIO, "/run/"), ("open", errno.ENOSPC, "/seeds"), ("write", errno.ENOSPC, "/seeds"),
]


class SyscallFaults(World):
    @classmethod
    def setUpClass(cls):
        cls.preload, cls.removed_later, cls.wrong = None, 0, 0
        super().setUpClass()
        cls.preload = Faults(cls.directory)
        cls.server.stop()
        cls.server.start(**cls.preload.environment)
        cls.api = cls.server.api()
        disk = cls.directory + "/blank.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
        cls.blank = cls.api.add_image(disk, name="blank")
        cls.running = cls.api.create_vm("running", cls.blank["uuid"])
        cls.stopped = cls.api.create_vm("stopped", cls.blank["uuid"], strategy="CreateStopped")
        cls.data_volume = cls.api.post("/volumes/data", {"params": {"name": "data", "diskSize": 1 << 20}})["inventory"]["uuid"]
        cls.api.post(f"/volumes/{cls.data_volume}/vm-instances/{cls.stopped['uuid']}", {"params": {}})
        cls.kept = {vm["uuid"] for vm in cls.api.rows("/vm-instances")}

    # --- what is done while calls fail; each returns the answer's (status, text)

    def clone_stopped(self):
        return self.act(self.stopped, {"names": ["a", "b"], "strategy": "CreateStopped", "full": True})

    def clone_running(self):
        return self.act(self.running, {"names": ["a"], "strategy": "CreateStopped"})

    def clone_started(self):
        return self.act(self.running, {"names": ["a"]})

    def copy_full(self):
        return self.act(self.stopped, {"names": ["a"], "strategy": "CreateStopped", "copy": "full"})

    def act(self, vm, parameters):
        return self.send("PUT", f"/vm-instances/{vm['uuid']}/actions", {"cloneVmInstance": parameters})

    def create(self):
        network = self.api.rows("/l3-networks", "name=default")[0]["uuid"]
        params = {"name": "made", "cpuNum": 1, "memorySize": 128 << 20, "imageUuid": self.blank["uuid"], "l3NetworkUuids": [network], "strategy": "CreateStopped"}
        return self.send("POST", "/vm-instances", {"params": params})

    def destroy(self):
        vm = self.api.clone(self.stopped["uuid"], ["gone"], strategy="JustCreate")["inventories"][0]["inventory"]["uuid"]
        self.arm_now()
        return self.send("DELETE", "/vm-instances/" + vm)

    def send(self, method, path, body=None):
        """The job's end, or what a call failed with that asked for it. The connection may be cut, as a fault on a socket does."""
        self.job = job = uuid.uuid4().hex
        self.arm_now()
        try:
            self.api.send(method, "/zstack/v1" + path, body, {"X-Job-UUID": job})
        except OSError:
            self.await_rest()  # the request may be on its way to become a job
        return self.end_of(job)

    def await_rest(self, looks=10, patience=60):
        """Until no job was at work at that many looks, a tenth of a second apart."""
        end, quiet = time.monotonic() + patience, 0
        while quiet < looks and time.monotonic() < end:
            time.sleep(0.1)
            try:
                quiet = 0 if self.api.rows("/jobs", "finishDate is null") else quiet + 1
            except OSError:
                if self.server.process.poll() is not None:
                    return
                quiet = 0

    def end_of(self, job, patience=60):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
                if status != 202:
                    return status, text
            except OSError:
                if self.server.process.poll() is not None:
                    return None, "the server has ended"
            time.sleep(0.02)
        self.fail(f"job {job} does not end: {self.api.get('/jobs/' + job)}; {self.server.log_tail()}")

    def arm_now(self):
        if self.wanted:
            self.preload.arm(*self.wanted)
            self.wanted = None

    # --- one fault

    def let_fail(self, scenario, kind, first, count):
        """True if the passage was reached."""
        call, error, path = kind
        self.wanted = (call, error, first, count, path)
        where = f"{scenario.__name__}, {call} {errno.errorcode.get(error, 'half')} {path} #{first}, {count} in a row"
        right, fired = False, 0
        with self.subTest(where):  # tells which fault it was
            answers = [scenario()]
            _, fired = self.preload.disarm()
            self.await_rest(looks=1)
            answers.append(self.end_of(self.job))
            for status, text in answers:
                self.assertIn(status, (200, 404, 503), text)  # 404: the call did not reach it
                if status != 404:
                    self.assert_clean_error(where, text)
            right = True
        self.assertIsNone(self.server.process.poll(), f"{where}: the server has ended; {self.server.log_tail()}")
        clean = False
        with self.subTest(where):
            self.preload.disarm()
            for vm in self.api.rows("/vm-instances"):
                if vm["uuid"] not in self.kept:
                    self.expunge(vm["uuid"])
            for volume in self.api.rows("/volumes", "type=Data"):  # a VM's own outlive it; thousands of them would slow every look down
                if volume["uuid"] != self.data_volume:
                    self.api.delete("/volumes/" + volume["uuid"])
                    self.api.put(f"/volumes/{volume['uuid']}/actions", {"expungeDataVolume": {}})
            self.finish_removals()
            self.assert_nothing_left_over()
            self.assertEqual("Running", self.api.vm(self.running["uuid"])["state"])
            clean = True
        type(self).wrong += not (right and clean)
        return fired > 0 or not right

    def finish_removals(self):
        """A removal that failed is tried again at the next look for garbage; this is one. Other findings it would not mend at once."""
        if any(finding["kind"] == "removal not finished" for finding in self.doctor()):
            type(self).removed_later += 1
            try:
                self.api.put("/doctor/actions", {"cleanGarbage": {}})
            except ApiError as error:
                self.assertEqual("SYS.1010", error.code, error)  # the server's own look, which does it too

    def assert_clean_error(self, where, text):
        try:
            error = json.loads(text or "{}").get("error")
        except ValueError:
            self.fail(f"{where}: this is no JSON: {text!r}")
        if error:
            self.assertTrue(error.get("code") and error.get("description"), f"{where}: {text}")
            self.assertNotIn(str(self.server.data_dir), text, f"{where}: an error for users names a path")

    def test_calls_fail_one_at_a_time(self):
        """Each scenario with each kind of fault, at one passage after the other; by day as many as fit, in another order with each seed."""
        others = []
        if LANE == 1:
            name = f"{type(self).__name__}.{self._testMethodName}"
            others = [subprocess.Popen([sys.executable, "-u", __file__, name], env={**os.environ, "RAMET_LANE": f"{lane}/{LANES}"}) for lane in range(2, LANES + 1)]
        try:
            self.let_calls_fail()
        finally:
            ended = [other.wait() for other in others]
        self.assertEqual([0] * len(others), ended, "a lane beside this one has failed")

    def let_calls_fail(self):
        scenarios = [self.clone_stopped, self.clone_running, self.copy_full, self.create, self.destroy, self.clone_started]
        seed = int(os.environ.get("RAMET_SEED", time.time_ns() % 1_000_000 if NIGHTLY else 1))  # a change is judged by what it changes, not by luck
        drawn, begun, tried, fired = random.Random(seed), time.monotonic(), 0, collections.Counter()
        counts = (1, 2, 4, 10) if NIGHTLY else (1,)  # so many in a row
        waiting = [(scenario, kind, LANE if NIGHTLY else drawn.randint(1, PASSAGES_MAX), count) for scenario in scenarios for kind in KINDS for count in counts]
        drawn.shuffle(waiting)
        waiting = collections.deque(waiting)
        while waiting and sum(fired.values()) < FAULTS_MAX and time.monotonic() - begun < SECONDS_MAX:
            scenario, kind, first, count = waiting.popleft()
            tried += 1
            if self.let_fail(scenario, kind, first, count):
                fired[f"{kind[0]} {errno.errorcode.get(kind[1], 'half')}"] += 1
                if sum(fired.values()) % 500 == 0:
                    print(f"lane {LANE}: {sum(fired.values())} faults after {time.monotonic() - begun:.0f} s", flush=True)
                if first + LANES <= PASSAGES_MAX:
                    waiting.append((scenario, kind, first + LANES, count))
            elif first > 1 and not NIGHTLY:
                waiting.append((scenario, kind, 1, count))
        print(f"lane {LANE}, seed {seed}: {sum(fired.values())} faults in {tried} calls, {self.wrong} wrong, in {time.monotonic() - begun:.0f} s: {dict(sorted(fired.items()))}; "
              f"{self.removed_later} removals were done at a second try", flush=True)
        self.assertGreater(sum(fired.values()), 0)

    def test_a_flattening_whose_end_cannot_be_written_leaves_rows_that_fit_the_disk(self):
        """QEMU has let go of the layers by then, and no undo brings them back."""
        refused = 0
        for first in range(1, 200) if NIGHTLY else range(25, 100, 8):
            self.api.clone(self.running["uuid"], ["stands-between"], strategy="CreateStopped")
            self.wanted = ("write", errno.ENOSPC, first, 1, "ramet.db")
            status, text = self.send("PUT", f"/vm-instances/{self.running['uuid']}/actions", {"flattenVmInstance": {}})
            self.preload.disarm()
            refused += status != 200
            self.assert_clean_error(f"flattening, write #{first}", text)
            self.assertEqual({}, self.violated(), f"write #{first}")
            for vm in self.api.rows("/vm-instances", "name=stands-between"):
                self.expunge(vm["uuid"])
            self.finish_removals()
            self.assert_nothing_left_over()
        print(f"flattenings with a full disk at one of {first} writes: {refused} refused, the rows fit the disk", flush=True)

    def test_a_database_that_cannot_be_synced_ends_the_server_and_loses_nothing(self):
        """A second sync would succeed without having written what the first one lost."""
        acknowledged, ends, begun = set(), 0, time.monotonic()
        for first in range(1, 101 if NIGHTLY else 5):
            self.preload.arm("fsync", errno.EIO, first, 1, "ramet.db")
            for number in range(first + 20):
                name = f"synced-{first}-{number}"
                try:
                    status, _, _ = self.api.send("POST", "/zstack/v1/zones", {"params": {"name": name}})
                    if status == 200:
                        acknowledged.add(name)
                except OSError:
                    break
            self.assertEqual(1, self.server.process.wait(30), f"sync #{first}: the server lives on, or did not say why it ended")
            self.assertEqual(1, self.preload.disarm()[1])
            ends += 1
            self.server.start(**self.preload.environment)
            type(self).api = self.server.api()
            self.assertLessEqual(acknowledged, {zone["name"] for zone in self.api.get("/zones?limit=100000")["inventories"]})
            self.assert_nothing_left_over()
            self.assertEqual("Running", self.api.vm(self.running["uuid"])["state"])
        print(f"{ends} failed syncs of the database, {ends} clean ends, {len(acknowledged)} acknowledged writes, 0 lost, in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
