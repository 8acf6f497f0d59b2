# SPDX-License-Identifier: Apache-2.0
"""raw.py - structures of other libraries as bytes, with the fields that matter by place."""
import ctypes as c
import struct


class Raw(c.Structure):
    """An options structure by value: at least as long as the real one."""
    _fields_ = [('bytes', c.c_uint8 * 512)]


class Refused(Exception):
    """The peer cannot be used; the sentence says why."""


class Params:
    def __init__(self, raw, fields, of):
        self.raw, self.fields = bytearray(raw.bytes), fields
        for name, (at, code, default) in fields.items():
            found = struct.unpack_from('<' + code, self.raw, at)[0]
            if default is not None and found != default:
                raise Refused('%s: another version than bench/peers describes: its default %s is %r, expected %r'
                              % (of, name, found, default))

    def set(self, **values):
        for name, value in values.items():
            at, code, _ = self.fields[name]
            struct.pack_into('<' + code, self.raw, at, value)

    def by_value(self):
        raw = Raw()
        raw.bytes[:] = self.raw
        return raw
