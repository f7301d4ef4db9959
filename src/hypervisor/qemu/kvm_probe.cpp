#include "hypervisor/qemu/kvm_probe.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>

// The guest: a boot sector, assembled into our read-only data. Addresses are counted from 0x7c00, where firmware puts it.
asm(R"(
    .pushsection .rodata.ramet_probe, "a", @progbits
    .globl ramet_probe_guest
    .hidden ramet_probe_guest
ramet_probe_guest:
    .code16
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    # Page tables from 0x1000: the first 2 MiB, and the page of the local APIC at 0xfee00000.
    movw $0x1000, %di
    movw $0x4000, %cx
    xorl %eax, %eax
    rep stosb
    movl $0x2003, 0x1000
    movl $0x3003, 0x2000
    movl $0x4003, 0x2018
    movl $0x83, 0x3000
    movl $0xfee00083, 0x4fb8
    # Long mode: PAE, the tables, EFER.LME, paging.
    movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $0x1000, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    lgdt 0x7c00 + (.Lprobe_gdtr - ramet_probe_guest)
    movl %cr0, %eax
    orl $0x80000001, %eax
    movl %eax, %cr0
    ljmp $8, $(0x7c00 + (.Lprobe_long - ramet_probe_guest))
    .code64
.Lprobe_long:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x7c00, %esp
    # Interrupt table at 0x6000: vector 0x20 the PIT, 0x30 the APIC timer.
    movl $0x6000, %edi
    movl $0x400, %ecx
    xorl %eax, %eax
    rep stosl
    movl $(0x80000 + 0x7c00 + (.Lprobe_tick - ramet_probe_guest)), 0x6200
    movl $0x8e00, 0x6204
    movl $(0x80000 + 0x7c00 + (.Lprobe_apic - ramet_probe_guest)), 0x6300
    movl $0x8e00, 0x6304
    lidt 0x7c00 + (.Lprobe_idtr - ramet_probe_guest)
    # Interrupt controller: vectors from 0x20, only line 0.
    movb $0x11, %al
    outb %al, $0x20
    movb $0x20, %al
    outb %al, $0x21
    movb $4, %al
    outb %al, $0x21
    movb $1, %al
    outb %al, $0x21
    movb $0xfe, %al
    outb %al, $0x21
    # PIT: 1193182 Hz / 1193 = 1 kHz.
    movb $0x34, %al
    outb %al, $0x43
    movb $0xa9, %al
    outb %al, $0x40
    movb $0x04, %al
    outb %al, $0x40
    xorl %ebx, %ebx
    xorl %ebp, %ebp
    # Local APIC: enabled, timer divided by 16, periodic, vector 0x30.
    movl $0xfee00000, %esi
    movl $0x1ff, 0xf0(%rsi)
    movl $3, 0x3e0(%rsi)
    movl $0x20030, 0x320(%rsi)
    movl $62500, 0x380(%rsi)
    sti
.Lprobe_wait:
    hlt
    cmpl $200, %ebx
    jb .Lprobe_wait
    cmpl $200, %ebp
    jb .Lprobe_wait
    cli
    movb $0x2a, %al
    outb %al, $0xf4
    hlt
.Lprobe_tick:
    incl %ebx
    pushq %rax
    movb $0x20, %al
    outb %al, $0x20
    popq %rax
    iretq
.Lprobe_apic:
    incl %ebp
    movl $0, 0xb0(%rsi)
    iretq
    .balign 8
.Lprobe_gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
.Lprobe_gdtr:
    .word 23
    .long 0x7c00 + (.Lprobe_gdt - ramet_probe_guest)
.Lprobe_idtr:
    .word 0xfff
    .quad 0x6000
    .org ramet_probe_guest + 510
    .word 0xaa55
    .popsection
    .code64
)");

extern "C" const char ramet_probe_guest[512];

namespace ramet::hypervisor {
namespace {

constexpr int kSuccess = 0x2a << 1 | 1;    // isa-debug-exit's exit code for the byte 0x2a
constexpr off_t kDiskBytes = 1024 * 1024;  // firmware does not boot from a disk of one sector

Result<Fd> memory_file(const char* name) {
    Fd file(::memfd_create(name, MFD_CLOEXEC));
    if (!file.valid()) return fail(ErrorCode::internal, "No memory for the accelerator probe", std::strerror(errno));
    return file;
}

Result<Fd> guest_disk() {
    TRY_ASSIGN(const Fd disk, memory_file("probe-disk"));
    if (::ftruncate(disk.get(), kDiskBytes) < 0 || ::pwrite(disk.get(), ramet_probe_guest, 512, 0) != 512) {
        return fail(ErrorCode::internal, "No memory for the accelerator probe", std::strerror(errno));
    }
    Fd reading(::open(("/proc/self/fd/" + std::to_string(disk.get())).c_str(),
                      O_RDONLY | O_CLOEXEC));  // QEMU takes a file only with the rights it asks for
    if (!reading.valid()) return fail(ErrorCode::internal, "The accelerator probe cannot open its disk", std::strerror(errno));
    return reading;
}

std::string last_line(int file) {
    std::array<char, 4096> text{};
    const ssize_t count = ::pread(file, text.data(), text.size() - 1, 0);
    std::string all(text.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    while (!all.empty() && all.back() == '\n') all.pop_back();
    const std::string first_error = all.substr(0, all.find('\n'));  // what follows it is QEMU falling over
    return first_error.empty() ? "it gave no reason" : first_error.substr(0, 300);
}

Result<ProbeResult> run_probe(const std::string& binary, const std::string& accelerator, const std::string& cpu, const std::optional<User>& user,
                              std::chrono::milliseconds patience) {
    TRY_ASSIGN(const Fd disk, guest_disk());
    TRY_ASSIGN(const Fd log, memory_file("probe-log"));
    const Fd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Launch order;
    order.program = binary;
    order.arguments = {"-nodefaults", "-no-user-config",
                       "-display",    "none",
                       "-machine",    "pc-q35-7.2,usb=off,vmport=off",
                       "-accel",      accelerator,
                       "-cpu",        cpu,
                       "-m",          "32",
                       "-device",     "isa-debug-exit,iobase=0xf4,iosize=1",
                       "-add-fd",     "fd=100,set=1",
                       "-blockdev",   "driver=file,filename=/dev/fdset/1,node-name=disk,read-only=on",
                       "-device",     "virtio-blk-pci,drive=disk,bootindex=0"};
    order.directory = directory.get();
    order.log = log.get();
    order.inherited = {disk.get()};
    order.user = user;
    TRY_ASSIGN(const Process process, launch(order));
    const bool ended = wait_for_end(process, patience);
    if (!ended) kill_process(process);
    const int code = reap(process, true).value_or(-1);
    if (!ended) return ProbeResult{false, "a test guest did not get through 200 timer interrupts in " + std::to_string(patience.count()) + " ms"};
    if (code != kSuccess) return ProbeResult{false, "a test guest did not run: " + last_line(log.get())};
    return ProbeResult{true, "a test guest ran on it"};
}

}  // namespace

ProbeResult probe_accelerator(const std::string& qemu_binary, const std::string& accelerator, const std::string& cpu, const std::optional<User>& user,
                              std::chrono::milliseconds patience) {
    Result<ProbeResult> result = run_probe(qemu_binary, accelerator, cpu, user, patience);
    if (result.has_value()) return std::move(*result);
    return {false, result.error().message};
}

}  // namespace ramet::hypervisor
