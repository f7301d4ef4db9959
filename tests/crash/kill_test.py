"""kill -9 of the server at all four points of every step of a three-name clone of a running source - before the intent is committed, after it,
after the effect, after the result -, of every undo, of the recovery and of the garbage collector, and at the named points in between. After a
restart every job is terminal, the source runs and nothing is left that nobody owns."""
import os
import pathlib
import random
import time
import unittest
import uuid

from lanes import Lane, Wrong, each_alone, side_by_side

NIGHTLY = os.environ.get("RAMET_CAMPAIGN") == "nightly"
ROUNDS = 10 if NIGHTLY else 1
LANES = 2
TRIES = 3

DO = [f"step-{when}" for when in ("before-intent", "after-intent", "after-effect", "after-done")]
UNDO = [f"undo-{when}" for when in ("before-intent", "after-intent", "after-effect", "after-done")]
STOPPED_STEPS = range(1, 5)  # capture, three times materialize; of a clone that is started the boots come after
UNDONE_STEPS = range(1, 8) if NIGHTLY else (1, 4, 7)  # three boots, three disks, the capture
BETWEEN = ["job-before-reserve", "job-after-reserve", "overlay-written", "captured-before-rows", "captured", "layer-written", "job-before-report", "job-after-report",
           "qemu.snapshot.stopped", "qemu.snapshot.cut", "storage.partial-whole", "storage.renamed", "layer-written#2", "storage.renamed#3"]
STARTING = ["nic-plugged", "seed-written", "qemu.launched", "qemu.prelaunch", "qemu.recorded", "nic-plugged#3", "run:boot#2"]
DEMOLISHING = ["layers-doomed", "layer-file-removed", "volumes-demolished"]
GARBAGE = ["garbage-surveyed", "garbage-decided", "garbage-put-aside", "garbage-removed", "garbage-forgotten"]
# The first server dies at the one, the next, which takes the job up, at the other.
TWICE = [("step-after-intent#2", point) for point in DO] + [("step-after-effect#1", DO[2]), ("captured-before-rows", "captured")]
TWICE_BACK = [("undo-after-intent#2", UNDO[2]), ("undo-after-effect#4", UNDO[0]), ("undo-after-effect#4", UNDO[3])]
MEMORY_STEPS = range(1, 9)  # capture, three times materialize, three times resume, the gate
MEMORY_UNDONE = range(1, 8)
MEMORY = ["qemu.memory.stopped", "qemu.memory.cut", "qemu.memory.streaming", "qemu.memory.captured", "memory-captured-before-row", "memory-used", "memory-used#3",
          "qemu.launched", "qemu.memory.loaded", "memory-resumed", "memory-resumed#3", "gate-passed", "gate-passed#3"]
FIRMWARE = ["firmware-taken", "firmware-given", "firmware-given#3", "qemu.tpm-launched", "qemu.snapshot.cut", "captured"]


class Lanes(unittest.TestCase):
    source_tags = ()

    @classmethod
    def setUpClass(cls):
        cls.lanes = []
        for _ in range(LANES):
            cls.lanes.append(Lane(cls.source_tags))
            cls.addClassCleanup(cls.lanes[-1].close)
        failed = [result for result in each_alone(cls.lanes, Lane.boot_source) if result]
        if failed:
            raise failed[0]

    @classmethod
    def tearDownClass(cls):
        print(f"{sum(lane.kills for lane in cls.lanes)} kills", flush=True)

    def sweep(self, points, optional=False, **call):
        """Each point of `points`, or pair of points, in a clone made so."""
        begun = time.monotonic()
        cases = [(number, point) for number in range(ROUNDS) for point in points]

        def kill(lane, case):
            first, *later = case[1] if isinstance(case[1], tuple) else (case[1],)
            return lane.killed_in_clone(first, later=later, **call)

        results = side_by_side(self.lanes, cases, kill)
        # The last passages of an undo need that every branch had begun: where one failed sooner, there was less to take back that time.
        for _ in range(0 if optional else TRIES - 1):
            results |= side_by_side(self.lanes, [case for case, passed in results.items() if passed is False], kill)
        wrong = [str(result) if isinstance(result, Wrong) else f"{case}: {result!r}" for case, result in results.items() if isinstance(result, Exception)]
        missed = [case for case, passed in results.items() if passed is False]
        print(f"{len(cases)} cases, {len(cases) - len(missed)} killed, {len(wrong)} wrong, in {time.monotonic() - begun:.0f} s", flush=True)
        self.assertEqual([], wrong)
        if not optional:
            self.assertEqual([], missed, "these points were never passed")
        self.assertLess(len(missed), len(cases), "no point was passed")


