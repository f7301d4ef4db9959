"""What the tests of instant clones look for in frames is found there."""
import socket
import struct
import unittest

import frames
from frames import ARP, IPV4, IPV6, RARP, Identity, bytes_of, eui64

OWN = Identity("fa:00:00:00:00:02", "10.0.0.2", "clone")
SOURCE = Identity("fa:00:00:00:00:01", "10.0.0.1", "web01", ["fd00::7"])
ALL = b"\xff" * 6


def frame(kind, body, mac=OWN.mac):
    return ALL + bytes_of(mac) + struct.pack(">H", kind) + body


def arp(mac=OWN.mac, ip=OWN.ip, target=SOURCE.ip):
    return struct.pack(">HHBBH", 1, IPV4, 6, 4, 1) + bytes_of(mac) + socket.inet_aton(ip) + bytes_of(SOURCE.mac) + socket.inet_aton(target)


def dhcp(mac=OWN.mac, ip="0.0.0.0", options=b""):
    client = bytes([1, 1, 6, 0]) + bytes(8) + socket.inet_aton(ip) + bytes(12) + bytes_of(mac) + bytes(202) + frames.DHCP_COOKIE + options + b"\xff"
    udp = struct.pack(">HHHH", 68, 67, 8 + len(client), 0) + client
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, frames.UDP, 0) + bytes(4) + b"\xff" * 4 + udp


def ipv6(sender, message=b"", extension=b""):
    kind = frames.HOP_BY_HOP if extension else frames.ICMPV6
    return b"\x60" + bytes(3) + struct.pack(">HBB", len(extension) + len(message), kind, 255) + socket.inet_pton(socket.AF_INET6, sender) + bytes(16) + extension + message


def speaks(kind, target):
    return bytes([kind]) + bytes(7) + socket.inet_pton(socket.AF_INET6, target)


class Frames(unittest.TestCase):
    def faults(self, *arguments, **more):
        return list(frames.faults_of(frame(*arguments, **more), OWN, SOURCE))

    def test_what_is_a_vms_own_is_no_fault(self):
        for kind, body in ((ARP, arp()), (RARP, arp(ip="0.0.0.0", target="0.0.0.0")), (IPV4, dhcp(options=b"\x32\x04\x0a\0\0\x02\x3d\x07\x01" + bytes_of(OWN.mac))),
                           (IPV4, dhcp(options=b"\x0c\x05clone")), (IPV6, ipv6("fe80::f800:ff:fe00:2")), (IPV6, ipv6("::", speaks(135, "fe80::f800:ff:fe00:2"))),
                           (IPV6, ipv6("fe80::f800:ff:fe00:2", speaks(135, "fe80::f800:ff:fe00:1")))):
            self.assertEqual([], self.faults(kind, body))

    def test_the_source_is_found_wherever_it_is(self):
        link_local = "fe80::" + eui64(SOURCE.mac).hex(":", 2)
        listener = bytes([frames.ICMPV6, 0, 5, 2, 0, 0, 1, 0])
        for words, kind, body in (("ARP of", ARP, arp(mac=SOURCE.mac)), ("ARP for", ARP, arp(ip=SOURCE.ip)), ("ARP of", RARP, arp(mac=SOURCE.mac)),
                                  ("DHCP of", IPV4, dhcp(mac=SOURCE.mac)), ("DHCP asks for", IPV4, dhcp(ip=SOURCE.ip)),
                                  ("DHCP asks for", IPV4, dhcp(options=b"\x32\x04\x0a\0\0\x01")), ("DHCP client id", IPV4, dhcp(options=b"\x3d\x07\x01" + bytes_of(SOURCE.mac))),
                                  ("the source's MAC", IPV4, dhcp(options=b"\x3d\x07\xff" + bytes_of(SOURCE.mac))), ("called web01", IPV4, dhcp(options=b"\x0c\x05web01")),
                                  ("IPv6 from", IPV6, ipv6(link_local)), ("IPv6 from", IPV6, ipv6("fd00::7")), ("IPv6 from", IPV6, ipv6(link_local, extension=listener)),
                                  ("speaks for", IPV6, ipv6("::", speaks(135, link_local))), ("speaks for", IPV6, ipv6("fe80::1", speaks(136, link_local)))):
            faults = self.faults(kind, body)
            self.assertTrue(any(words in fault for fault in faults), (words, faults))
        self.assertIn("frame of", self.faults(ARP, arp(), mac=SOURCE.mac)[0])

    def test_an_announcement_is_known(self):
        for kind, body, said in ((RARP, arp(ip="0.0.0.0", target="0.0.0.0"), True), (ARP, arp(target=OWN.ip), True), (ARP, arp(), False), (IPV4, dhcp(), False)):
            self.assertEqual(said, frames.announces(frame(kind, body), OWN.mac))
        self.assertFalse(frames.announces(frame(RARP, arp(), mac=SOURCE.mac), OWN.mac))


if __name__ == "__main__":
    unittest.main(verbosity=2)
