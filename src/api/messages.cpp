#include "api/message.hpp"

namespace ramet::api {

// One list per group of messages; each is defined beside its messages.
std::vector<const MessageInfo*> identity_messages();
std::vector<const MessageInfo*> resource_messages();
std::vector<const MessageInfo*> vm_messages();
std::vector<const MessageInfo*> snapshot_messages();
std::vector<const MessageInfo*> job_messages();
std::vector<const MessageInfo*> lineage_messages();
std::vector<const MessageInfo*> identity_report_messages();
std::vector<const MessageInfo*> firmware_messages();
std::vector<const MessageInfo*> lease_messages();

std::vector<const MessageInfo*> all_messages() {
    std::vector<const MessageInfo*> all = identity_messages();
    for (const auto& group : {resource_messages(), vm_messages(), snapshot_messages(), job_messages(), lineage_messages(), identity_report_messages(),
                              firmware_messages(), lease_messages()}) {
        all.insert(all.end(), group.begin(), group.end());
    }
    return all;
}

const MessageInfo* find_message(std::string_view name) {
    for (const MessageInfo* message : all_messages())
        if (message->name == name) return message;
    return nullptr;
}

}  // namespace ramet::api
