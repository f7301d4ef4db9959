"""Two hundred clones of clones, some running and writing, while layers are merged in the background: never more than eight layers, every disk
holds what was written to it and is read like a flat one, nobody is stopped. RAMET_CLONES sets how many (200)."""
import os
import pathlib
import random
import statistics
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from chains import Written, make_writer_image, read_cost  # noqa: E402
from lineage_test import DEPTH_MAX, DepthWatch  # noqa: E402
from support import Agent, World  # noqa: E402

CLONES = int(os.environ.get("RAMET_CLONES", "200"))
RUNNERS = 3
ROUNDS = 25


class Runner:
    """A guest that writes files all the time and is cloned again and again."""

    def __init__(self, world, number):
        self.world, self.sums = world, {}
        self.vm = world.api.create_vm(f"runner{number}", world.image["uuid"])
        self.agent = Agent(world.server.data_dir, self.vm["uuid"])
        self.agent.call("guest-ping", 120)

    def write_and_clone(self, number):
        self.agent.run(f"head -c 200000 /dev/urandom > /root/f{number}; sync")
        self.sums[number] = self.agent.run(f"md5sum < /root/f{number}")
        self.world.api.clone(self.vm["uuid"], [f"{self.vm['name']}-{number}"], strategy="JustCreate")

    def check(self):
        self.world.assertEqual("Running", self.world.api.vm(self.vm["uuid"])["state"])
        for number, expected in self.sums.items():
            self.world.assertEqual(expected, self.agent.run(f"md5sum < /root/f{number}"))


class Chains(World):
    def test_two_hundred_clones_of_clones(self):
        disk = pathlib.Path(self.directory) / "writer.qcow2"
        make_writer_image(disk)
        image = self.api.add_image(disk, name="writer")
        dice = random.Random(200)
        runners = [Runner(self, number) for number in range(RUNNERS)]
        vms = [Written(self, self.api.create_vm("g0", image["uuid"], strategy="CreateStopped")).run()]
        with DepthWatch(self.server.api()) as watch:
            for number in range(1, CLONES + 1):
                parent = vms[-1] if number % 5 else dice.choice(vms)
                strategy = "JustCreate" if number % 7 == 0 else "CreateStopped"
                clone = parent.clone(f"g{number}", strategy=strategy)
                for vm in (parent, clone):
                    self.assertLessEqual(vm.depth(), DEPTH_MAX)
                vms.append(clone.run())
                if number % 10 == 0:
                    runners[number // 10 % RUNNERS].write_and_clone(number)
        self.assertGreater(watch.looks, CLONES / 4)
        self.assertLessEqual(watch.deepest, DEPTH_MAX)
        for runner in runners:
            runner.check()
        for vm in vms:
            vm.assert_content()
        self.assert_read_like_a_flat_disk(max(vms, key=Written.depth))
        self.assert_nothing_left_over()

    def assert_read_like_a_flat_disk(self, vm):
        """In turn, so that whatever else the machine does hits both alike; the quickest of each is what the disk itself costs."""
        self.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": "false"}})
        flat = pathlib.Path(self.directory) / "flat.qcow2"
        chain = vm.steady(lambda path: subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", path, str(flat)], check=True) and path)
        samples = [(read_cost(chain), read_cost(flat)) for _ in range(ROUNDS)]
        wall, cpu = (min(chain[kind] for chain, _ in samples) / min(flat[kind] for _, flat in samples) for kind in (1, 0))
        median = statistics.median(chain[1] / flat[1] for chain, flat in samples)
        print(f"reads of {vm.depth()} layers against a flat disk, n={ROUNDS}: wall x{wall:.3f} (median of pairs x{median:.3f}), CPU x{cpu:.3f}", flush=True)
        self.assertLessEqual(wall, 1.10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
