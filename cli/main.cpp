// ramet: the command line of rametd. Exit codes: 0 done, 1 failed, 2 wrong use, 3 partly done.
#include <curl/curl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <cstdlib>

#include "commands.hpp"
#include "job_watch.hpp"

namespace {

void take_environment(ramet::cli::Connection& connection) {
    if (const char* server = std::getenv("RAMET_SERVER"); server != nullptr && *server != '\0') connection.server = server;
    if (const char* account = std::getenv("RAMET_ACCOUNT"); account != nullptr && *account != '\0') connection.account = account;
    if (const char* password = std::getenv("RAMET_PASSWORD")) connection.password = password;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace ramet::cli;
    if (sodium_init() < 0) return kFailed;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    Context context;
    take_environment(context.connection);
    CLI::App app{"ramet: clone virtual machines.\nThe password is taken from RAMET_PASSWORD or a saved `ramet login`.", "ramet"};
    app.set_version_flag("--version", std::string("ramet ") + RAMET_VERSION);
    app.add_option("--server", context.connection.server, "Address of rametd (RAMET_SERVER)")->capture_default_str();
    app.add_option("--account", context.connection.account, "Account (RAMET_ACCOUNT)")->capture_default_str();
    const std::map<std::string, Format> formats{{"table", Format::table}, {"json", Format::json}};
    app.add_option("-o,--output", context.format, "table or json")->transform(CLI::CheckedTransformer(formats));
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
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? kDone : kWrongUse; }
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
