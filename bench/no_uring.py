# SPDX-License-Identifier: MIT
"""A program without io_uring, as valgrind needs it: version 3.19 stands still in it."""

import ctypes
import os

IO_URING_SETUP = 425
ENOSYS = 38


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]


def forbid_io_uring():
    """In the child, before it becomes the program: seccomp answers io_uring_setup with ENOSYS."""
    libc = ctypes.CDLL(None, use_errno=True)
    rules = (Filter * 4)(Filter(0x20, 0, 0, 0), Filter(0x15, 0, 1, IO_URING_SETUP),
                         Filter(0x06, 0, 0, 0x00050000 | ENOSYS), Filter(0x06, 0, 0, 0x7fff0000))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.prctl(22, 2, ctypes.byref(Program(4, rules)), 0, 0):  # PR_SET_SECCOMP
        os._exit(126)
