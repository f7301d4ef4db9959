// A guest whose memory is captured while it runs stands still for as long as all of it is write-protected: 82 ns for each page of 4 KiB, 22 ms per GiB,
// by one processor. The others stand idle then, as the guest does.
#pragma once

struct uffdio_writeprotect;

namespace ramet::hypervisor {

using IoControl = int (*)(int fd, unsigned long request, ...);

// UFFDIO_WRITEPROTECT through `call`, the C library's ioctl(): one of 128 MiB or more by several threads. As ioctl(): 0, or -1 and errno.
int protect_memory(IoControl call, int fd, uffdio_writeprotect* wanted);

}  // namespace ramet::hypervisor
