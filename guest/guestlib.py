"""What both guest builders share: Debian packages, a bootable disk made without mounting anything, a stamp that skips a rebuild."""
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SECTOR = 512
GRUB = pathlib.Path("/usr/lib/grub/i386-pc")


def stop(message):
    sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {message}")


def run(*command, **options):
    """Runs a program; its output is shown only when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        stop(f"`{words[0]}` failed with code {done.returncode}")
    return done.stdout


def need_tools(**package_of):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path
    missing = sorted({package for tool, package in package_of.items() if not shutil.which(tool.replace("_", "-"))})
    if missing:
        stop(f"missing tools; run `./dev setup`, or: apt-get install {' '.join(missing)}")


def package_versions(packages):
    """Candidate version of each package as apt knows it now: {name: version}."""
    versions, name = {}, None
    for line in run("apt-cache", "policy", *packages, env=dict(os.environ, LC_ALL="C")).splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            versions[name] = line.split()[1]
    missing = [package for package in packages if package not in versions]
    if missing:
        stop(f"apt does not know {', '.join(missing)}; run `apt-get update` as root first")
    return versions


def refresh_package_lists():
    """Old lists name versions that the mirror no longer has."""
    if os.geteuid() != 0:
        stop("a package could not be fetched; run `apt-get update` as root and try again")
    run("apt-get", "-q", "update")


def fetch_packages(versions, folder):
    """Downloads packages that are not in `folder` yet; returns the .deb paths, or None when one could not be fetched."""
    folder.mkdir(parents=True, exist_ok=True)

    def find(name, version):
        return next(iter(folder.glob(f"{name}_{version.replace(':', '%3a')}_*.deb")), None)

    wanted = [f"{name}={version}" for name, version in versions.items() if not find(name, version)]
    if wanted:
        as_root = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        done = subprocess.run(["apt-get", "-q", *as_root, "download", *wanted], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stdout)
            return None
    return [find(name, version) for name, version in versions.items()]


class Stamp:
    """The image is current while sources, package versions and arguments hash to what the stamp beside it says."""

    def __init__(self, image, sources, facts):
        self.image, self.file = image, image.with_name(image.name + ".stamp")
        digest = hashlib.sha256(repr(sorted(facts.items())).encode())
        for source in sorted(sources):
            digest.update(str(source.relative_to(HERE)).encode() + b"\0" + oct(source.stat().st_mode & 0o777).encode() + source.read_bytes())
        self.value = digest.hexdigest()

    def is_current(self):
        return self.image.exists() and self.file.exists() and self.file.read_text() == self.value

    def write(self):
        self.file.write_text(self.value)


def tree(folder):
    return [path for path in pathlib.Path(folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def pad_to_sector(data):
    return data + bytes(-len(data) % SECTOR)


def grub_core(work, config, modules, prefix="/boot/grub"):
    (work / "grub.cfg").write_text(config)
    run("grub-mkimage", "-O", "i386-pc", "-p", prefix, "-c", work / "grub.cfg", "-o", work / "core.img", *modules)
    return bytearray(pad_to_sector((work / "core.img").read_bytes()))


def make_esp(work, config, modules, sectors):
    """A FAT file system with GRUB for UEFI at the path that firmware without variables of its own tries."""
    (work / "efi.cfg").write_text(config)
    run("grub-mkimage", "-O", "x86_64-efi", "-p", "/boot/grub", "-c", work / "efi.cfg", "-o", work / "bootx64.efi", *modules)
    esp = work / "esp"
    with open(esp, "wb") as file:
        file.truncate(sectors * SECTOR)
    run("mformat", "-i", esp, "-T", sectors, "-h", "16", "-s", "32", "::")
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", esp, work / "bootx64.efi", "::/EFI/BOOT/BOOTX64.EFI")
    return esp


def install_grub(disk, core, core_sector):
    """Puts GRUB's boot sector and core image on an open raw disk. grub-bios-setup would want a mounted root for this.

    boot.img is told where core.img starts (u64 at 0x5c) and to trust the BIOS drive number (two nops at 0x66); the first sector of
    core.img holds at its end the list of blocks to load: start, count, segment.
    """
    boot = bytearray((GRUB / "boot.img").read_bytes()[:440])
    boot[0x5C:0x64] = struct.pack("<Q", core_sector)
    boot[0x66:0x68] = b"\x90\x90"
    core[500:512] = struct.pack("<QHH", core_sector + 1, len(core) // SECTOR - 1, 0x820)
    disk.seek(0)
    disk.write(boot)
    disk.seek(core_sector * SECTOR)
    disk.write(core)


def make_ext4(partition, folder, label, size_kib, owners_file=None, journal_mib=4):
    """An ext4 file system holding `folder`. Built by an ordinary user every file must still belong to root: debugfs sets that.

    The two features left out are newer than the GRUB 2.06 that has to read this file system.
    """
    run("mke2fs", "-q", "-t", "ext4", "-L", label, "-O", "^metadata_csum_seed,^orphan_file", "-E", "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", "-m", "1", "-b", "4096", "-I", "256",
        "-J", f"size={journal_mib}", "-d", folder, partition, f"{size_kib}k")
    if os.geteuid() != 0 and owners_file:
        lines = []
        for path in pathlib.Path(folder).rglob("*"):
            name = str(path.relative_to(folder))
            lines += [f'set_inode_field "/{name}" uid 0', f'set_inode_field "/{name}" gid 0']
        owners_file.write_text("\n".join(lines) + "\n")
        run("debugfs", "-w", "-f", owners_file, partition)


def copy_sparse(source_path, disk, offset):
    """Copies a file into an open disk, leaving runs of zeros as holes."""
    block = 1 << 16
    with open(source_path, "rb") as source:
        while data := source.read(block):
            if data.count(0) != len(data):
                disk.seek(offset)
                disk.write(data)
            offset += len(data)


def publish_qcow2(raw, image):
    """Raw disk to qcow2, complete or not there at all."""
    partial = image.with_name(image.name + ".partial")
    run("qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", "-o", "compat=1.1", raw, partial)
    os.replace(partial, image)


def report(image, seconds, note=""):
    virtual = subprocess.run(["qemu-img", "info", "--output=json", str(image)], stdout=subprocess.PIPE, text=True, check=True).stdout
    size = next(line.split(":")[1].strip(" ,") for line in virtual.splitlines() if '"virtual-size"' in line)
    print(f"{image}  {image.stat().st_blocks * 512 / 2**20:.1f} MiB on disk, {int(size) >> 20} MiB virtual, {seconds:.1f} s{note}")
