"""Disks for tests of chains: VMs on an image that boots nothing, written and read from the host while they are off."""
import json
import subprocess

MIB = 1 << 20
SIZE = 64 * MIB
CELL = 64 << 10  # what one write covers


def make_blank_image(path, megabytes=8):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(SIZE)], check=True)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P 1 {SIZE - megabytes * MIB} {megabytes}M", str(path)], check=True, stdout=subprocess.DEVNULL)


def chain_of(path):
    """Paths of the layers as the files' headers have them, top first."""
    text = subprocess.run(["qemu-img", "info", "-U", "--backing-chain", "--output=json", "-f", "qcow2", path], check=True, capture_output=True, text=True).stdout
    return [layer["filename"] for layer in json.loads(text)]


def check(path):
    done = subprocess.run(["qemu-img", "check", "-U", "-q", "-f", "qcow2", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def write_cells(path, cells):
    """cells: number -> byte; the VM is off."""
    commands = [argument for cell, value in cells.items() for argument in ("-c", f"write -P {value} {cell * CELL} {CELL}")]
    done = subprocess.run(["qemu-io", "-f", "qcow2", *commands, path], capture_output=True, text=True)
    assert done.returncode == 0 and "failed" not in done.stdout + done.stderr, done.stdout + done.stderr


def wrong_cells(path, cells):
    """The numbers of those cells that do not read as given."""
    if not cells:
        return []
    commands = [argument for cell, value in cells.items() for argument in ("-c", f"read -P {value} {cell * CELL} {CELL}")]
    done = subprocess.run(["qemu-io", "-r", "-U", "-f", "qcow2", *commands, path], capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert text.count("read ") >= len(cells), text
    return [line for line in text.splitlines() if "verification failed" in line.lower()]


class Written:
    """A VM with what its disk must hold."""

    def __init__(self, world, vm, cells=None):
        self.world, self.uuid, self.name, self.cells = world, vm["uuid"], vm["name"], dict(cells or {})

    @property
    def path(self):
        return self.world.api.vm(self.uuid)["allVolumes"][0]["installPath"]

    def write(self, cells):
        """As a guest that started, wrote and was switched off."""
        self.world.api.action(self.uuid, "startVmInstance")
        self.world.api.action(self.uuid, "stopVmInstance", type="cold")
        write_cells(self.path, cells)
        self.cells.update(cells)

    def clone(self, name, **more):
        made = self.world.api.clone(self.uuid, [name], **{"strategy": "CreateStopped", **more})["inventories"][0]
        self.world.assertNotIn("error", made)
        return Written(self.world, made["inventory"], self.cells)

    def assert_content(self):
        path = self.path
        self.world.assertEqual([], wrong_cells(path, self.cells), self.name)
        check(path)
