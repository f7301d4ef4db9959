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
from chains import MIB, Written, chain_of, make_writer_image, read_cost  # noqa: E402
from lineage_test import DEPTH_MAX, DepthWatch  # noqa: E402
from support import Agent, World  # noqa: E402

CLONES = int(os.environ.get("RAMET_CLONES", "200"))
RUNNERS = 3
ROUNDS = 25
READS = 8000


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

    def add_volume(self, name, size):
        """The device's name in the guest."""
        volume = self.world.api.post("/volumes/data", {"params": {"name": name, "diskSize": size}})["inventory"]["uuid"]
        self.world.api.post(f"/volumes/{volume}/vm-instances/{self.vm['uuid']}", {"params": {}})
        return self.agent.run(f"for i in 1 2 3 4 5 6 7 8 9 10; do grep -lx {size // 512} /sys/block/vd*/size && break; sleep 0.5; done | sed 's,.*\\(vd.\\).*,/dev/\\1,'")

    def read_cost(self, device):
        """us for each read of 4 KiB past the guest's cache, one after the other."""
        seconds = self.agent.run(f"a=$(cut -d' ' -f1 /proc/uptime); dd if={device} of=/dev/null bs=4096 count={READS} iflag=direct 2>/dev/null; echo $a $(cut -d' ' -f1 /proc/uptime)").split()
        return (float(seconds[1]) - float(seconds[0])) / READS * 1e6

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
        self.assert_a_guest_reads_as_of_a_flat_disk(runners[0])
        self.assert_read_like_a_flat_disk(max(vms, key=Written.depth))
        self.assert_nothing_left_over()

    def assert_read_like_a_flat_disk(self, vm):
        """What the block layer alone takes for a read out of the page cache: no guest is in the way, and no guest can see it so. In turn, so that
        whatever else the machine does hits both alike; the quickest of each is what the disk itself costs. The bound is there for what gets worse."""
        self.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": "false"}})
        flat = pathlib.Path(self.directory) / "flat.qcow2"
        chain = vm.steady(lambda path: subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", path, str(flat)], check=True) and path)
        samples = [(read_cost(chain), read_cost(flat)) for _ in range(ROUNDS)]
        wall, cpu = (min(chain[kind] for chain, _ in samples) / min(flat[kind] for _, flat in samples) for kind in (1, 0))
        median = statistics.median(chain[1] / flat[1] for chain, flat in samples)
        print(f"reads of {vm.depth()} layers against a flat disk, n={ROUNDS}: wall x{wall:.3f} (median of pairs x{median:.3f}), CPU x{cpu:.3f}", flush=True)
        self.assertLessEqual(wall, 1.5)

    def assert_a_guest_reads_as_of_a_flat_disk(self, runner):
        """What a guest waits for a read of 4 KiB, of a disk on as many layers as there may be and of a flat copy, in turn; beside it what QEMU's
        block layer alone takes for it, out of the page cache."""
        self.api.put("/global-configurations/volume/backgroundMerge/actions", {"updateGlobalConfig": {"value": "false"}})
        deep, flat = (runner.add_volume(name, size) for name, size in (("deep", 64 * MIB), ("flat", 65 * MIB)))
        runner.agent.run(f"dd if=/dev/urandom of={deep} bs=1M count=64 2>&1", 120)
        while (depth := len(chain_of(self.path_of("deep")))) < DEPTH_MAX:
            self.api.post(f"/volumes/{self.volume('deep')['uuid']}/volume-snapshots", {"params": {"name": f"s{depth}"}})
            runner.agent.run(f"dd if=/dev/urandom of={deep} bs=64k count=4 seek={depth * 100} conv=fsync 2>&1")
        runner.agent.run(f"dd if={deep} of={flat} bs=1M conv=fsync 2>&1", 120)
        inside = [(runner.read_cost(deep), runner.read_cost(flat)) for _ in range(ROUNDS)]
        outside = [(read_cost(self.path_of("deep")), read_cost(self.path_of("flat"))) for _ in range(ROUNDS)]
        waits = [[pair[which] for pair in inside] for which in (0, 1)]
        ratio = statistics.median(waits[0]) / statistics.median(waits[1])
        print(f"a guest's reads of {depth} layers against a flat disk, n={ROUNDS}: {statistics.median(waits[0]):.1f} us ({min(waits[0]):.1f}-{max(waits[0]):.1f}) "
              f"against {statistics.median(waits[1]):.1f} ({min(waits[1]):.1f}-{max(waits[1]):.1f}), x{ratio:.3f}; the block layer alone: "
              f"{statistics.median(pair[0][1] for pair in outside):.1f} us against {statistics.median(pair[1][1] for pair in outside):.1f}", flush=True)
        self.assertLessEqual(ratio, 1.10)

    def volume(self, name):
        return self.api.rows("/volumes", "name=" + name)[0]

    def path_of(self, name):
        return self.volume(name)["installPath"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
