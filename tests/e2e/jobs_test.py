"""Jobs on real guests: progress, events, cancel in every phase, repeated calls, web hooks over a restart, waiting for guests."""
import contextlib
import fcntl
import http.server
import json
import os
import pathlib
import pty
import re
import struct
import subprocess
import termios
import threading
import time
import unittest
import urllib.request
import uuid

from support import RAMET, Agent, World

THICK = ["volumeProvisioningStrategy::ThickProvisioning"]
CANCEL_SECONDS = 2.0


def new_uuid():
    return uuid.uuid4().hex


class HookReceiver:
    """Takes web hooks; refuses them while `closed`."""

    def __init__(self):
        receiver = self
        self.received, self.closed = [], True

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((dict(self.headers), json.loads(body)))
                self.send_response(503 if receiver.closed else 200)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Jobs(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"])
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping")
        # Enough bytes that a real copy takes a while.
        cls.agent.run("dd if=/dev/urandom of=/root/ballast bs=1M count=96 2>/dev/null; sync", 120)
        zone = cls.api.rows("/zones")[0]["uuid"]
        cls.second = cls.api.post("/primary-storage/local-storage", {"params": {"name": "second", "url": cls.directory + "/second", "zoneUuid": zone}})["inventory"]
        cls.path = f"/zstack/v1/vm-instances/{cls.source['uuid']}/actions"

    def tearDown(self):
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.expunge(vm["uuid"])
        self.assert_nothing_left_over()

    def start_clone(self, *names, headers=None, **more):
        job = new_uuid()
        status, text, _ = self.api.send("PUT", self.path, {"cloneVmInstance": {"names": list(names), **more}}, {"X-Job-UUID": job, **(headers or {})})
        self.assertEqual(202, status, text)
        return job

    def slow_copy(self, *names, bandwidth=64 << 20, **more):
        more["bandwidth"] = bandwidth
        return self.start_clone(*names, strategy="CreateStopped", primaryStorageUuidForRootVolume=self.second["uuid"], rootVolumeSystemTags=THICK, **more)

    def job(self, job):
        return self.api.get("/jobs/" + job)

    def until(self, condition, seconds=30, pause=0.02):
        end = time.monotonic() + seconds
        while not (value := condition()):
            self.assertLess(time.monotonic(), end, "it did not become so in time")
            time.sleep(pause)
        return value

    def ended(self, job, seconds=60):
        self.until(lambda: detail_has_ended(self.job(job)), seconds)
        return self.job(job)

    def events(self, job):
        request = urllib.request.Request(f"{self.server.url}/zstack/v1/jobs/{job}/events", headers={"Authorization": "OAuth " + self.api.session})
        with urllib.request.urlopen(request, timeout=120) as answer:
            self.assertIn("text/event-stream", answer.headers["Content-Type"])
            name = None
            for line in answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])

    def test_progress_in_bytes_is_monotone_over_events_and_polling(self):
        names = [f"copy-{i}" for i in range(12)]
        job = self.slow_copy(*names)
        polled = []

        def poll():
            while not detail_has_ended(detail := self.job(job)):
                polled.append(detail)
                time.sleep(0.05)

        poller = threading.Thread(target=poll)
        poller.start()
        seen = list(self.events(job))
        poller.join()
        self.assertEqual(("end", "Succeeded"), (seen[-1][0], seen[-1][1]["state"]))
        self.assertEqual(12, seen[-1][1]["result"]["result"]["numberOfClonedVm"])
        self.assertEqual(1, sum(name == "end" for name, _ in seen))
        for source in ([data for name, data in seen if name == "progress"], polled):
            for field in ("progress", "done", "total"):
                values = [one[field] for one in source if field in one]
                self.assertEqual(sorted(values), values, field)
            for branch in map(str, range(12)):
                entries = [entry for one in source for entry in one["branches"] if entry["branch"] == branch]
                for field in ("progress", "done", "total"):
                    values = [entry[field] for entry in entries if field in entry]
                    self.assertEqual(sorted(values), values, field)
                told = [entry for entry in entries if "total" in entry]
                self.assertEqual([], [entry for entry in told if entry["done"] > entry["total"]])
                going = [entry for entry in told if entry["rate"] > 0 and entry["done"] < entry["total"]]
                self.assertTrue(going, f"branch {branch} tells no rate")
                self.assertEqual([], [entry for entry in going if abs(entry["secondsLeft"] - (entry["total"] - entry["done"]) / entry["rate"]) > 1.01])
        counted = [one for name, one in seen if name == "progress" and one.get("total", 0) > 0]
        self.assertTrue(any(one["rate"] > 0 and one.get("secondsLeft") is not None for one in counted), counted)
        self.assertEqual(set(names), {entry["name"] for one in counted for entry in one["branches"]})
        steps = [(data.get("branch"), data["name"]) for name, data in seen if name == "step" and data["status"] == "done"]
        self.assertEqual({(None, "capture"), *((str(i), "materialize") for i in range(12))}, set(steps))
        history = self.job(job)["steps"]
        self.assertEqual({"capture", "materialize"}, {step["name"] for step in history})
        self.assertTrue(all(step["ms"] >= 0 and step["start"] and step["finish"] for step in history))
        tasks = self.api.get(f"/task-progresses/{job}?all=true")["inventories"]
        self.assertEqual([(job, "CloneVmInstance", "100")], [(one["taskUuid"], one["taskName"], one["content"]) for one in tasks])

    def cancel_and_check(self, job):
        before = time.monotonic()
        self.api.delete("/jobs/" + job)
        self.until(lambda: detail_has_ended(self.job(job)), 30)
        took = time.monotonic() - before
        detail = self.job(job)
        self.assertEqual("Canceled", detail["state"], detail)
        self.assertNotIn("@cause", {step["name"] for step in detail["steps"]})
        self.assertEqual([self.source["uuid"]], [vm["uuid"] for vm in self.api.rows("/vm-instances")])
        self.assert_nothing_left_over()
        self.assertEqual("Running", self.api.vm(self.source["uuid"])["state"])
        self.assertEqual("alive", self.agent.run("echo alive"))
        self.assertLess(took, CANCEL_SECONDS)
        print(f"cancelled in {took:.2f} s", flush=True)

    def test_cancel_during_a_slow_copy(self):
        job = self.slow_copy(*[f"copy-{i}" for i in range(12)])
        self.until(lambda: any(branch.get("done", 0) > 0 for branch in self.job(job)["branches"]), 60)
        self.cancel_and_check(job)

    def test_cancel_at_once_and_while_booting_and_while_waiting_for_the_guest(self):
        self.cancel_and_check(self.start_clone("a", "b"))
        job = self.start_clone("a", "b")
        self.until(lambda: any(step["name"] == "boot" for step in self.job(job)["steps"]))
        if not detail_has_ended(self.job(job)):
            self.cancel_and_check(job)
        self.tearDown()
        job = self.start_clone("a", waitFor="ip")
        self.until(lambda: any(step["name"] == "await-guest" and step["status"] == "running" for step in self.job(job)["steps"]))
        self.cancel_and_check(job)

    def test_a_job_behind_others_is_cancelled_as_quickly(self):
        busy = self.slow_copy(*[f"busy-{i}" for i in range(24)], bandwidth=8 << 20)  # every thread that copies, for some time
        self.until(lambda: sum(step["name"] == "materialize" for step in self.job(busy)["steps"]) >= 4, 60)
        waiting = self.start_clone("waiting", strategy="CreateStopped")
        self.until(lambda: self.job(waiting)["state"] == "Running")
        before = time.monotonic()
        self.api.delete("/jobs/" + waiting)
        self.until(lambda: detail_has_ended(self.job(waiting)))
        self.assertLess(time.monotonic() - before, CANCEL_SECONDS)
        self.assertEqual("Canceled", self.job(waiting)["state"])
        self.assertFalse(detail_has_ended(self.job(busy)), "the busy job was to be slower")
        self.cancel_and_check(busy)

    def test_ten_calls_with_one_key_are_one_job_also_after_a_restart(self):
        key = {"Idempotency-Key": "clone-" + new_uuid()}
        body = {"cloneVmInstance": {"names": ["once"], "strategy": "CreateStopped"}}
        answers = []
        callers = [threading.Thread(target=lambda: answers.append(self.api.send("PUT", self.path, body, key)[:2])) for _ in range(10)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        self.assertEqual({200}, {status for status, _ in answers}, answers)
        self.assertEqual(1, len({text for _, text in answers}))
        self.assertEqual(1, len(self.api.rows("/vm-instances", "name=once")))
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()
        self.assertEqual(answers[0], self.api.send("PUT", self.path, body, key)[:2])
        self.assertEqual(1, len(self.api.rows("/vm-instances", "name=once")))
        status, text, _ = self.api.send("PUT", self.path, {"cloneVmInstance": {"names": ["twice"]}}, key)
        self.assertEqual((409, True), (status, "another body" in text), text)
        zone = {"params": {"name": "z"}}
        first = self.api.send("POST", "/zstack/v1/zones", zone, {"Idempotency-Key": "zone"})[:2]
        self.assertEqual(first, self.api.send("POST", "/zstack/v1/zones", zone, {"Idempotency-Key": "zone"})[:2])
        self.assertEqual(1, len(self.api.rows("/zones", "name=z")))
        self.api.delete("/zones/" + json.loads(first[1])["inventory"]["uuid"])

    def test_a_key_holds_for_every_call_that_starts_a_job(self):
        volume = self.source["rootVolumeUuid"]
        key = {"Idempotency-Key": "kept-" + new_uuid()}
        answers = [self.api.send("POST", f"/zstack/v1/volumes/{volume}/volume-snapshots", {"params": {"name": "kept"}}, key)[:2] for _ in range(2)]
        self.assertEqual((200, answers[0]), (answers[0][0], answers[1]))
        kept = self.api.rows("/volume-snapshots", "name=kept")
        self.assertEqual(1, len(kept))
        self.api.delete("/volume-snapshots/" + kept[0]["uuid"])

    def test_a_call_that_failed_lets_its_key_go(self):
        key = {"Idempotency-Key": "retry-" + new_uuid()}
        job = self.start_clone("a", headers=key, waitFor="ip", waitForSeconds=1, strategy="InstantStart")
        self.api.delete("/jobs/" + job)
        self.ended(job)
        again = self.start_clone("a", headers=key, strategy="CreateStopped")
        self.assertEqual("Succeeded", self.ended(again)["state"])

    def test_a_web_hook_survives_a_restart(self):
        receiver = HookReceiver()
        self.addCleanup(receiver.close)
        job = self.start_clone("hooked", headers={"X-Web-Hook": receiver.url}, strategy="CreateStopped")
        self.assertEqual("Succeeded", self.ended(job)["state"])
        self.until(lambda: receiver.received)
        self.server.stop()
        before = len(receiver.received)
        receiver.closed = False
        self.server.start()
        type(self).api = self.server.api()
        headers, body = self.until(lambda: receiver.received[before] if len(receiver.received) > before else None)
        self.assertEqual((job, "true", "SUCCESS"), (headers["X-Job-UUID"], headers["X-Job-Success"], headers["X-Job-Batch"]))
        self.assertEqual(1, body["result"]["numberOfClonedVm"])
        time.sleep(2.5)  # a pause between tries: delivered means that no further try is made
        self.assertEqual(before + 1, len(receiver.received))

    def test_wait_for_decides_when_a_clone_counts_as_made(self):
        for what in ("agent", "ip"):
            clone = self.api.clone(self.source["uuid"], ["w-" + what], waitFor=what)["inventories"][0]["inventory"]
            guest = Agent(self.server.data_dir, clone["uuid"])
            guest.call("guest-ping", 15)  # it answers; another may be speaking with it
            if what == "ip":
                self.assertIn(clone["vmNics"][0]["ip"] + "/", guest.run("ip -4 -o addr show dev eth0", 15))
        clone = self.api.clone(self.source["uuid"], ["w-created"], waitFor="created")["inventories"][0]["inventory"]
        self.assertIn(clone["state"], ("Stopped", "Starting", "Running"))
        self.until(lambda: self.api.vm(clone["uuid"])["state"] == "Running")
        result = self.api.clone(self.source["uuid"], ["w-late", "w-later"], waitFor="agent", waitForSeconds=1)
        self.assertEqual(0, result["numberOfClonedVm"])
        for entry in result["inventories"]:
            self.assertIn("the guest agent did not answer within 1 s", entry["error"]["details"])
        self.assertEqual([], self.api.rows("/vm-instances", "name~=w-late%"))
        self.refused("SYS.1007", "waitFor", call=lambda: self.api.clone(self.source["uuid"], ["x"], waitFor="ip", strategy="CreateStopped"))

    def ramet(self, *arguments, **more):
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        return subprocess.run([RAMET, *arguments], env=environment, capture_output=True, text=True, timeout=90, **more)

    def on_a_terminal(self, *arguments):
        """The exit code, and all that a terminal of 100 columns was told."""
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        with subprocess.Popen([RAMET, *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            said = b""
            with contextlib.suppress(OSError):  # the end of a terminal
                while piece := os.read(ours, 65536):
                    said += piece
            os.close(ours)
            return process.wait(60), said.decode()

    def test_command_line_draws_a_bar_per_clone_on_a_terminal(self):
        code, said = self.on_a_terminal("clone", "web01", "bar-{01..12}", "--strategy", "CreateStopped", "--root-storage", "second", "--root-tag", THICK[0])
        self.assertEqual(0, code, said)
        of_one = re.findall(r"bar-\d\d +\[#+ +\] +\d+% materialize +[\d.]+ \w+ of ([\d.]+) MiB", said)
        self.assertTrue(of_one, said)
        self.assertTrue(all(0 < float(size) < 256 for size in of_one), of_one)  # what is written of a disk of 256 MiB
        self.assertRegex(said, r"Running +\[#+ +\] +\d+% [\d.]+ \w+ of [\d.]+ [MG]iB")
        self.assertRegex(said, r"bar-12 +Stopped")
        code, said = self.on_a_terminal("clone", "web01", "late-{1..2}", "--wait-for", "agent", "--wait-seconds", "1")
        self.assertEqual((1, 2), (code, said.count("the guest agent did not answer")), said)

    def test_command_line_repeats_safely_and_has_a_hook_called(self):
        receiver = HookReceiver()
        receiver.closed = False
        self.addCleanup(receiver.close)
        command = ["-o", "json", "--idempotency-key", "nightly 7", "--web-hook", receiver.url, "clone", "web01", "again", "--strategy", "CreateStopped"]
        answers = [self.ramet(*command) for _ in range(2)]
        self.assertEqual([0, 0], [answer.returncode for answer in answers], answers)
        self.assertEqual(*[json.loads(answer.stdout)["result"]["inventories"][0]["inventory"]["uuid"] for answer in answers])
        self.assertEqual(1, len(self.api.rows("/vm-instances", "name=again")))
        headers, body = self.until(lambda: receiver.received and receiver.received[0])
        self.assertEqual(("true", 1), (headers["X-Job-Success"], body["result"]["numberOfClonedVm"]))
        other = self.ramet(*command[:-1], "InstantStart")
        self.assertEqual(1, other.returncode, other.stdout)
        self.assertIn("dempotency-Key", other.stderr)
        self.assertEqual(2, self.ramet("--web-hook", "http://x\r\nAuthorization: y", "vm", "list").returncode)

    def test_a_cancelled_job_leaves_the_layer_that_a_later_capture_stands_on(self):
        slow = self.slow_copy("slow", bandwidth=1 << 20)
        self.until(lambda: any(step["name"] == "materialize" for step in self.job(slow)["steps"]), 60)
        self.agent.run("date > /root/between; sync")  # so that the next capture cannot be the one before
        self.ended(self.start_clone("later", strategy="CreateStopped"))
        self.api.delete("/jobs/" + slow)
        self.assertEqual("Canceled", self.ended(slow)["state"])
        self.assert_nothing_left_over()
        later = self.api.rows("/vm-instances", "name=later")[0]
        subprocess.run(["qemu-img", "check", later["allVolumes"][0]["installPath"]], check=True, stdout=subprocess.DEVNULL)
        self.api.action(self.source["uuid"], "rebootVmInstance")
        self.agent.call("guest-ping", 120)
        self.agent.run("test -s /root/between")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make a directory immutable")
    def test_a_job_whose_undo_gave_up_is_taken_up_again(self):
        job = self.start_clone("kept", waitFor="ip")
        clone = self.until(lambda: self.api.rows("/vm-instances?q=name=kept"), 60)[0]
        directory = pathlib.Path(self.server.data_dir, "run", clone["uuid"])
        self.until(lambda: (directory / "pid").exists(), 60)
        subprocess.run(["chattr", "+i", directory], check=True)
        try:
            self.assertEqual(1, self.ramet("job", "cancel", job).returncode)
            self.assertEqual("Stuck", self.job(job)["state"])
            again = self.ramet("job", "retry", job)
            self.assertEqual((1, f"{job} Stuck\n"), (again.returncode, again.stdout), again.stderr)
            self.assertIn("ramet job retry", self.ramet("doctor").stdout)
        finally:
            subprocess.run(["chattr", "-i", directory], check=True)
        again = self.ramet("job", "retry", job)
        self.assertEqual((0, f"{job} Canceled\n"), (again.returncode, again.stdout), again.stderr)
        refused = self.ramet("job", "retry", job)
        self.assertEqual(1, refused.returncode)
        self.assertIn("only a job that is Stuck can be tried again; this one is Canceled", refused.stderr)

    def test_command_line_watches_shows_and_cancels(self):
        job = self.slow_copy("cli-a", *[f"more-{i}" for i in range(11)])
        watched = self.ramet("job", "watch", job)
        self.assertEqual(0, watched.returncode, watched.stderr)
        self.assertRegex(watched.stdout, r"cli-a: materialize done in \d+ ms")
        self.assertRegex(watched.stdout, r"Running \d+%, [\d.]+ \w+ of [\d.]+ \w+")
        shown = self.ramet("job", "show", job)
        self.assertRegex(shown.stdout, r"state +Succeeded[\s\S]*CLONE +STEP +STATUS[\s\S]*0 +materialize +done")
        job = self.slow_copy(*[f"cli-{i}" for i in range(24)])
        self.until(lambda: any(branch.get("done", 0) > 0 for branch in self.job(job)["branches"]), 60)
        cancelled = self.ramet("job", "cancel", job)
        self.assertEqual((0, f"{job} Canceled\n"), (cancelled.returncode, cancelled.stdout), cancelled.stderr)
        self.assertEqual(1, self.ramet("job", "watch", job).returncode)
        self.assertEqual(2, self.ramet("job", "watch", "nonsense").returncode)
        self.assertEqual(1, self.ramet("clone", "web01", "cli-late", "--wait-for", "agent", "--wait-seconds", "1").returncode)


def detail_has_ended(detail):
    return detail["state"] in ("Succeeded", "Failed", "Canceled", "Stuck")


if __name__ == "__main__":
    unittest.main(verbosity=2)
