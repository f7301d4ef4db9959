"""Consistent captures on real guests: what is frozen is thawed whoever dies, the level reached is told, and all disks are cut at one instant."""
import itertools
import os
import pathlib
import signal
import struct
import subprocess
import time
import unittest

from support import RAMET, Agent, ApiError, WithWriter, World

MIB = 1 << 20
STALL_MAX = 8.0
WHEN_FREEZING = "while [ ! -e /run/qga.state.isfrozen ]; do :; done; "  # the agent makes this file just before it freezes


class QuiesceWorld(WithWriter, World):
    """A running source with two data volumes, and the writer in its /run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A merger would put other files in the places of those that are looked at here.
        cls.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": "false"}})
        cls.source = cls.api.create_vm("db01", cls.image["uuid"])
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping", 120)
        cls.carry_writer()
        cls.jobs = itertools.count(1)

    def job_uuid(self):
        return f"{next(self.jobs):012x}4000800000000000{os.getpid() & 0xffff:04x}"

    def start_clone(self, source=None, job=None, **more):
        job = job or self.job_uuid()
        body = {"cloneVmInstance": {"names": ["c"], "strategy": "CreateStopped", **more}}
        self.api.send("PUT", f"/zstack/v1/vm-instances/{source or self.source['uuid']}/actions", body, {"X-Job-UUID": job})
        return job

    def end_of(self, job):
        result = self.api.call("GET", "/api-jobs/" + job)["result"]
        self.assertEqual(1, result["numberOfClonedVm"], result)
        detail = self.api.get("/jobs/" + job)["detail"]["capture"]
        self.assertEqual({field: detail[field] for field in result["capture"]}, result["capture"])
        return result["inventories"][0]["inventory"], result["capture"]

    def capture(self, source=None, **more):
        """(the clone, what the result says of the capture)"""
        return self.end_of(self.start_clone(source, **more))

    def expunge_clones(self):
        for vm in self.api.rows("/vm-instances", "name=c"):
            self.expunge(vm["uuid"])

    def guards(self):
        """Freeze guards of this server's VMs."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and b"ramet-freeze-guard" in (entry / "cmdline").read_bytes() and str(self.directory) in os.readlink(entry / "cwd"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def assert_no_guards(self, patience=10):
        end = time.monotonic() + patience
        while (left := self.guards()) and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual([], left)


