// The command line of rametd.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "http/web_hooks.hpp"

namespace ramet::daemon {

struct Options {
    std::string data_dir;
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 8080;
    std::string qemu_user = "ramet-qemu";
    std::string console_dir;  // pages from a directory instead of the built-in ones
    http::HookAddresses web_hooks = http::HookAddresses::guarded;
    std::string memory_dir;           // of memory images; empty: in the data directory
    std::size_t ready_processes = 0;  // per checkpoint with memory
    bool fork_processes = true;       // QEMU's
    bool allow_userfaultfd = false;
    bool force_tcg = false;
    bool verbose = false;
    bool teardown = false;  // end every VM and remove every network object of the data directory, then exit
};

// Nothing: the program has already printed help, its version or what is wrong; exit with `exit_code`.
std::optional<Options> read_options(int argc, char** argv, int& exit_code);

}  // namespace ramet::daemon
