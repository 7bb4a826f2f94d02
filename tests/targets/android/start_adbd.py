"""Starts adbd without the sockets that reach past every network namespace."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

_AF_VSOCK = 40
_SOCKET = {"x86_64": 41, "aarch64": 198}[os.uname().machine]


def without_vsock() -> None:
    """Have the kernel refuse vsocks, by which a hypervisor and other guests would reach it (seccomp)."""
    load_call, is_socket, load_family = (0x20, 0, 0, 0), (0x15, 0, 3, _SOCKET), (0x20, 0, 0, 16)
    is_vsock, refuse, allow = (0x15, 0, 1, _AF_VSOCK), (0x06, 0, 0, 0x00050061), (0x06, 0, 0, 0x7FFF0000)
    program = [load_call, is_socket, load_family, is_vsock, refuse, allow]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    described = struct.pack("HxxxxxxP", len(program), ctypes.addressof(packed))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, described, 0, 0) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


if __name__ == "__main__":
    without_vsock()
    os.execv(sys.argv[1], sys.argv[1:2])
