"""Disks for tests of chains. The guest is one sector: each start it adds one to a counter, writes it with the time to sector 8 and to a cell of its
own, 64 KiB further than the last, and powers off. What a disk holds is read from the host, through the chain that the files' headers name."""
import json
import pathlib
import re
import resource
import subprocess
import time

MIB = 1 << 20
SIZE = 64 * MIB
CELL = 64 << 10
COUNTER = 8 * 512

# xor ax,ax; mov ds,es,ss,ax; mov sp,7c00; mov [7e10],dl; sti
# read sector 8 to 8000 (int 13, ah 42); inc dword [8000]; time of day to 8004 (int 1a), rdtsc to 8008; write sector 8 (ah 43)
# sector number = counter * 128; write it (ah 43); out 604, 2000 (power off); hlt. The packet for int 13 stands at the end.
BOOT = bytes.fromhex("31c08ed88ec08ed0bc007c8816107efbbe5c7cb442cd1366ff06008030e4cd1a89160480890e06800f3166a30880be5c7c8a16107eb80043cd13"
                     "66a1008066c1e00766a3647cbe5c7c8a16107eb80043cd13ba0406b80020eff4ebf610000100008000000800000000000000")


def make_writer_image(path, megabytes=8, size=SIZE):
    """The guest's disk, with some content at its end."""
    raw = pathlib.Path(str(path) + ".raw")
    with open(raw, "wb") as disk:
        disk.write(BOOT.ljust(510, b"\0") + b"\x55\xaa")
        disk.truncate(size)
        disk.seek(size - megabytes * MIB)
        disk.write(b"\x01" * megabytes * MIB)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)], check=True)
    raw.unlink()


def chain_of(path):
    """Paths of the layers as the files' headers have them, top first."""
    text = subprocess.run(["qemu-img", "info", "-U", "--backing-chain", "--output=json", "-f", "qcow2", path], check=True, capture_output=True, text=True).stdout
    return [layer["filename"] for layer in json.loads(text)]


def read_cells(path, offsets):
    """The first 16 bytes at each offset, as text."""
    commands = [word for offset in offsets for word in ("-c", f"read -v {offset} 16")]
    done = subprocess.run(["qemu-io", "-r", "-U", "-f", "qcow2", *commands, path], capture_output=True, text=True)
    found = re.findall(r"^[0-9a-f]{8}: ((?: [0-9a-f]{2}){16}|(?:[0-9a-f]{2} ){16})", done.stdout, re.M)
    if len(found) != len(offsets):
        raise OSError(done.stdout + done.stderr)
    return [text.strip() for text in found]


def run_io(path, commands):
    """Wall and CPU seconds of one qemu-io."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(["qemu-io", "-r", "-U", "-f", "qcow2", str(path)], input="\n".join([*commands, "quit"]) + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def read_cost(path, size=SIZE, reads=4000):
    """Of 4 KiB reads all over the disk with a warm page cache: us CPU and us wall per read above opening, ms to open and close."""
    stride = size // reads // 4096 * 4096
    open_wall, open_cpu = run_io(path, [])
    wall, cpu = run_io(path, [f"read -q {number * stride} 4096" for number in range(reads)])
    return (cpu - open_cpu) / reads * 1e6, (wall - open_wall) / reads * 1e6, open_wall * 1e3


class Written:
    """A VM with what its disk must hold."""

    def __init__(self, world, vm, cells=None):
        self.world, self.uuid, self.name, self.cells = world, vm["uuid"], vm["name"], dict(cells or {})

    @property
    def path(self):
        return self.world.api.vm(self.uuid)["allVolumes"][0]["installPath"]

    def steady(self, work):
        """work(path), again if the disk got another top, or lost a layer below it, meanwhile: layers are merged in the background."""
        failures = 0
        for _ in range(20):
            path = self.path
            try:
                result = work(path)
            except (OSError, subprocess.CalledProcessError):
                failures += path == self.path
                if failures > 3:
                    raise
                time.sleep(0.1)
                continue
            if path == self.path:
                return result
        raise AssertionError(f"{self.name} never rests")

    def depth(self):
        return self.steady(lambda path: len(chain_of(path)))

    def run(self):
        """The guest runs once, writes, and powers off."""
        self.world.api.action(self.uuid, "startVmInstance")
        return self.finish()

    def start_paused(self):
        """In the firmware most likely: the guest writes after resume()."""
        self.world.api.action(self.uuid, "startVmInstance")
        self.world.api.action(self.uuid, "pauseVmInstance")

    def resume(self):
        self.world.api.action(self.uuid, "resumeVmInstance")
        return self.finish()

    def finish(self, patience=30):
        end = time.monotonic() + patience
        while (state := self.world.api.vm(self.uuid)["state"]) != "Stopped":
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} is still {state}")
            time.sleep(0.02)
        number = len(self.cells) + 1
        counter, cell = self.steady(lambda path: read_cells(path, [COUNTER, number * CELL]))
        if counter != cell or not counter.startswith(" ".join(f"{byte:02x}" for byte in number.to_bytes(4, "little"))):
            raise AssertionError(f"{self.name} wrote {counter} and {cell} in its run {number}")
        self.cells[number] = cell
        return self

    def clone(self, name, **more):
        made = self.world.api.clone(self.uuid, [name], **{"strategy": "CreateStopped", **more})["inventories"][0]
        if "error" in made:
            raise AssertionError(made)
        return Written(self.world, made["inventory"], self.cells)

    def assert_content(self):
        """Every cell as it was written, the next one still empty, the content of the image, and a file that qemu-img finds whole."""
        offsets = [number * CELL for number in self.cells] + [(len(self.cells) + 1) * CELL, SIZE - MIB]
        expected = [*self.cells.values(), " ".join(["00"] * 16), " ".join(["01"] * 16)]
        found = self.steady(lambda path: read_cells(path, offsets))
        if found != expected:
            raise AssertionError(f"{self.name}: {[pair for pair in zip(offsets, found, expected) if pair[1] != pair[2]]}")
        self.steady(lambda path: subprocess.run(["qemu-img", "check", "-U", "-q", "-f", "qcow2", path], check=True, capture_output=True))