class OrderOfWrites:
    """The guest writes number n to disk A, fsyncs, writes n to disk B, fsyncs, n+1 to A, and so on: at no instant is B ahead of A."""

    captures = 16
    modes = ("never", "auto")  # in turn

    def test_all_disks_are_cut_at_one_instant(self):
        disks = []
        for name, size in (("a", 64), ("b", 65)):
            volume = self.api.post("/volumes/data", {"params": {"name": name, "diskSize": size * MIB}})["inventory"]
            self.api.post(f"/volumes/{volume['uuid']}/vm-instances/{self.source['uuid']}", {"params": {}})
            disks.append(self.device_of(volume))
        self.in_background(f"/run/writer order {disks[0]} {disks[1]} /run/order")
        seen = []
        start = time.monotonic()
        for i in range(self.captures):
            quiesce = self.modes[i % len(self.modes)]
            clone, capture = self.capture(full=True, quiesce=quiesce)
            self.assertEqual({"never": "crash", "auto": "filesystem"}[quiesce], capture["consistency"], capture)
            numbers = {volume["size"] // MIB: self.number_on(volume["installPath"]) for volume in clone["allVolumes"] if volume["type"] == "Data"}
            seen.append((numbers[64], numbers[65]))
        print(f"{self.captures} captures in {time.monotonic() - start:.1f} s; numbers on A and B: {seen}")
        self.assertEqual([], [pair for pair in seen if pair[1] > pair[0]], "B is ahead of A")
        self.assertEqual([], [pair for pair in seen if pair[0] - pair[1] > 1], "B is more than one write behind A")
        self.assertTrue(all(later[0] > earlier[0] for earlier, later in zip(seen, seen[1:])), "the guest was not writing all the while")
        self.agent.run("killall writer")


class Quiesce(OrderOfWrites, QuiesceWorld):
    def setUp(self):
        # An agent that hung in an earlier test is believed again once it has answered.
        self.assertEqual("filesystem", self.capture(quiesce="require")[1]["consistency"])

    def tearDown(self):
        self.expunge_clones()
        self.assert_no_guards()
        self.assert_nothing_left_over()

    def journal_is_clean(self, clone):
        """Whether the ext4 of the clone's root disk needs no recovery: only a freeze or an unmount leaves it so."""
        raw = os.path.join(self.directory, "raw")
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", clone["allVolumes"][0]["installPath"], raw], check=True)
        with open(raw, "rb") as disk:
            disk.seek(446 + 8)
            start = struct.unpack("<I", disk.read(4))[0] * 512
            disk.seek(start + 1024)
            superblock = disk.read(1024)
        self.assertEqual(0xEF53, struct.unpack_from("<H", superblock, 0x38)[0])
        return struct.unpack_from("<I", superblock, 0x60)[0] & 4 == 0

    def test_the_level_reached_is_told_and_true(self):
        for quiesce, level in (("never", "crash"), ("auto", "filesystem"), ("require", "filesystem"), (None, "filesystem")):
            with self.subTest(quiesce=quiesce):
                self.agent.run("echo something > /root/unsynced; sync /root/unsynced")
                start = time.monotonic()
                clone, capture = self.capture(**({"quiesce": quiesce} if quiesce else {}))
                took = time.monotonic() - start
                self.assertEqual(level, capture["consistency"], capture)
                self.assertEqual(level == "filesystem", capture["frozenFileSystems"] > 0)
                self.assertEqual(level == "filesystem", "consistencyReason" not in capture)
                self.assertLess(capture["frozenMicroseconds"], 2_000_000)
                self.assertEqual(level == "filesystem", self.journal_is_clean(clone))
                print(f"quiesce {quiesce}: {level}, job {took * 1000:.0f} ms, frozen {capture['frozenMicroseconds'] / 1000:.0f} ms, paused {capture['pausedMicroseconds'] / 1000:.1f} ms")
        self.assertEqual("thawed", self.agent.call("guest-fsfreeze-status"))

    def test_the_command_line_tells_the_level(self):
        def ramet(*arguments):
            done = subprocess.run([RAMET, *arguments], env=dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory), capture_output=True, text=True, timeout=60)
            self.assertEqual(0, done.returncode, done.stderr)
            return done.stdout

        for quiesce, told in (("never", r"crash \(No freeze was asked for\)"), ("require", r"filesystem \([1-9]\d* file systems frozen for \d+ ms\)")):
            self.agent.run("echo something > /root/told; sync")
            self.assertRegex(ramet("clone", "db01", "c", "--strategy", "CreateStopped", "--quiesce", quiesce), r"\ncapture:  " + told + "\n")
            job = self.api.get("/jobs?sort=-createDate&limit=1")["inventories"][0]["uuid"]
            self.assertRegex(ramet("job", "show", job), r"\ncapture +" + told + "\n")
            self.expunge_clones()

    def test_a_guest_without_an_agent_is_not_waited_for_and_cannot_be_required_to_freeze(self):
        self.in_background("sleep 1; cd /etc/ramet; cp agent /run/kept; echo \"#!/bin/sh\" > agent; echo \"exec sleep 8\" >> agent; killall qemu-ga; sleep 5; cp /run/kept agent")
        time.sleep(1.7)
        before = self.inventory()
        start = time.monotonic()
        with self.assertRaises(ApiError) as caught:
            self.api.clone(self.source["uuid"], ["x"], strategy="CreateStopped", quiesce="require")
        self.assertLess(time.monotonic() - start, 2)
        self.assertIn("quiesce", str(caught.exception))
        self.assertIn("No guest agent", str(caught.exception))
        self.assertEqual(before, self.inventory())
        took = {"never": [], "auto": []}
        for quiesce in ("never", "auto") * 4:
            start = time.monotonic()
            capture = self.capture(quiesce=quiesce)[1]
            took[quiesce].append((time.monotonic() - start) * 1000)
            self.assertEqual(("crash", 0), (capture["consistency"], capture["frozenFileSystems"]))
        self.assertIn("No guest agent", capture["consistencyReason"])
        print("jobs of a guest without an agent, ms:", {quiesce: [round(one) for one in times] for quiesce, times in took.items()})
        self.assertLess(min(took["auto"]), min(took["never"]) + 250)
        self.agent.call("guest-ping", 60)

    def test_an_agent_that_hangs_costs_little_and_is_remembered(self):
        self.in_background("sleep 1; killall -STOP qemu-ga; sleep 7; killall -CONT qemu-ga")
        time.sleep(1.7)
        times = []
        for _ in range(3):
            start = time.monotonic()
            capture = self.capture()[1]
            times.append(time.monotonic() - start)
            self.assertEqual("crash", capture["consistency"])
            self.assertIn("agent", capture["consistencyReason"])
        start = time.monotonic()
        with self.assertRaises(ApiError) as caught:
            self.api.clone(self.source["uuid"], ["x"], strategy="CreateStopped", quiesce="require")
        self.assertIn("agent", str(caught.exception))
        self.assertLess(time.monotonic() - start, 4)
        print("auto with a hung agent:", " ".join(f"{took * 1000:.0f}" for took in times), "ms (the first asks it)")
        self.assertLess(times[0], 0.5 + 2)
        self.assertLess(min(times[1:]), times[0])
        self.agent.call("guest-ping", 60)

    def test_paused_and_stopped_sources(self):
        self.agent.run("echo x > /root/p; sync")
        self.api.action(self.source["uuid"], "pauseVmInstance")
        try:
            start = time.monotonic()
            clone, capture = self.capture()
            self.assertLess(time.monotonic() - start, 2)
            self.assertEqual("paused", capture["consistency"])
            self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
            with self.assertRaises(ApiError) as caught:
                self.api.clone(self.source["uuid"], ["x"], strategy="CreateStopped", quiesce="require")
            self.assertIn("paused", str(caught.exception))
            self.assertEqual("Paused", self.api.vm(self.source["uuid"])["state"])
        finally:
            self.api.action(self.source["uuid"], "resumeVmInstance")
        self.assertEqual("stopped", self.capture(clone["uuid"], quiesce="require")[1]["consistency"])


    # --- a writer in the guest fsyncs every 10 ms and keeps its longest stall

    def start_writer(self, sysrq=1):
        self.agent.run(f"killall writer 2>/dev/null; rm -f /run/stall; echo {sysrq} > /proc/sys/kernel/sysrq")
        self.in_background("/run/writer stall /root/stall /run/stall")
        end = time.monotonic() + 20
        while self.agent.run("cat /run/stall 2>/dev/null; true") == "" and time.monotonic() < end:
            time.sleep(0.05)

    def stall(self):
        """(longest stall in seconds, writes so far)"""
        longest, writes = self.agent.run("cat /run/stall", 90).split()
        return int(longest) / 1000, int(writes)

    def assert_goes_on(self, what):
        """The writer writes now, and has never stood for longer than is allowed. Returns its longest stall."""
        writes = self.stall()[1]
        end = time.monotonic() + STALL_MAX
        while (now := self.stall())[1] <= writes + 1 and time.monotonic() < end:
            time.sleep(0.05)
        self.assertGreater(now[1], writes + 1, f"{what}: the guest writes no more")
        self.assertLess(now[0], STALL_MAX, what)
        print(f"{what}: longest stall {now[0] * 1000:.0f} ms of {now[1]} writes")
        return now[0]

    def test_an_ordinary_freeze_is_short(self):
        self.start_writer()
        for _ in range(3):
            self.assertEqual("filesystem", self.capture()[1]["consistency"])
        self.assertLess(self.assert_goes_on("three captures"), 2)

    def test_the_agent_is_stopped_in_the_middle_of_a_freeze(self):
        self.start_writer()
        self.stop_agent_in_a_freeze()

    def test_the_agent_is_stopped_in_a_guest_that_obeys_no_keys(self):
        self.start_writer(sysrq=438)  # Debian's default: of the keyboard's, neither this one nor those for signals
        self.stop_agent_in_a_freeze()

    def stop_agent_in_a_freeze(self):
        # The file systems stand still by then, or are about to; the agent goes on only after the stall would have been too long.
        error = None
        for pause in (50_000, 20_000, 5_000, 0):  # microseconds; on a fast machine a freeze may be over before the agent is stopped
            self.in_background(f"{WHEN_FREEZING} usleep {pause}; killall -STOP qemu-ga; sleep 10; killall -CONT qemu-ga")
            time.sleep(0.5)
            before = self.inventory()
            try:
                self.capture(quiesce="require")
            except ApiError as caught:
                error = str(caught)
                break
            self.expunge_clones()
            self.agent.call("guest-ping", 30)
        self.assertIsNotNone(error, "each freeze was over before the agent was stopped")
        self.assertIn("quiesce", error)
        self.assertEqual(before, self.inventory())
        self.assertEqual("crash", self.capture()[1]["consistency"])
        self.assert_goes_on("qemu-ga stopped in the middle of a freeze")
        self.assertEqual("thawed", self.agent.call("guest-fsfreeze-status"))

    def test_the_agent_is_killed_in_the_middle_of_a_freeze(self):
        self.start_writer()
        self.in_background(WHEN_FREEZING + "usleep 20000; killall -KILL qemu-ga")
        time.sleep(0.5)
        capture = self.capture()[1]
        self.assertIn(capture["consistency"], ("crash", "filesystem"))
        self.assert_goes_on("qemu-ga killed")
        self.assertEqual("thawed", self.agent.call("guest-fsfreeze-status"))

    def test_the_server_is_killed_at_every_point_of_a_freeze(self):
        self.start_writer()
        for point in ("quiesce.probed", "quiesce.guarded", "quiesce.frozen", "qemu.snapshot.stopped", "qemu.snapshot.cut", "quiesce.captured", "quiesce.thawed"):
            with self.subTest(point=point):
                self.restart(RAMET_CRASH_POINT=point)
                job = self.job_uuid()
                try:
                    self.start_clone(job=job)
                except OSError:
                    pass  # it died before it could answer
                self.server.process.wait(30)
                self.assertEqual(-signal.SIGKILL, self.server.process.returncode)
                self.assert_goes_on(f"rametd killed at {point}")  # nobody but the guard is there to see to it
                self.assert_no_guards()
                self.restart()
                capture = self.end_of(job)[1]
                self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
                if capture["consistency"] == "crash":
                    self.assertIn("server ended", capture["consistencyReason"])
                self.assertEqual("thawed", self.agent.call("guest-fsfreeze-status"))

    def restart(self, **environment):
        self.server.stop()
        self.server.start(**environment)
        type(self).api = self.server.api()


if __name__ == "__main__":
    unittest.main(verbosity=2)
