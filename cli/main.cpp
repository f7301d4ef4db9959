// ramet: the command line of rametd. Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly done, 130 interrupted while a job is waited for.
#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "commands.hpp"
#include "job_watch.hpp"
#include "wrong_use.hpp"

namespace {

void take_environment(ramet::cli::Connection& connection) {
    if (const char* server = std::getenv("RAMET_SERVER"); server != nullptr && *server != '\0') connection.server = server;
    if (const char* account = std::getenv("RAMET_ACCOUNT"); account != nullptr && *account != '\0') connection.account = account;
    if (const char* password = std::getenv("RAMET_PASSWORD")) connection.password = password;
}

// A connection must not become a standard file that was closed. What is printed to a closed output then fails, as it should.
void hold_standard_files() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) != fd) return;
    }
}

bool is_printable(const std::string& text) {
    return std::ranges::all_of(text, [](char character) { return character >= ' ' && character <= '~'; });
}

void add_connection_options(CLI::App& app, ramet::cli::Context& context) {
    using ramet::cli::Format;
    app.add_option("--server", context.connection.server, "Address of rametd (RAMET_SERVER)")->capture_default_str();
    app.add_option("--account", context.connection.account, "Account (RAMET_ACCOUNT)")->capture_default_str();
    app.add_option_function<std::string>(
        "-o,--output",
        [&context](const std::string& format) {
            if (format != "json" && format != "table") throw CLI::ValidationError("--output", "must be json or table, but is '" + format + "'");
            context.format = format == "json" ? Format::json : Format::table;
        },
        "json or table");
    const CLI::Validator no_control([](const std::string& text) { return is_printable(text) ? "" : "has characters that a header cannot carry"; },
                                    "TEXT");
    app.add_option("--idempotency-key", context.connection.key, "A text of yours: a command that is repeated with it is not done twice")
        ->check(no_control);
    app.add_option("--web-hook", context.connection.web_hook, "http://... that the server posts the result of the job to")->check(no_control);
}

int run(int argc, char** argv) {
    using namespace ramet::cli;
    if (sodium_init() < 0) return kFailed;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    Context context;
    take_environment(context.connection);
    CLI::App app{"ramet: clone virtual machines.\nThe password is taken from RAMET_PASSWORD or a saved `ramet login`.", "ramet"};
    app.set_version_flag("--version", std::string("ramet ") + RAMET_VERSION);
    add_connection_options(app, context);
    app.require_subcommand(1);
    app.fallthrough();
    add_login_commands(app, context);
    add_vm_commands(app, context);
    add_clone_command(app, context);
    add_image_commands(app, context);
    add_volume_commands(app, context);
    add_snapshot_commands(app, context);
    add_checkpoint_commands(app, context);
    add_place_commands(app, context);
    add_lineage_command(app, context);
    add_job_commands(app, context);
    add_event_commands(app, context);
    add_doctor_command(app, context);
    add_config_commands(app, context);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const std::optional<std::string> trouble = command_trouble(app, error);
        if (!trouble) return app.exit(error) == 0 ? kDone : kWrongUse;
        fmt::print(stderr, "ramet: {}\n", *trouble);
        return kWrongUse;
    }
    ApiClient api(context.connection);
    if (::isatty(STDERR_FILENO) == 1) {
        api.while_waiting([](ApiClient& waiting, const std::string& job) {
            JobScreen screen(JobScreen::Style::bars);
            (void)watch_job(waiting, job, screen);  // the answer itself is fetched afterwards
        });
    }
    const ramet::Result<int> outcome = context.command(api);
    if (outcome.has_value()) return *outcome;
    fmt::print(stderr, "ramet: {}\n", outcome.error().message);
    return outcome.error().code == ramet::ErrorCode::invalid_argument ? kWrongUse : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace ramet::cli;
    hold_standard_files();
    int code = kFailed;
    bool thrown = false;
    try {
        code = run(argc, argv);
    } catch (const std::system_error& error) {  // a file that could not be written, as fmt tells it
        errno = error.code().value();
        thrown = true;
    }
    // Only now is all of the output at its place, or not.
    if (!thrown && std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    std::fprintf(stderr, "ramet: the output could not be written: %s\n", std::strerror(errno));
    return code == kDone ? kFailed : code;
}
