// A thread of control that shares the process' one thread of the kernel: changing from one to another is a jump, where a real thread would have to
// be woken. Each has its stack, its `errno`, and its `thread_local`s of the program and the C++ library.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <vector>

namespace ramet::sim {

class Fiber {
public:
    Fiber();                                      // of the code that is at work, with the process' own stack
    Fiber(void (*entry)(void*), void* argument);  // `entry` must not return
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;
    // From the one at work; returns when somebody changes back.
    void change_to(Fiber& next);

private:
    static void begin(unsigned high, unsigned low);
    void (*entry_)(void*) = nullptr;
    void* argument_ = nullptr;
    char* stack_ = nullptr;
    bool begun_ = false;
    ucontext_t start_{};
    sigjmp_buf place_{};
    std::vector<char> locals_;
    int errno_ = 0;
};

}  // namespace ramet::sim
