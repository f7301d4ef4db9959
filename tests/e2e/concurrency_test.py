"""Many at once: four hundred clones of one running source, jobs that meet on one VM, and copies that keep nobody waiting."""
import json
import re
import threading
import time
import unittest
import uuid

from support import Agent, Api, World

CLIENTS, NAMES = 20, 20


def at_once(count, work):
    """Runs work(0) .. work(count - 1) on a thread each, from one moment on; their results, and what they raised."""
    barrier, results, errors = threading.Barrier(count), [None] * count, []

    def run(index):
        barrier.wait()
        try:
            results[index] = work(index)
        except Exception as error:  # noqa: BLE001 - shown by the caller's assertion
            errors.append(f"{index}: {error}")

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, errors


class Concurrency(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.api.create_vm("web01", cls.image["uuid"])
        cls.agent = Agent(cls.server.data_dir, cls.source["uuid"])
        cls.agent.call("guest-ping")

    def begin(self, vm, key, parameters):
        """Starts a job without waiting for it."""
        job = uuid.uuid4().hex
        status, text, _ = self.api.send("PUT", f"/zstack/v1/vm-instances/{vm}/actions", {key: parameters}, {"X-Job-UUID": job})
        self.assertEqual(202, status, text)
        return job

    def has_ended(self, job):
        return self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] != 202

    def end_of(self, job, patience=60):
        end = time.monotonic() + patience
        while not self.has_ended(job):
            self.assertLess(time.monotonic(), end, f"job {job} does not end")
            time.sleep(0.05)
        return self.api.get("/jobs/" + job)

    def test_twenty_requests_of_twenty_names_make_four_hundred_clones(self):
        jobs = [uuid.uuid4().hex for _ in range(CLIENTS)]

        def request(index):
            api = Api(self.server.url)
            api.session = self.api.session
            body = {"cloneVmInstance": {"names": [f"c{index:02}-{name:02}" for name in range(NAMES)], "strategy": "CreateStopped"}}
            status, text, _ = api.send("PUT", f"/zstack/v1/vm-instances/{self.source['uuid']}/actions", body, {"X-Job-UUID": jobs[index]})
            if status != 202:
                raise RuntimeError(f"HTTP {status}: {text}")

        _, errors = at_once(CLIENTS, request)
        self.assertEqual([], errors)
        captures = 0
        for job in jobs:
            ended = self.end_of(job)
            self.assertEqual("Succeeded", ended["state"], ended)
            captures += 0 if ended["detail"]["capture"]["layersReused"] else 1
            self.assertNotIn("locked", json.dumps(ended).lower())
        clones = [vm for vm in self.api.rows("/vm-instances", "state=Stopped") if re.fullmatch(r"c\d\d-\d\d", vm["name"])]
        self.assertEqual(CLIENTS * NAMES, len(clones))
        self.assertEqual({f"c{index:02}-{name:02}" for index in range(CLIENTS) for name in range(NAMES)}, {vm["name"] for vm in clones})
        for what in ("mac", "ip"):
            self.assertEqual(CLIENTS * NAMES, len({vm["vmNics"][0][what] for vm in clones}), what)
        self.assertLessEqual(captures, CLIENTS)
        self.assertEqual("alive", self.agent.run("echo alive"))
        self.assertEqual({}, self.violated())
        for vm in clones:  # each a job: the rest of the class wants the machine for itself
            self.api.send("DELETE", "/zstack/v1/vm-instances/" + vm["uuid"], headers={"Prefer": "respond-async"})

    def test_jobs_that_meet_on_one_vm_run_one_after_another(self):
        vm = self.api.clone(self.source["uuid"], ["met"], strategy="CreateStopped")["inventories"][0]["inventory"]
        actions = ["startVmInstance", "stopVmInstance", "cloneVmInstance"] * 4
        parameters = {"stopVmInstance": {"type": "cold"}, "cloneVmInstance": {"names": ["of-met"], "strategy": "CreateStopped"}}
        jobs = [self.begin(vm["uuid"], action, parameters.get(action, {})) for action in actions]
        ends = [self.end_of(job) for job in jobs]
        self.assertTrue(all(job["state"] in ("Succeeded", "Failed") for job in ends), ends)
        self.assertGreater(len([job for job in ends if job["state"] == "Succeeded"]), 0)
        self.assertIn(self.api.vm(vm["uuid"])["state"], ("Running", "Stopped"))
        self.assertEqual({}, self.violated())
        self.api.action(vm["uuid"], "stopVmInstance", type="cold")

    def test_copies_and_graceful_stops_keep_no_other_job_and_no_request_waiting(self):
        deaf = [self.deaf_vm(f"deaf{i}") for i in range(3)]
        # More of each than there are threads for quick jobs (8): every one of these used to hold one.
        hanging = [self.begin(vm["uuid"], "stopVmInstance", {}) for vm in deaf]
        hanging += [self.begin(vm["uuid"], "startVmInstance", {}) for vm in deaf for _ in range(4)]
        # The bandwidth makes them slow on any machine.
        thick = {"strategy": "CreateStopped", "bandwidth": 4 << 20, "rootVolumeSystemTags": ["volumeProvisioningStrategy::ThickProvisioning"]}
        copies = [self.begin(self.source["uuid"], "cloneVmInstance", {"names": [f"thick{i}-{k}" for k in range(6)], **thick}) for i in range(9)]
        done = 0
        for i in range(5):
            result = self.api.clone(self.source["uuid"], [f"quick{i}"], strategy="CreateStopped")
            self.assertEqual(1, result["numberOfClonedVm"])
            self.assertEqual(1, len(self.api.rows("/zones")))
            done += 1
            if all(self.has_ended(job) for job in copies):
                break
        self.assertTrue(any(not self.has_ended(job) for job in copies), f"all copies had ended after {done} quick clones: the quick ones waited for them")
        self.assertTrue(all(not self.has_ended(job) for job in hanging), "nothing hung")
        for job in copies + hanging:
            self.api.send("DELETE", "/zstack/v1/jobs/" + job)
        for job in copies + hanging:
            self.assertIn(self.end_of(job)["state"], ("Canceled", "Succeeded", "Failed"))
        for vm in deaf:
            self.expunge(vm["uuid"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
