"""Garbage: what nobody owns is seen twice, put aside, and removed after its grace period; what a job may own is left alone."""
import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import unittest
import urllib.request
import uuid

from support import RAMET, World


class Garbage(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = pathlib.Path(cls.server.data_dir)
        cls.root = pathlib.Path(cls.api.rows("/primary-storage")[0]["url"])
        cls.images = pathlib.Path(cls.api.rows("/backup-storage")[0]["url"])

    def setUp(self):
        self.settings(second_look=1, grace=3600)

    def settings(self, second_look, grace, interval=1):
        for name, value in (("secondLook", second_look), ("gracePeriod", grace), ("lookInterval", interval)):
            self.api.put("/global-configurations/garbage/" + name + "/actions", {"updateGlobalConfig": {"value": str(value)}})

    def restart(self):
        """Also makes the new settings count at once."""
        self.server.stop()
        self.server.start()
        type(self).api = self.server.api()

    def plant(self, folder, name, sealed=False, within="stray"):
        path = folder / within / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"nobody's")
        if sealed:
            subprocess.run(["chattr", "+i", str(path)], check=False, stderr=subprocess.DEVNULL)
        return path

    def await_true(self, what, condition, patience=20):
        end = time.monotonic() + patience
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.1)

    def aside(self, folder, name):
        return list(folder.glob(f".quarantine/*/*-{name}"))

    def kinds(self):
        return {finding["kind"] for finding in self.doctor()}

    def test_files_are_seen_twice_put_aside_and_removed_after_their_grace(self):
        self.settings(second_look=5, grace=3600)  # so that a busy machine sees what is there before the second look
        run = self.data / "run" / uuid.uuid4().hex
        run.mkdir()
        files = {"layer.qcow2": self.root, "copy.qcow2.partial": self.root, "image.qcow2": self.images}
        planted = [self.plant(folder, name, sealed=name == "layer.qcow2") for name, folder in files.items()]
        seed = self.data / "seeds" / (uuid.uuid4().hex + ".iso")
        seed.parent.mkdir(exist_ok=True)
        seed.write_bytes(b"nobody's")
        firmware, memory = (self.data / kind / uuid.uuid4().hex for kind in ("firmware", "memory"))
        planted += [self.plant(firmware.parent, "nvram", within=firmware.name), self.plant(memory.parent, "ram", sealed=True, within=memory.name)]
        self.assertLessEqual({"file without row", "image file without row", "seed without VM", "run directory without VM", "firmware state without VM",
                              "memory image without row"}, self.kinds())
        violated = [invariant["number"] for invariant in self.api.get("/doctor")["invariants"] if invariant["state"] == "violated"]
        self.assertLessEqual({"I1"}, set(violated))
        self.restart()
        self.assertTrue(all(path.exists() for path in planted), "something was taken away at first sight")
        for name, folder in files.items():
            self.await_true(name + " was not put aside", lambda name=name, folder=folder: self.aside(folder, name))
        self.assertFalse(any(path.exists() for path in planted))
        for path in (seed, firmware, memory):
            self.assertTrue(self.aside(path.parent, path.name), path)
        self.assertEqual({"in quarantine", "run directory without VM"}, self.kinds())
        with urllib.request.urlopen(self.server.url + "/metrics") as answer:
            self.assertIn("ramet_garbage 7", answer.read().decode())
        names = [*files, seed.name, firmware.name, memory.name, run.name]
        self.assertEqual({name: 1 for name in names}, self.events_about("garbage-quarantined", names))
        self.settings(second_look=1, grace=1)
        self.await_true("the grace period is over and things are still there", lambda: not self.doctor())
        self.assertFalse(run.exists())
        self.assertEqual([], [path for kind in ("seeds", "firmware", "memory") for path in (self.data / kind).glob(".quarantine/*/*")])
        self.assertEqual({name: 1 for name in names}, self.events_about("garbage-removed", names))

    def events_about(self, event, names):
        messages = [row["message"] for row in self.api.rows("/events", "name=" + event)]
        return {name: sum(f"{name}: " in message for message in messages) for name in names}

    def test_a_process_without_a_vm_is_paused_then_removed_with_its_tap(self):
        self.settings(second_look=1, grace=3600)
        vm = self.api.create_vm("orphan", self.image["uuid"])
        self.server.stop()
        with sqlite3.connect(self.data / "ramet.db") as database:  # as if its rows were lost
            for table, column in (("used_ip", "vmNicUuid"),):
                database.execute(f'DELETE FROM {table} WHERE "{column}" IN (SELECT uuid FROM vm_nic WHERE "vmInstanceUuid" = ?)', (vm["uuid"],))
            for table in ("vm_nic", "volume"):
                for row in database.execute(f'SELECT uuid FROM {table} WHERE "vmInstanceUuid" = ?', (vm["uuid"],)).fetchall():
                    database.execute("DELETE FROM account_resource_ref WHERE \"resourceUuid\" = ?", row)
            database.execute('DELETE FROM layer WHERE "volumeUuid" IN (SELECT uuid FROM volume WHERE "vmInstanceUuid" = ?)', (vm["uuid"],))
            for table in ("vm_nic", "volume"):
                database.execute(f'DELETE FROM {table} WHERE "vmInstanceUuid" = ?', (vm["uuid"],))
            database.execute('DELETE FROM account_resource_ref WHERE "resourceUuid" = ?', (vm["uuid"],))
            database.execute("DELETE FROM vm_instance WHERE uuid = ?", (vm["uuid"],))
        database.close()
        self.server.start()
        type(self).api = self.server.api()
        wanted = "process without VM " + vm["uuid"]
        self.await_true("the process was not put aside", lambda: any(wanted in event["message"] for event in self.api.rows("/events", "name=garbage-quarantined")))
        self.assertIn("process without VM", self.kinds(), "it was removed, not paused")
        done = self.clean()
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertFalse((self.data / "run" / vm["uuid"]).exists())
        self.assertEqual([], self.doctor())

    @unittest.skipUnless(os.path.exists("/usr/bin/swtpm"), "swtpm is not installed")
    def test_the_process_of_a_tpm_that_no_running_vm_has_is_ended(self):
        vm = self.api.create_vm("with-tpm", self.image["uuid"], systemTags=["tpm::2.0"])
        run = str(self.data / "run" / vm["uuid"])
        programs = {int(entry.name): os.readlink(entry / "exe") for entry in pathlib.Path("/proc").glob("[0-9]*") if self.works_in(entry, run)}
        tpms = [pid for pid, program in programs.items() if program.endswith("swtpm")]
        self.assertEqual(1, len(tpms), programs)
        self.server.stop()
        os.kill(tpms[0], signal.SIGSTOP)  # else it ends with its QEMU
        for pid in set(programs) - set(tpms):
            os.kill(pid, signal.SIGKILL)
        with sqlite3.connect(self.data / "ramet.db") as database:  # or the server would end it when it finds that the VM has ended
            database.execute("UPDATE vm_instance SET state = 'Stopped' WHERE uuid = ?", (vm["uuid"],))
        database.close()
        self.server.start()
        type(self).api = self.server.api()
        self.assertIn("TPM process without VM", self.kinds())
        self.assertTrue(self.works_in(pathlib.Path(f"/proc/{tpms[0]}"), run), "it was ended at first sight")
        self.settings(second_look=1, grace=1)
        self.await_true("it was not ended", lambda: not self.works_in(pathlib.Path(f"/proc/{tpms[0]}"), run))
        self.api.action(vm["uuid"], "startVmInstance")  # its tap and seed are as of a VM that runs
        self.assertFalse(self.kinds())
        self.expunge(vm["uuid"])

    @staticmethod
    def works_in(process, directory):
        try:
            return os.readlink(process / "cwd") == directory
        except OSError:
            return False

    def clean(self):
        environment = dict(os.environ, RAMET_SERVER=self.server.url, RAMET_PASSWORD=self.server.password, XDG_CONFIG_HOME=self.directory)
        return subprocess.run([RAMET, "doctor", "--clean"], env=environment, capture_output=True, text=True, timeout=60)

    def test_what_an_older_job_may_own_is_left_alone(self):
        vm = self.deaf_vm("slow")
        job = uuid.uuid4().hex
        status, text, _ = self.api.send("PUT", f"/zstack/v1/vm-instances/{vm['uuid']}/actions", {"stopVmInstance": {}}, {"X-Job-UUID": job})
        self.assertEqual(202, status, text)
        path = self.plant(self.root, "mine.qcow2")
        for _ in range(3):
            self.api.put("/doctor/actions", {"cleanGarbage": {}})
            time.sleep(0.8)
        self.assertEqual(202, self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0], "the job has ended: nothing is shown")
        self.assertTrue(path.exists(), "a file that a job may own was taken away")
        self.api.send("DELETE", "/zstack/v1/jobs/" + job)
        self.await_true("the job does not end", lambda: self.api.send("GET", "/zstack/v1/api-jobs/" + job)[0] != 202)
        done = self.clean()
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertFalse(path.exists())
        self.expunge(vm["uuid"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