class Kill(Lanes):
    def test_every_step_of_stopped_clones(self):
        self.sweep([f"{point}#{step}" for point in DO for step in STOPPED_STEPS], strategy="CreateStopped")

    def test_the_steps_that_start_a_clone(self):
        self.sweep([f"{point}#3" for point in DO], names=["a"])
        self.sweep(STARTING)

    def test_every_undo(self):
        self.sweep([f"{point}#{step}" for point in UNDO for step in UNDONE_STEPS], failing=True, atomic=True)
        self.sweep(DEMOLISHING, failing=True, atomic=True)

    def test_between_intent_and_result(self):
        self.sweep(BETWEEN, strategy="CreateStopped")

    def test_cancelled_clones(self):
        self.sweep(UNDO[1:3], optional=True, cancel=True, strategy="CreateStopped", copy="full", bandwidth=4 << 20)  # so slow that the cancel comes in time

    def test_again_during_the_recovery(self):
        self.sweep(TWICE, strategy="CreateStopped")
        self.sweep(TWICE_BACK, failing=True, atomic=True)

    @unittest.skipUnless(NIGHTLY, "two kills at random points are for the night")
    def test_twice_at_random_points(self):
        seed = int(os.environ.get("RAMET_SEED", time.time_ns() % 1_000_000))
        drawn = random.Random(seed)
        print(f"seed {seed}")
        points = [f"{point}#{step}" for point in DO for step in STOPPED_STEPS] + BETWEEN
        self.sweep([(drawn.choice(points), drawn.choice(points)) for _ in range(100)], optional=True, strategy="CreateStopped")

    def test_the_garbage_collector(self):
        results = side_by_side(self.lanes, [(number, point) for number in range(ROUNDS) for point in GARBAGE], lambda lane, case: self.collected(lane, case[1]))
        self.assertEqual([], [f"{case}: {result!r}" for case, result in results.items() if result is not True])

    def collected(self, lane, point):
        """What nobody owns is removed in the end, what has an owner stays."""
        for name, value in (("secondLook", 1), ("gracePeriod", 1), ("lookInterval", 1)):
            lane.api.put(f"/global-configurations/garbage/{name}/actions", {"updateGlobalConfig": {"value": str(value)}})
        root = pathlib.Path(lane.api.rows("/primary-storage")[0]["url"])
        planted = [root / "stray" / (uuid.uuid4().hex + end) for end in (".qcow2", ".qcow2.partial")]
        for path in planted:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"nobody's")
        lane.server.stop()
        lane.server.start(wait=False, RAMET_CRASH_POINT=point)
        lane.await_death_or(lambda: False, patience=20)
        if not lane.has_died():
            return f"{point} was never passed"
        lane.kills += 1
        lane.come_back([], "")
        lane.judge(point, patience=20)
        return not any(path.exists() for path in planted) or f"{point}: a file without owner is still there"


@unittest.skipUnless(os.path.exists("/usr/bin/swtpm"), "swtpm is not installed")
class KillFirmware(Lanes):
    """The same with a source that has a TPM, whose state goes to each clone."""

    source_tags = ("tpm::2.0",)

    def test_firmware_points(self):
        self.sweep(FIRMWARE, systemTags=["tpmPolicy::copy"])


class KillMemory(Lanes):
    """The same with clones that go on from the source's memory. By day at some points; templates, which four clones share, too."""

    def test_every_step_of_instant_clones(self):
        self.sweep([f"{point}#{step}" for point in DO for step in (MEMORY_STEPS if NIGHTLY else (1, 5, 8))], memory=True)

    @unittest.skipUnless(NIGHTLY, "named points by day: instant_test.py")
    def test_between_intent_and_result(self):
        self.sweep(MEMORY, memory=True)
        self.sweep(MEMORY, memory=True, names=["a", "b", "c", "d"])

    @unittest.skipUnless(NIGHTLY, "the undo of each step by day: of clones that boot")
    def test_every_undo(self):
        self.sweep([f"{point}#{step}" for point in UNDO for step in MEMORY_UNDONE], failing=True, atomic=True, memory=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
