"""The test's side of faults.c: builds it, and says which calls of a running rametd fail."""
import mmap
import os
import pathlib
import struct
import subprocess

CALLS = ["open", "read", "write", "fsync", "rename", "unlink", "mkdir", "socket", "connect", "send", "receive", "allocate"]
SHORT = 0  # instead of an errno: the call does half of what was asked
ARMED, PASSED = 0, 4 * 5 + 128  # where the fields are


class Faults:
    def __init__(self, directory):
        self.library = str(pathlib.Path(directory) / "faults.so")
        source = pathlib.Path(__file__).with_name("faults.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", self.library, str(source), "-ldl"], check=True)
        path = pathlib.Path(directory) / "faults"
        path.write_bytes(bytes(4096))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        self.environment = {"LD_PRELOAD": self.library, "RAMET_FAULTS": str(path)}

    def arm(self, call, error, first=1, count=1, path=""):
        """From the `first` passage of `call` on files whose path has `path` in it, `count` fail."""
        self.disarm()
        self.memory[4:PASSED] = struct.pack("iiii128s", CALLS.index(call), error, first, count, path.encode())
        self.memory[PASSED:PASSED + 8] = bytes(8)
        self.memory[ARMED:4] = struct.pack("i", 1)

    def disarm(self):
        """(passages, failures) since it was armed."""
        self.memory[ARMED:4] = bytes(4)
        return struct.unpack("ii", self.memory[PASSED:PASSED + 8])
