#include "daemon/options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <map>

namespace ramet::daemon {
namespace {

constexpr std::size_t kReadyProcessesMax = 64;

// "127.0.0.1:8080", "[::1]:8080", ":8080"
bool split_listen(const std::string& text, Options& options) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return false;
    std::string address = text.substr(0, colon);
    if (address.size() > 1 && address.front() == '[' && address.back() == ']') address = address.substr(1, address.size() - 2);
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, options.listen_port);
    if (error != std::errc{} || rest != end) return false;
    options.listen_address = address.empty() ? "0.0.0.0" : address;
    return true;
}

}  // namespace

std::optional<Options> read_options(int argc, char** argv, int& exit_code) {
    Options options;
    std::string listen = "127.0.0.1:8080";
    CLI::App app{"rametd: the server that clones virtual machines. Runs in the foreground; SIGTERM ends it and leaves the VMs running.", "rametd"};
    app.set_version_flag("--version", std::string("rametd ") + RAMET_VERSION);
    app.add_option("--data-dir", options.data_dir, "Where all state is kept; made if absent")->required();
    app.add_option("--listen", listen, "Address and port of the API and the console")->capture_default_str();
    app.add_option("--qemu-user", options.qemu_user, "Unprivileged user that QEMU runs as when rametd is root")->capture_default_str();
    app.add_option("--console-dir", options.console_dir, "Serve the web pages from this directory instead of the built-in ones");
    const std::map<std::string, http::HookAddresses> addresses{
        {"guarded", http::HookAddresses::guarded}, {"public", http::HookAddresses::public_only}, {"local", http::HookAddresses::local}};
    app.add_option("--web-hooks", options.web_hooks,
                   "Where web hooks may go: public (the internet), local (also private addresses and this machine) or guarded (local for "
                   "administrators' jobs, public for others'); link-local and metadata addresses never")
        ->transform(CLI::CheckedTransformer(addresses))
        ->default_str("guarded");
    app.add_option("--memory-dir", options.memory_dir,
                   "Where the memory of instant clones is kept while they run: a directory of its own, on a tmpfs for clones of clones without a "
                   "pause; default: DATA-DIR/memory");
    app.add_option("--ready-processes", options.ready_processes,
                   "QEMU processes kept ready for each checkpoint with memory: clones of it run sooner, and each takes some 35 MB while it waits")
        ->capture_default_str()
        ->check(CLI::Range(std::size_t{0}, kReadyProcessesMax));
    app.add_flag("--allow-userfaultfd", options.allow_userfaultfd,
                 "As root, set vm.unprivileged_userfaultfd=1 where it is 0, so that running VMs are captured without stopping them");
    app.add_flag("--force-tcg", options.force_tcg, "Emulate the CPU even where KVM works");
    app.add_flag("--teardown", options.teardown, "End every VM and remove every network object of the data directory, then exit");
    app.add_flag("-v,--verbose", options.verbose, "Log every request");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        exit_code = app.exit(error);
        if (exit_code != 0) exit_code = 2;
        return std::nullopt;
    }
    if (!split_listen(listen, options)) {
        std::cerr << "rametd: --listen must be ADDRESS:PORT, such as 127.0.0.1:8080\n";
        exit_code = 2;
        return std::nullopt;
    }
    options.data_dir = std::filesystem::absolute(options.data_dir).lexically_normal().string();
    if (options.memory_dir.empty()) options.memory_dir = options.data_dir + "/memory";
    options.memory_dir = std::filesystem::absolute(options.memory_dir).lexically_normal().string();
    while (options.data_dir.size() > 1 && options.data_dir.back() == '/') options.data_dir.pop_back();
    return options;
}

}  // namespace ramet::daemon
