#include "hypervisor/qemu/fork_server/code_at_rest.hpp"

#include <malloc.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <ctime>

#include "hypervisor/qemu/fork_server/entry_point.hpp"

namespace ramet::hypervisor {

namespace {

constexpr unsigned kLookSeconds = 10;
constexpr std::uint64_t kRestNanoseconds = kLookSeconds * 1'000'000'000ULL / 20;  // of processor time between two looks, at most: a twentieth
constexpr std::size_t kWorthIt = 8UL << 20;                                       // a small Linux guest at rest has 2 to 3 MiB
constexpr std::size_t kPrologue = 64UL << 10;                                     // at the beginning of the buffer; never thrown away
constexpr std::size_t kPage = 4096;

using Work = void (*)(void* cpu, void* data);

std::size_t (*code_size)() = nullptr;
std::size_t (*code_capacity)() = nullptr;
void* (*cpu_of)(int) = nullptr;
void (*flush_code)(void* cpu) = nullptr;
void (*run_alone)(void* cpu, Work work, void* data) = nullptr;
char** prologue = nullptr;  // QEMU's variable
std::uint64_t processor_time = 0;

// On a virtual CPU's thread while no virtual CPU executes code.
void throw_code_away(void* cpu, void*) {
    flush_code(cpu);  // at once, as nobody executes
    const auto place = reinterpret_cast<std::uintptr_t>(*prologue);
    const std::size_t first = (place + kPrologue + kPage - 1) / kPage * kPage - place, last = (place + code_capacity()) / kPage * kPage - place;
    if (code_size() < kPrologue && first < last) ::madvise(*prologue + first, last - first, MADV_DONTNEED);
    ::malloc_trim(0);
}

// Of GLib's main loop; not 0: it is called again.
int look(void*) {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    const std::uint64_t time = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<std::uint64_t>(now.tv_nsec);
    const bool rests = time - processor_time < kRestNanoseconds;
    processor_time = time;
    void* const cpu = cpu_of(0);
    if (rests && cpu != nullptr && code_size() > kWorthIt) run_alone(cpu, throw_code_away, nullptr);
    return 1;
}

}  // namespace

void give_back_code_at_rest() {
    unsigned (*call_every)(unsigned, int (*)(void*), void*) = nullptr;
    if (find(code_size, "tcg_code_size") && find(code_capacity, "tcg_code_capacity") && find(cpu_of, "qemu_get_cpu") &&
        find(flush_code, "tb_flush") && find(run_alone, "async_safe_run_on_cpu") && find(prologue, "tcg_qemu_tb_exec") &&
        find(call_every, "g_timeout_add_seconds"))
        call_every(kLookSeconds, look, nullptr);
}

}  // namespace ramet::hypervisor
