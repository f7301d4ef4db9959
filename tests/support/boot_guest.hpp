// A guest of one sector, for tests that need a VM and no operating system. Starts in a third of a second under emulation.
// It says 'R' on the serial port when it runs (and has written once, if it is a writer).
#pragma once

#include <cstdint>
#include <string>

asm(R"(
    .pushsection .rodata.ramet_boot_guest, "a", @progbits
    .weak ramet_boot_guest
ramet_boot_guest:
    .code16
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movb %dl, 0x7e10
    sti
    cmpb $2, 0x7c00 + 509
    je .Lguest_off
    cmpb $3, 0x7c00 + 509
    je .Lguest_loop
    movw $0x602, %dx             # power management: let the power button set its bit
    movw $0x100, %ax
    outw %ax, %dx
.Lguest_loop:
    cmpb $1, 0x7c00 + 509
    jne .Lguest_said
    incl 0x7e00                  # a counter, written to sector 8
    movw $(0x7c00 + (.Lguest_packet - ramet_boot_guest)), %si
    movb 0x7e10, %dl
    movw $0x4300, %ax
    int $0x13
.Lguest_said:
    cmpb $0, 0x7e11
    jne .Lguest_wait
    movb $1, 0x7e11
    movw $0x3f8, %dx
    movb $'R', %al
    outb %al, %dx
.Lguest_wait:
    hlt
    movw $0x600, %dx
    inw %dx, %ax
    testw $0x100, %ax
    jz .Lguest_loop
.Lguest_off:
    movw $0x604, %dx
    movw $0x2000, %ax
    outw %ax, %dx
    hlt
    .balign 4
.Lguest_packet:
    .word 16, 1, 0x7e00, 0
    .quad 8
    .org ramet_boot_guest + 510
    .word 0xaa55
    .code64
    .popsection
)");

extern "C" const char ramet_boot_guest[512];

namespace ramet::test {

enum class GuestMode : char {
    idle = 0,    // listens to the power button, touches no disk
    writer = 1,  // writes a counter to sector 8 some 18 times a second; listens to the power button
    off = 2,     // powers itself off at once
    deaf = 3,    // does not hear the power button
};

inline constexpr std::int64_t kGuestCounterOffset = 8 * 512;

// A raw disk image of 1 MiB.
inline std::string boot_guest(GuestMode mode) {
    std::string image(1024 * 1024, '\0');
    image.replace(0, 512, ramet_boot_guest, 512);
    image[509] = static_cast<char>(mode);
    return image;
}

inline std::uint32_t guest_counter(const std::string& sector) {
    std::uint32_t count = 0;
    for (std::size_t i = 4; i-- > 0;) count = count << 8 | static_cast<unsigned char>(sector.at(i));
    return count;
}

}  // namespace ramet::test
