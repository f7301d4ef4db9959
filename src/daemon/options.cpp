#include "daemon/options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <system_error>

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

http::HookAddresses hook_addresses(const std::string& text) {
    if (text == "guarded") return http::HookAddresses::guarded;
    if (text == "public") return http::HookAddresses::public_only;
    if (text == "local") return http::HookAddresses::local;
    throw CLI::ValidationError("--web-hooks", "must be guarded, public or local, but is '" + text + "'");
}

// Also below a working directory that is gone: then it stays as it is, and fails where it is used.
std::string absolute(const std::string& path) {
    std::error_code error;
    const std::filesystem::path full = std::filesystem::absolute(path, error);
    std::string text = (error ? std::filesystem::path(path) : full).lexically_normal().string();
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    return text;
}

// What CLI11 cannot see is wrong: the text, or nothing.
std::string trouble_with(const Options& options) {
    if (options.data_dir.empty()) return "--data-dir must name a directory, such as /var/lib/ramet";
    std::error_code error;
    if (options.teardown && !std::filesystem::exists(options.data_dir + "/ramet.db", error))
        return "there is no data directory of rametd at " + options.data_dir + "; --teardown needs the --data-dir that the server was started with";
    return {};
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
    app.add_option_function<std::string>(
           "--web-hooks", [&options](const std::string& text) { options.web_hooks = hook_addresses(text); },
           "Where web hooks may go: public (the internet), local (also private addresses and this machine) or guarded (local for "
           "administrators' jobs, public for others'); link-local and metadata addresses never")
        ->default_str("guarded");
    app.add_option("--memory-dir", options.memory_dir,
                   "Where the memory of instant clones is kept while they run: a directory of its own, on a tmpfs for clones of clones without a "
                   "pause; default: DATA-DIR/memory");
    app.add_option("--ready-processes", options.ready_processes,
                   "QEMU processes kept ready for each checkpoint with memory: clones of it run sooner, and each takes some 16 MB while it waits")
        ->capture_default_str()
        ->check(CLI::Range(std::size_t{0}, kReadyProcessesMax));
    app.add_flag("--allow-userfaultfd", options.allow_userfaultfd,
                 "As root, set vm.unprivileged_userfaultfd=1 where it is 0, so that running VMs are captured without stopping them");
    app.add_flag("!--no-fork-server", options.fork_processes,
                 "Execute QEMU for every VM, which gives each an address space layout of its own, instead of forking it, which is sooner");
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
    if (const std::string trouble = trouble_with(options); !trouble.empty()) {
        std::cerr << "rametd: " << trouble << '\n';
        exit_code = 2;
        return std::nullopt;
    }
    options.data_dir = absolute(options.data_dir);
    options.memory_dir = options.memory_dir.empty() ? options.data_dir + "/memory" : absolute(options.memory_dir);
    return options;
}

}  // namespace ramet::daemon
