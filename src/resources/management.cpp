#include "resources/management.hpp"

#include <sys/utsname.h>
#include <unistd.h>
#include <array>
#include <ctime>

#include "base/clock.hpp"
#include "resources/row_set.hpp"
#include "resources/sync_reply.hpp"

namespace ramet::resources {
namespace {

const Timestamp kLoaded = SystemClock().now();  // when the program was loaded stands for when it was started

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "localhost";
}

}  // namespace

std::string management_node_uuid(const std::string& data_dir) { return derived_uuid_text("management-node", data_dir); }

void offer_management_nodes(Parts& parts) {
    parts.inventory.offer(describe<api::ManagementNode>(), [&parts](RowSet& rows) {
        *static_cast<api::ManagementNode*>(rows.append()) = {management_node_uuid(parts.data_dir), host_name(), kLoaded, parts.clock.now()};
    });
}

Result<std::string> get_version(Parts&, const identity::Caller&, const api::GetVersion&) { return sync_reply(api::GetVersionReply{RAMET_VERSION}); }

Result<std::string> get_current_time(Parts& parts, const identity::Caller&, const api::GetCurrentTime&) {
    const std::int64_t now = parts.clock.now().milliseconds;
    return sync_reply(api::GetCurrentTimeReply{{now, now / kMillisecondsPerSecond}});
}

Result<std::string> get_management_node_arch(Parts&, const identity::Caller&, const api::GetManagementNodeArch&) {
    utsname facts{};
    return sync_reply(api::GetManagementNodeArchReply{::uname(&facts) == 0 ? facts.machine : "x86_64"});
}

Result<std::string> get_support_apis(Parts&, const identity::Caller&, const api::GetSupportAPIs&) {
    api::GetSupportAPIsReply reply;
    for (const api::MessageInfo* message : api::all_messages()) reply.support_apis.emplace_back(message->name);
    return sync_reply(reply);
}

Result<std::string> is_management_node_ready(Parts& parts, const identity::Caller&, const api::IsManagementNodeReady&) {
    return sync_reply(api::IsManagementNodeReadyReply{management_node_uuid(parts.data_dir)});
}

Result<std::string> get_platform_time_zone(Parts& parts, const identity::Caller&, const api::GetPlatformTimeZone&) {
    const std::time_t now = parts.clock.now().milliseconds / kMillisecondsPerSecond;
    std::tm local{};
    ::localtime_r(&now, &local);
    const long minutes = std::labs(local.tm_gmtoff) / 60;
    std::array<char, 48> offset{};
    std::snprintf(offset.data(), offset.size(), "%c%02ld:%02ld", local.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return sync_reply(api::GetPlatformTimeZoneReply{local.tm_zone == nullptr ? "UTC" : local.tm_zone, offset.data()});
}

}  // namespace ramet::resources
