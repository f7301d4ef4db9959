#!/usr/bin/env python3
"""Becomes rametd on a machine that does not let QEMU use userfaultfd, as Debian's kernel is set by default, and changes nothing on this one: the setting reads 0
in a mount namespace of its own, and the system call fails for this process and its children."""
import ctypes
import os
import struct
import sys
import tempfile

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 1 << 18
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, EPERM = 22, 2, 1
LOAD, EQUAL, RETURN, FAIL, ALLOW = 0x20, 0x15, 0x06, 0x00050000, 0x7FFF0000  # linux/bpf_common.h, linux/seccomp.h
USERFAULTFD = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
SETTING = "/proc/sys/vm/unprivileged_userfaultfd"

libc = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def require(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def say_no():
    instructions = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, USERFAULTFD), (RETURN, 0, 0, FAIL | EPERM), (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *one) for one in instructions)
    require(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(Program(len(instructions), code)), 0, 0), "prctl")


def show_setting():
    require(libc.unshare(CLONE_NEWNS), "unshare")
    require(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    with tempfile.NamedTemporaryFile("w") as zero:
        zero.write("0\n")
        zero.flush()
        require(libc.mount(zero.name.encode(), SETTING.encode(), None, MS_BIND, None), "mount")


if __name__ == "__main__":
    show_setting()
    say_no()
    os.execv(os.environ["RAMETD"], [os.environ["RAMETD"], *sys.argv[1:]])
