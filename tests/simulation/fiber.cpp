// A jump to another stack is no error: the checks of a fortified longjmp would take it for one.
#undef _FORTIFY_SOURCE
#include "simulation/fiber.hpp"

#include <errno.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

namespace ramet::sim {

namespace {

constexpr std::size_t kStack = 1 << 20, kGuard = 4096;  // bytes; of a stack only what was touched costs memory

// Stacks of ended fibers, for the next ones.
std::vector<char*>& free_stacks() {
    static auto* const all = new std::vector<char*>;
    return *all;
}

char* take_stack() {
    if (!free_stacks().empty()) {
        char* const stack = free_stacks().back();
        free_stacks().pop_back();
        return stack;
    }
    void* const memory = ::mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || ::mprotect(memory, kGuard, PROT_NONE) != 0) std::abort();
    return static_cast<char*>(memory);
}

// The `thread_local`s of the program and of the C++ library, which has its exceptions there. The C library's stay those of the one real thread.
struct LocalsOfModule {
    char* at;
    std::size_t size;
    const char* initial;
    std::size_t initial_size;  // behind it there are zeros
};

int add_module(dl_phdr_info* module, std::size_t, void* all) {
    const std::string_view name(module->dlpi_name);
    const bool wanted = name.empty() || name.find("libstdc++") != std::string_view::npos;
    for (int i = 0; wanted && i < module->dlpi_phnum; ++i) {
        const ElfW(Phdr)& part = module->dlpi_phdr[i];
        if (part.p_type != PT_TLS || module->dlpi_tls_data == nullptr) continue;
        static_cast<std::vector<LocalsOfModule>*>(all)->push_back({static_cast<char*>(module->dlpi_tls_data), part.p_memsz,
                                                                   reinterpret_cast<const char*>(module->dlpi_addr + part.p_vaddr), part.p_filesz});
    }
    return 0;
}

const std::vector<LocalsOfModule>& modules() {
    static const auto* const all = [] {
        auto* const found = new std::vector<LocalsOfModule>;
        ::dl_iterate_phdr(&add_module, found);
        return found;
    }();
    return *all;
}

void initialize_locals() {
    for (const LocalsOfModule& module : modules()) {
        std::memcpy(module.at, module.initial, module.initial_size);
        std::memset(module.at + module.initial_size, 0, module.size - module.initial_size);
    }
}

}  // namespace

Fiber::Fiber() : begun_(true) {}

Fiber::Fiber(void (*entry)(void*), void* argument) : entry_(entry), argument_(argument), stack_(take_stack()) {
    if (::getcontext(&start_) != 0) std::abort();
    start_.uc_stack.ss_sp = stack_ + kGuard;
    start_.uc_stack.ss_size = kStack;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    ::makecontext(&start_, reinterpret_cast<void (*)()>(&Fiber::begin), 2, static_cast<unsigned>(self >> 32U), static_cast<unsigned>(self));
}

Fiber::~Fiber() {
    if (stack_ != nullptr) free_stacks().push_back(stack_);
}

// makecontext() hands over numbers of 32 bits.
void Fiber::begin(unsigned high, unsigned low) {
    auto* const self = reinterpret_cast<Fiber*>((static_cast<std::uintptr_t>(high) << 32U) | low);
    initialize_locals();
    self->entry_(self->argument_);
    std::abort();
}

void Fiber::change_to(Fiber& next) {
    std::size_t size = 0;
    for (const LocalsOfModule& module : modules()) size += module.size;
    locals_.resize(size);
    char* saved = locals_.data();
    for (const LocalsOfModule& module : modules()) saved = std::copy_n(module.at, module.size, saved);
    errno_ = errno;
    if (sigsetjmp(place_, 0) == 0) {
        if (std::exchange(next.begun_, true)) siglongjmp(next.place_, 1);
        ::setcontext(&next.start_);
        std::abort();
    }
    errno = errno_;
    const char* kept = locals_.data();
    for (const LocalsOfModule& module : modules()) {
        std::copy_n(kept, module.size, module.at);
        kept += module.size;
    }
}

}  // namespace ramet::sim
