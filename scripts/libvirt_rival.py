"""What libvirt does for the same: save and restore, and, unmodified, a restore of many VMs from the memory of one save. For that the guest's memory is
taken out of the save image into a file that each VM maps privately; what is left, the device state, is a save image of its own, which `virsh restore`
takes. Formats: QEMU 7.2's migration stream and libvirt 9.0's save image."""
import os
import pathlib
import shutil
import struct
import subprocess
import time
import uuid
import xml.etree.ElementTree as ElementTree

PAGE = 4096
HEADER = struct.Struct("<16s5I56s")
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
START, PART, END, FULL, CONFIGURATION, FOOTER = 1, 2, 3, 4, 7, 0x7E
ZERO_PAGE, MEM_SIZE, FULL_PAGE, END_OF_SECTION, CONTINUES = 2, 4, 8, 0x10, 0x20
MAIN, RENAMED = b"pc.ram", b"clone.ram"

DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk></devices></domain>
"""


class Skipped(Exception):
    """Why a rival has no figures."""


class Reader:
    def __init__(self, content, at):
        self.content, self.at = content, at

    def take(self, count):
        if self.at + count > len(self.content):
            raise Skipped("the migration stream ends too soon")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def name(self):
        return self.take(self.number("B"))


def text(name):
    return bytes([len(name)]) + name


def take_blocks(reader, left):
    """(name, length) of each block of memory."""
    blocks = []
    while left > 0:
        blocks.append((reader.name(), reader.number("Q")))
        left -= blocks[-1][1]
    return blocks


def split(stream, memory):
    """The stream without the pages of the main memory, which go to the file `memory`; the size of that memory."""
    reader = Reader(stream, 0)
    if reader.take(8) != b"QEVM" + struct.pack(">I", 3) or reader.number("B") != CONFIGURATION:
        raise Skipped("this is not a migration stream of QEMU 7.2")
    reader.take(reader.number("I"))
    head = stream[: reader.at]
    blocks, block, kept, section = [], b"", b"", None
    while (kind := reader.number("B")) in (START, PART, END):
        section = reader.number("I")
        if kind == START:
            if reader.name() != b"ram":
                raise Skipped("a section that is not memory comes before the devices")
            instance, version = reader.number("I"), reader.number("I")
        while True:
            record = reader.number("Q")
            flags, offset = record % PAGE, record - record % PAGE
            if flags == END_OF_SECTION:
                break
            if flags == MEM_SIZE:
                blocks = take_blocks(reader, offset)
                continue
            if not flags & CONTINUES:
                block = reader.name()
            if flags & FULL_PAGE:
                page = reader.take(PAGE)
                if block == MAIN:
                    memory.seek(offset)
                    memory.write(page)
                else:
                    kept += struct.pack(">Q", offset | FULL_PAGE) + text(block) + page
            elif flags & ZERO_PAGE:
                fill = reader.take(1)
                kept += b"" if block == MAIN else struct.pack(">Q", offset | ZERO_PAGE) + text(block) + fill
            else:
                raise Skipped(f"unknown record {flags:#x} in the memory's section")
        if reader.number("B") != FOOTER or reader.number("I") != section:
            raise Skipped("a section has no end")
    if kind != FULL:
        raise Skipped(f"unknown section {kind}")
    size = dict(blocks)[MAIN]
    memory.truncate(size)
    listed = struct.pack(">Q", sum(length for _, length in blocks) | MEM_SIZE)
    for name, length in blocks:
        listed += text(RENAMED if name == MAIN else name) + struct.pack(">Q", length)
    end = struct.pack(">QBI", END_OF_SECTION, FOOTER, section)
    first = struct.pack(">BI", START, section) + text(b"ram") + struct.pack(">II", instance, version) + listed + end
    return head + first + struct.pack(">BI", PART, section) + kept + end + struct.pack(">BI", END, section) + end + stream[reader.at - 1 :], size


class Spliced:
    """Of the save image `saved`. Memory and images are in `directory`."""

    def __init__(self, saved, directory):
        with open(saved, "rb") as file:
            content = file.read()
        magic, version, length, self.running, compressed, cookie, _ = HEADER.unpack_from(content)
        if magic != b"LibvirtQemudSave" or version != 2 or compressed != 0:
            raise Skipped("this is not a plain save image of libvirt 9.0")
        data = content[HEADER.size : HEADER.size + length]
        self.xml = data[: data.index(b"\0")]
        self.cookie = data[cookie : data.index(b"\0", cookie)] if cookie else b""
        self.directory, self.memory = directory, os.path.join(directory, "spliced.ram")
        with open(self.memory, "wb") as memory:
            self.stream, self.size = split(content[HEADER.size + length :], memory)
        os.chmod(self.memory, 0o666)  # QEMU 7.2 opens it for writing, although it maps it privately

    def image(self, name, disk):
        """A save image of a VM of this name on this disk, to be given to `virsh restore`."""
        ElementTree.register_namespace("qemu", QEMU)
        domain = ElementTree.fromstring(self.xml)
        domain.attrib.pop("id", None)
        domain.find("name").text = name
        domain.find("uuid").text = str(uuid.uuid4())
        domain.find("devices/disk/source").set("file", disk)
        command = ElementTree.SubElement(domain, f"{{{QEMU}}}commandline")
        backend = f"memory-backend-file,id={RENAMED.decode()},mem-path={self.memory},share=off,size={self.size}"
        for word in ("-object", backend, "-machine", "memory-backend=" + RENAMED.decode()):
            ElementTree.SubElement(command, f"{{{QEMU}}}arg").set("value", word)
        xml = ElementTree.tostring(domain) + b"\0"
        data = xml + self.cookie + b"\0"
        path = os.path.join(self.directory, name + ".save")
        with open(path, "wb") as file:
            file.write(HEADER.pack(b"LibvirtQemudSave", 2, len(data), self.running, 0, len(xml) if self.cookie else 0, bytes(56)))
            file.write(data + self.stream)
        return path


class Virsh:
    """save + restore of a VM with the same image; the machine's own libvirt."""

    def __init__(self, directory, image, memory):
        if not shutil.which("virsh"):
            raise Skipped("virsh is not installed: ./dev setup all")
        self.directory, self.name = directory, f"ramet-bench-{os.getpid()}"
        self.disk = os.path.join(directory, "rival.qcow2")
        self.base = os.path.join(directory, "spliced.qcow2")
        self.spliced, self.why_not = None, ""
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, self.disk], check=True)
        path = os.path.join(directory, "rival.xml")
        pathlib.Path(path).write_text(DOMAIN.format(name=self.name, memory=memory, disk=self.disk))
        self.virsh("create", path)
        time.sleep(8)  # it has booted

    def virsh(self, *arguments):
        done = subprocess.run(["virsh", "-q", *arguments], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Skipped("virsh: " + done.stderr.strip()[-200:])

    def round(self):
        """Milliseconds of a save, of its restore, and of a restore of another VM that has the first save's memory and disk."""
        file, begun = os.path.join(self.directory, "rival.save"), time.monotonic()
        self.virsh("save", self.name, file)
        saved = time.monotonic()
        if self.spliced is None and not self.why_not:
            try:
                self.spliced = Spliced(file, self.directory)
                shutil.copyfile(self.disk, self.base)
            except Skipped as why:
                self.why_not = str(why)
                print(f"virsh restore of a clone: no figures: {why}")
        before = time.monotonic()
        self.virsh("restore", file)
        restored = time.monotonic()
        return (saved - begun) * 1000, (restored - before) * 1000, self.restore_spliced() if self.spliced else None

    def restore_spliced(self, count=1):
        """Milliseconds until the last of `count` other VMs runs, restored one after the other from the first save's memory and disk."""
        names = [f"{self.name}-clone-{i}" for i in range(count)]
        begun = time.monotonic()
        for name in names:
            disk = os.path.join(self.directory, name + ".qcow2")
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.base, disk], check=True)
            self.virsh("restore", self.spliced.image(name, disk))
        took = (time.monotonic() - begun) * 1000
        for name in names:
            self.virsh("destroy", name)
        return took

    def close(self):
        self.virsh("destroy", self.name)
