"""NIC parameters that change how frames flow, seen from inside the guest and from the host."""
import json
import os
import socket
import threading
import unittest

from support import Agent, World

SENT_BITS, RECEIVED_BITS = 8_000_000, 16_000_000
SENT_BYTES, RECEIVED_BYTES = 4_000_000, 6_000_000


def seconds_at_least(count, bits_per_second):
    """A limit lets one second of its rate and 64 KiB pass at once."""
    return (count - (64 << 10)) * 8 / bits_per_second - 1


@unittest.skipUnless(os.geteuid() == 0, "taps and packet rules need root")
class Nic(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        l3 = cls.api.rows("/l3-networks", "name=default")[0]["uuid"]
        cls.param = {"l3NetworkUuid": l3, "multiQueueNum": 2, "outboundBandwidth": SENT_BITS, "inboundBandwidth": RECEIVED_BITS}
        source = cls.api.create_vm("source", cls.image["uuid"], cpuNum=2, strategy="CreateStopped")
        cls.vm = cls.api.clone(source["uuid"], ["limited"], vmNicParams=[cls.param])["inventories"][0]["inventory"]
        cls.agent = Agent(cls.server.data_dir, cls.vm["uuid"])
        cls.agent.call("guest-ping", 90)
        cls.gateway = cls.vm["vmNics"][0]["gateway"]

    def exchange(self, serve, command):
        """Seconds that `command` took in the guest ($1 address, $2 port), while `serve` has its connection on the host."""
        with socket.create_server((self.gateway, 0)) as listener:
            listener.settimeout(60)

            def answer():
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(60)
                    serve(connection)

            thread = threading.Thread(target=answer)
            thread.start()
            clock = "cut -d' ' -f1 /proc/uptime"
            begun, ended = self.agent.run(f"set -- {self.gateway} {listener.getsockname()[1]}; {clock}; {command} && {clock}", 90).split()
            thread.join(90)
            return float(ended) - float(begun)

    def test_the_guest_has_a_queue_per_asked_for_number(self):
        self.assertEqual("rx-0 rx-1", self.agent.run("cd /sys/class/net/eth0/queues && echo rx-*"))

    def test_the_guest_sends_no_faster_than_its_limit(self):
        received = []

        def receive_all(connection):
            got = 0
            while part := connection.recv(1 << 16):
                got += len(part)
            received.append(got)

        took = self.exchange(receive_all, f"head -c {SENT_BYTES} /dev/zero | nc $1 $2")
        self.assertEqual([SENT_BYTES], received)
        self.assertGreater(took, seconds_at_least(SENT_BYTES, SENT_BITS) * 0.95)

    def test_the_guest_receives_no_faster_than_its_limit(self):
        def send_all(connection):
            connection.sendall(bytes(RECEIVED_BYTES))
            connection.shutdown(socket.SHUT_WR)

        took = self.exchange(send_all, f"[ $(nc $1 $2 </dev/null | wc -c) = {RECEIVED_BYTES} ]")
        self.assertGreater(took, seconds_at_least(RECEIVED_BYTES, RECEIVED_BITS) * 0.95)

    def test_limits_outside_their_range_are_refused_by_name(self):
        for field, value in (("outboundBandwidth", 100), ("inboundBandwidth", 1 << 60), ("multiQueueNum", 0)):
            self.refused("SYS.1007", field, call=lambda: self.api.clone(self.vm["uuid"], ["x"], vmNicParams=json.dumps([{**self.param, field: value}])))

    def test_tags_ask_for_an_address_and_a_mac(self):
        l3 = self.param["l3NetworkUuid"]
        last = self.api.rows("/l3-networks/ip-ranges", "l3NetworkUuid=" + l3)[0]["endIp"]
        before, number = last.rsplit(".", 1)
        mac = "52:54:00:12:34:56"
        tags = [f"staticIp::{l3}::{last}", f"customMac::{l3}::{mac}"]
        made = [self.api.create_vm("tagged", self.image["uuid"], strategy="CreateStopped", systemTags=tags)]
        self.assertEqual((last, mac), (made[0]["vmNics"][0]["ip"], made[0]["vmNics"][0]["mac"]))
        wanted = f"{before}.{int(number) - 1}"
        made.append(self.api.clone(made[0]["uuid"], ["own"], strategy="CreateStopped", systemTags=[f"staticIp::{l3}::{wanted}"])["inventories"][0]["inventory"])
        self.assertEqual(wanted, made[1]["vmNics"][0]["ip"])
        self.refused("L3.1000", "in use", call=lambda: self.api.clone(made[0]["uuid"], ["taken"], systemTags=[f"staticIp::{l3}::{last}"]))
        self.refused("SYS.1007", "not on", call=lambda: self.api.clone(made[0]["uuid"], ["away"], systemTags=[f"staticIp::{'0' * 32}::{last}"]))
        for vm in made:
            self.expunge(vm["uuid"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
