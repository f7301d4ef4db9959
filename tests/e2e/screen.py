"""What a VM shows, over the RFB protocol (RFC 6143) on its socket."""
import socket
import struct

RAW = 0  # the encoding that every server has


def take(connection, count):
    taken = bytearray()
    while len(taken) < count:
        part = connection.recv(count - len(taken))
        if not part:
            raise OSError("the screen is gone")
        taken += part
    return bytes(taken)


def picture(path, patience=30):
    """{(x, y, width, height): its pixels}: rectangles that make up the whole screen."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience)
        connection.connect(str(path))
        take(connection, len("RFB 003.008\n"))
        connection.sendall(b"RFB 003.008\n")
        take(connection, take(connection, 1)[0])
        connection.sendall(b"\x01")  # no password
        if take(connection, 4) != bytes(4):
            raise OSError("the screen asks for a password")
        connection.sendall(b"\x01")  # others may look as well
        width, height, depth = struct.unpack(">HHB", take(connection, 5))
        take(connection, 15)
        take(connection, struct.unpack(">I", take(connection, 4))[0])
        connection.sendall(struct.pack(">BxHi", 2, 1, RAW) + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
        kind, count = struct.unpack(">BxH", take(connection, 4))
        if kind != 0:
            raise OSError(f"the screen answers with message {kind}")
        parts = {}
        for _ in range(count):
            *place, encoding = struct.unpack(">HHHHi", take(connection, 12))
            if encoding != RAW:
                raise OSError(f"the screen answers in encoding {encoding}")
            parts[tuple(place)] = take(connection, place[2] * place[3] * depth // 8)
        return parts
