// A guest whose memory is captured while it runs stands still for as long as all of it is write-protected: 82 ns for each page of 4 KiB, 22 ms per GiB,
// by one processor. The others stand idle then, as the guest does. A huge page is protected as one, unless it was released in pieces by the capture
// before: QEMU releases each page of 4 KiB that it has saved, and the kernel cuts the huge page of it in 512.
#pragma once

#include <sys/types.h>

struct uffdio_writeprotect;

namespace ramet::hypervisor {

using IoControl = int (*)(int fd, unsigned long request, ...);

// UFFDIO_WRITEPROTECT through `call`, the C library's ioctl(). As ioctl(): 0, or -1 and errno.
// Protects 128 MiB or more by several threads. Releases pages that follow each other together, at the end of their huge page; a page that the guest
// waits for, and one that does not follow the one before, at once. What is held back is released with the next of those at the latest, and QEMU
// releases all when it ends a capture. One capture at a time; by the thread that saves the pages.
int change_protection(IoControl call, int fd, uffdio_writeprotect* wanted);

using Read = ssize_t (*)(int fd, void* bytes, size_t size);

// read() through `call`, the C library's. QEMU asks its userfaultfd before each page that it saves what the guest waits for; as long as the guest has
// just gone on, and waits for one page after the other, it is given a moment to ask.
ssize_t read_fault(Read call, int fd, void* bytes, size_t size);

}  // namespace ramet::hypervisor
