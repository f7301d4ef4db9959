"""Frames that guests send: all of them are caught, and each is read for whose it is."""
import ipaddress
import socket
import struct
import threading

ETH_P_ALL, PACKET_OUTGOING = 3, 4
SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS = 33, 263, 6
BUFFER = 64 << 20
IPV4, ARP, RARP, IPV6 = 0x0800, 0x0806, 0x8035, 0x86dd
UDP, ICMPV6, HOP_BY_HOP = 17, 58, 0
DHCP_COOKIE, DHCP_REQUESTED_IP, DHCP_HOST_NAME, DHCP_CLIENT_ID, DHCP_END = b"\x63\x82\x53\x63", 50, 12, 61, 255
NO_IP, NO_IPV6 = "0.0.0.0", ipaddress.IPv6Address("::")


class Sniffer:
    """Every frame that comes into the host by any interface while it is open, as (interface, bytes): what guests sent, by their taps."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.socket.settimeout(0.2)
        self.frames, self.open = [], True
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while True:
            closing = not self.open
            try:
                data, address = self.socket.recvfrom(1 << 16, socket.MSG_DONTWAIT if closing else 0)
                if address[2] != PACKET_OUTGOING:
                    self.frames.append((address[0], data))
            except (BlockingIOError, TimeoutError):
                if closing:  # nothing is left of what came in before
                    return

    def close(self):
        """The frames; what was not caught cannot be vouched for."""
        self.open = False
        self.thread.join(30)
        assert not self.thread.is_alive(), "frames came in faster than they were read"
        seen, dropped = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.socket.close()
        assert dropped == 0, f"{dropped} of {seen} frames were not caught"
        return self.frames


def bytes_of(mac):
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(data):
    return data.hex(":")


def eui64(mac):
    """The interface identifier that a guest makes of its MAC, the last half of its IPv6 addresses."""
    raw = bytes_of(mac)
    return bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]


class Identity:
    """What a VM has of its own on the wire."""

    def __init__(self, mac, ip=None, name=None, ipv6=()):
        self.mac, self.ip, self.name = mac, ip, name
        self.ipv6 = {ipaddress.IPv6Address(address) for address in ipv6} | {ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + eui64(mac))}


def kind_of(frame):
    return int.from_bytes(frame[12:14], "big")


def announces(frame, mac):
    """Whether it tells the network where a MAC is, as QEMU does (RARP), or a guest (ARP about itself)."""
    if bytes_of(mac) != frame[6:12]:
        return False
    return kind_of(frame) == RARP or kind_of(frame) == ARP and frame[28:32] == frame[38:42]


def dhcp_options(payload):
    options, place = {}, 240
    while place + 1 < len(payload) and payload[place] != DHCP_END:
        if payload[place] == 0:
            place += 1
            continue
        size = payload[place + 1]
        options[payload[place]] = payload[place + 2:place + 2 + size]
        place += 2 + size
    return options


def faults_of_dhcp(payload, own, source):
    """`payload`: what a client sends, from its first byte."""
    options = dhcp_options(payload)
    if mac_text(payload[28:34]) != own.mac:
        yield f"DHCP of {mac_text(payload[28:34])}"
    asked = [socket.inet_ntoa(payload[12:16])]
    if len(options.get(DHCP_REQUESTED_IP, b"")) == 4:
        asked.append(socket.inet_ntoa(options[DHCP_REQUESTED_IP]))
    for ip in asked:
        if ip not in (NO_IP, own.ip):
            yield f"DHCP asks for {ip}"
    client = options.get(DHCP_CLIENT_ID, b"")
    if client[:1] == b"\x01" and client[1:] != bytes_of(own.mac):
        yield f"DHCP client id {client.hex()}"
    if source.name and options.get(DHCP_HOST_NAME) == source.name.encode():
        yield f"DHCP of a host called {source.name}"


def faults_of_ipv4(packet, own, source):
    sender = socket.inet_ntoa(packet[12:16])
    if sender not in (NO_IP, own.ip):
        yield f"IPv4 from {sender}"
    header = 4 * (packet[0] & 15)
    if packet[9] == UDP and packet[header:header + 4] == struct.pack(">HH", 68, 67) and packet[header + 244:header + 248] == DHCP_COOKIE:
        yield from faults_of_dhcp(packet[header + 8:], own, source)


def icmpv6_of(packet):
    """Its message, behind the extension that multicast listeners use."""
    kind, place = packet[6], 40
    if kind == HOP_BY_HOP:
        kind, place = packet[place], place + 8 * (packet[place + 1] + 1)
    return packet[place:] if kind == ICMPV6 else b""


def faults_of_ipv6(packet, source):
    sender = ipaddress.IPv6Address(packet[8:24])
    if sender in source.ipv6 or sender.packed[8:] == eui64(source.mac):
        yield f"IPv6 from {sender}"
    message = icmpv6_of(packet)
    speaks_for = message[8:24] if message[:1] == b"\x88" or message[:1] == b"\x87" and sender == NO_IPV6 else b""  # an advertisement, a probe before use
    if len(speaks_for) == 16 and (ipaddress.IPv6Address(speaks_for) in source.ipv6 or speaks_for[8:] == eui64(source.mac)):
        yield f"IPv6 speaks for {ipaddress.IPv6Address(speaks_for)}"


def faults_of(frame, own, source):
    """What of a frame of `own` is not its own; `source`: the one whose memory it goes on from."""
    if mac_text(frame[6:12]) != own.mac:
        yield f"frame of {mac_text(frame[6:12])}"
    body, kind = frame[14:], kind_of(frame)
    if kind in (ARP, RARP):
        if mac_text(body[8:14]) != own.mac:
            yield f"ARP of {mac_text(body[8:14])}"
        if socket.inet_ntoa(body[14:18]) not in (NO_IP, own.ip):
            yield f"ARP for {socket.inet_ntoa(body[14:18])}"
        body = body[:18]  # it may ask for anybody
    elif kind == IPV4:
        yield from faults_of_ipv4(body, own, source)
    elif kind == IPV6:
        yield from faults_of_ipv6(body, source)
        body = body[:24] + body[40:]  # it may speak to anybody
    if bytes_of(source.mac) in body:  # wherever nobody looked
        yield f"the source's MAC in a frame of kind {kind:04x}"
