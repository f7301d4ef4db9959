"""Servers side by side that are killed and started again: while one starts, the other clones. Each has its own data directory, source and guest."""
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support import TINY, Agent, Server, remove_tree  # noqa: E402


class Wrong(Exception):
    """Something is left over, or lost, after a kill."""


class Lane:
    """A server with the running VM `web01`. A kill is judged when it is over: every job has ended, the source runs, nothing is left over."""

    def __init__(self, source_tags=()):
        self.directory = tempfile.mkdtemp(prefix="ramet-kill-")
        self.server = Server(pathlib.Path(self.directory) / "data").start()
        self.source_tags, self.seeds, self.kills = list(source_tags), self.server.data_dir / "seeds", 0

    def boot_source(self):
        self.api = self.server.api()  # one login: thousands of kills would make more sessions than an account may have
        self.image = self.api.add_image(TINY)
        self.source = self.api.create_vm("web01", self.image["uuid"], systemTags=self.source_tags)
        self.agent = Agent(self.server.data_dir, self.source["uuid"])
        self.agent.call("guest-ping", patience=180)  # two boot at once

    def close(self):
        if self.server.process.poll() is not None:
            self.server.start()
        violated = self.wrongs()
        done = self.server.teardown()
        remove_tree(self.directory)
        if violated or done.returncode:
            raise Wrong(f"in the end: {violated} {done.stderr}")

    def restart(self, point=""):
        self.server.stop()
        self.server.start(RAMET_CRASH_POINT=point)

    def has_died(self):
        return self.server.process.poll() is not None

    def come_back(self, points, job):
        """Starts the server that was killed; it is killed at each of `points` while it takes up the job, then starts for good. Counts the kills."""
        for point in points:
            self.server.start(wait=False, RAMET_CRASH_POINT=point)
            if self.server.process.stdout.readline():  # nothing: it died before it was ready
                self.await_death_or(lambda: self.has_ended(job))
            else:
                self.server.process.wait(10)
            if self.has_died():
                self.kills += 1
            else:
                self.server.stop()
        self.server.start()

    def await_death_or(self, ended, patience=30):
        end = time.monotonic() + patience
        while not self.has_died() and time.monotonic() < end:
            try:
                if ended():
                    time.sleep(0.05)  # what follows the end may be a point too
                    return
            except OSError:
                pass
            time.sleep(0.02)

    def await_step(self, job, name, patience=30):
        end = time.monotonic() + patience
        while not any(step["name"] == name for step in self.api.get("/jobs/" + job)["steps"]) and time.monotonic() < end:
            time.sleep(0.02)

    def has_ended(self, job):
        return self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] != 202

    def killed_in_clone(self, point, names=("a", "b", "c"), later=(), failing=False, cancel=False, **parameters):
        """Whether the server passed `point`. `later`: points of the servers that take the job up. `failing`: no clone can start."""
        self.agent.run("echo x >> /root/log; sync")  # else the capture has nothing to do
        try:
            self.restart(point)
        except (RuntimeError, OSError):  # a job that the server asks for itself, at its start, was the first to pass
            self.require(self.server.process.wait(10) == -9, point, f"the server did not start: {self.server.log_tail()}")
            self.kills += 1
            self.come_back((), None)
            self.judge(point)
            return True
        if failing:
            self.allow_seeds(False)
        job = uuid.uuid4().hex
        body = {"cloneVmInstance": {"names": list(names), **parameters}}
        try:
            self.api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", body, {"X-Job-UUID": job})
            if cancel:
                self.await_step(job, "materialize")  # before it there is nothing to take back
                self.api.send("DELETE", "/zstack/v1/jobs/" + job)
            self.await_death_or(lambda: self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] != 202)
        except OSError:  # it died before it could answer
            self.await_death_or(lambda: False, patience=5)
        passed = self.has_died()
        if passed:
            self.kills += 1
            self.require(self.server.process.returncode == -9, point, f"the server ended with {self.server.process.returncode}: {self.server.log_tail()}")
            self.come_back(later, job)
        status, text = self.end_of(job)
        self.require(status in (200, 503, 404), point, f"{status} {text}")  # 404: killed before anything was committed
        if failing:
            self.allow_seeds(True)
        self.require(not failing or status != 200, point, f"clones that cannot start were made: {text}")
        self.judge(point)
        for vm in self.api.rows("/vm-instances"):
            if vm["uuid"] != self.source["uuid"]:
                self.api.delete("/vm-instances/" + vm["uuid"])
                if self.api.vm(vm["uuid"]):
                    self.api.action(vm["uuid"], "expungeVmInstance")
        self.judge(point)
        return passed

    def allow_seeds(self, allowed):
        """A VM whose seed cannot be written is not started."""
        subprocess.run(["chattr", "-i" if allowed else "+i", str(self.seeds)], check=True)

    def end_of(self, job, patience=60):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            status, text, _ = self.api.send("GET", "/zstack/v1/api-jobs/" + job)
            if status != 202:
                return status, text
            time.sleep(0.05)
        raise Wrong(f"job {job} has not ended {patience} s after the restart")

    def require(self, condition, point, what):
        if not condition:
            raise Wrong(f"{point}: {what}")

    def wrongs(self):
        doctor = self.api.get("/doctor")
        return doctor["findings"] + [invariant for invariant in doctor["invariants"] if invariant["state"] == "violated"]

    def judge(self, point, patience=10):
        end = time.monotonic() + patience
        while (wrongs := self.wrongs()) and time.monotonic() < end:
            time.sleep(0.1)
        self.require(not wrongs, point, f"left over, or violated: {wrongs}")
        self.require(self.api.vm(self.source["uuid"])["state"] == "Running", point, "the source does not run")
        self.require(self.agent.run("echo alive") == "alive", point, "the source's guest does not answer")


def side_by_side(lanes, cases, run):
    """run(lane, case) for each case, on whichever lane is idle; {case: result or the exception}."""
    waiting, results = queue.SimpleQueue(), {}
    for case in cases:
        waiting.put(case)

    def work(lane):
        while True:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                results[case] = run(lane, case)
            except Exception as error:  # noqa: BLE001 - shown by the caller
                results[case] = error

    threads = [threading.Thread(target=work, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def each_alone(lanes, work):
    """work(lane) for all lanes at once; what they returned or raised."""
    results = [None] * len(lanes)

    def run(index):
        try:
            results[index] = work(lanes[index])
        except Exception as error:  # noqa: BLE001 - shown by the caller
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(lanes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
