"""Two hundred clones of clones, some running and writing, while layers are merged in the background: never more than eight layers, every disk
holds what was written to it, nobody is stopped."""
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from chains import Written, make_writer_image  # noqa: E402
from lineage_test import DEPTH_MAX, DepthWatch  # noqa: E402
from support import Agent, World  # noqa: E402

CLONES = 200
RUNNERS = 3


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
        self.assert_nothing_left_over()


if __name__ == "__main__":
    unittest.main(verbosity=2)
