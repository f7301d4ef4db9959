// QEMU 7.2 reads its orders (QMP) one byte at a time: a poll and a read for each, 3 to 4 ms of a clone's 1300 bytes. Given more, it takes more.
#pragma once

namespace ramet::hypervisor {

// On the main thread, its lock held: QMP then reads up to 128 bytes at a time. False, and without effect, where QEMU is not as it is known, or its
// monitor's thread has not got that far.
bool take_orders_at_once();

}  // namespace ramet::hypervisor
