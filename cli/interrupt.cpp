#include "interrupt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace ramet::cli {

namespace {

// A handler may not allocate: its text is made before it is installed.
std::array<char, 512> last_words;
std::size_t last_words_bytes = 0;

void say_and_exit(int) {
    [[maybe_unused]] const ssize_t said = ::write(STDERR_FILENO, last_words.data(), last_words_bytes);
    ::_exit(128 + SIGINT);
}

}  // namespace

std::string job_goes_on(const std::string& job) {
    return fmt::format("the job {0} goes on: `ramet job watch {0}` follows it, `ramet job cancel {0}` ends it", job);
}

InterruptNote::InterruptNote(const std::string& job) {
    struct sigaction before{};
    if (::sigaction(SIGINT, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) return;
    const std::string text = "\nramet: " + job_goes_on(job) + "\n";
    last_words_bytes = std::min(text.size(), last_words.size());
    std::copy_n(text.data(), last_words_bytes, last_words.data());
    struct sigaction ours{};
    ours.sa_handler = &say_and_exit;
    installed_ = ::sigaction(SIGINT, &ours, nullptr) == 0;
}

InterruptNote::~InterruptNote() {
    if (installed_) std::signal(SIGINT, SIG_DFL);
}

}  // namespace ramet::cli
