"""kill -9 of the server at the named points of a look for garbage: the next server ends what was begun. What nobody owns goes to quarantine, and
from there; what has an owner stays."""
import pathlib
import sqlite3
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support import World  # noqa: E402

# The first look sees, a later one puts aside, a later one removes; each passes the first two points.
POINTS = ["garbage-decided", "garbage-decided#2", "garbage-put-aside", "garbage-put-aside#2", "garbage-removed", "garbage-removed#2", "garbage-removed#5"]


class GarbageKill(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = pathlib.Path(cls.server.data_dir)
        cls.primary, cls.images = (pathlib.Path(cls.api.rows(path)[0]["url"]) for path in ("/primary-storage", "/backup-storage"))
        cls.vm = cls.api.create_vm("owner", cls.image["uuid"], strategy="CreateStopped")
        for name, seconds in (("secondLook", 1), ("gracePeriod", 1), ("lookInterval", 1)):
            cls.api.put("/global-configurations/garbage/" + name + "/actions", {"updateGlobalConfig": {"value": str(seconds)}})

    def plant(self):
        """Five things of nobody's; the layer is sealed."""
        files = [self.primary / "stray/layer.qcow2", self.primary / "stray/copy.qcow2.partial", self.images / "stray/image.qcow2", self.data / "seeds" / (uuid.uuid4().hex + ".iso")]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"nobody's")
        subprocess.run(["chattr", "+i", str(files[0])], check=False, stderr=subprocess.DEVNULL)
        run = self.data / "run" / uuid.uuid4().hex
        run.mkdir()
        return [*files, run]

    def owned(self):
        return sorted({path for folder in (self.data, self.primary, self.images) for path in folder.rglob("*.qcow2")})

    def in_rows(self):
        with sqlite3.connect(f"file:{self.data / 'ramet.db'}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT count(*) FROM garbage").fetchone()[0]
        database.close()
        return rows

    def test_a_look_that_was_cut_short_is_ended_by_the_next_server(self):
        for point in POINTS:
            with self.subTest(point=point):
                before = self.owned()
                self.server.stop()
                planted = self.plant()
                self.server.start(wait=False, RAMET_CRASH_POINT=point)
                self.assertEqual(-9, self.server.process.wait(30), f"{point} was never passed")
                self.server.start()
                type(self).api = self.server.api()
                end = time.monotonic() + 30
                while (self.in_rows() or self.doctor()) and time.monotonic() < end:
                    time.sleep(0.1)
                self.assertEqual([], self.doctor())
                self.assertEqual([], [path for path in planted if path.exists()])
                self.assertEqual((before, []), (self.owned(), list(self.data.rglob(".quarantine/*/*"))))
                self.assertEqual("Stopped", self.api.vm(self.vm["uuid"])["state"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
