"""What a pause of a VM is to its guest, and to who speaks with it: a program in the guest (tests/guest/writer.c tick) sends a datagram every half
millisecond, the kernel of this machine notes when each came."""
import socket
import struct
import threading
import time

from ramet_client import WRITER

PORT = 4000
SO_TIMESTAMPNS = 35  # not in Python's socket module


class Ticks:
    def __init__(self, agent, address):
        agent.put_program("/run/writer", WRITER.read_bytes())
        agent.run(f"/run/writer tick {PORT} >/dev/null 2>&1 </dev/null &")
        self.seen = []  # (when it came, microseconds since the one before by the guest's clock)
        self.channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.channel.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.channel.connect((address, PORT))  # a clone's, from another address, do not come in
        self.channel.settimeout(0.2)
        self.ended = False
        self.thread = threading.Thread(target=self._receive)
        self.thread.start()
        end = time.monotonic() + 10
        while not self.seen and time.monotonic() < end:
            time.sleep(0.05)

    def _receive(self):
        while not self.ended:
            try:
                if not self.seen:
                    self.channel.send(b"begin")  # again: the program may not be there yet
                said, more, _, _ = self.channel.recvmsg(16, 64)
            except OSError:
                continue
            came = [struct.unpack("qq", data[:16]) for _, _, data in more]
            if len(said) == 16 and came:
                self.seen.append((came[0][0] + came[0][1] / 1e9, struct.unpack("<qq", said)[1]))

    def longest(self, begun, ended):
        """Milliseconds between two ticks from `begun` to `ended` (time.time()): (on the wire, by the guest's clock)."""
        seen = [tick for tick in self.seen if begun <= tick[0] <= ended]
        if len(seen) < 10:
            raise RuntimeError(f"only {len(seen)} ticks came from the guest")
        wire = max(b[0] - a[0] for a, b in zip(seen, seen[1:]))
        return wire * 1000, max(gap for _, gap in seen) / 1000

    def close(self):
        self.ended = True
        self.thread.join()
        self.channel.close()
