// CheckInvariants: ramet's own call, behind `ramet doctor`.
#include "api/messages_vm.hpp"

namespace ramet {

template <> const TypeInfo& describe<api::CheckInvariants>() {
    static const TypeInfo info = object<api::CheckInvariants>("CheckInvariants", "Looks for things that nobody owns.");
    return info;
}
template <> const TypeInfo& describe<api::InvariantFinding>() {
    using api::InvariantFinding;
    static const TypeInfo info = object<InvariantFinding>("InvariantFinding", "Something that should not be, or is missing.",
                                                          field<&InvariantFinding::kind>("kind", "What is wrong, such as 'file without row'."),
                                                          field<&InvariantFinding::what>("what", "Where: a path, a uuid, a device."));
    return info;
}
template <> const TypeInfo& describe<api::CheckInvariantsReply>() {
    static const TypeInfo info = object<api::CheckInvariantsReply>(
        "CheckInvariantsReply", "What was found.", field<&api::CheckInvariantsReply::findings>("findings", "Empty: every invariant holds."));
    return info;
}

namespace api {

template <> const MessageInfo& message<CheckInvariants>() {
    static const MessageInfo info{.name = "CheckInvariants",
                                  .category = "Settings/Maintenance",
                                  .method = Method::get,
                                  .path = "/doctor",
                                  .access = Access::admin,
                                  .doc =
                                      "Holds files, processes, taps and addresses against the rows and lists what does not fit. While jobs run, what "
                                      "they are making shows up too.",
                                  .since = "ramet 0.1",
                                  .reply_key = "*",
                                  .request = &describe<CheckInvariants>,
                                  .reply = &describe<CheckInvariantsReply>,
                                  .response_example = R"({"findings":[],"success":true})",
                                  .make = &make_request<CheckInvariants>};
    return info;
}

}  // namespace api
}  // namespace ramet
