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
    using api::CheckInvariantsReply;
    static const TypeInfo info =
        object<CheckInvariantsReply>("CheckInvariantsReply", "What was found.",
                                     field<&CheckInvariantsReply::findings>("findings", "Things that do not fit together. Empty: all fit."),
                                     field<&CheckInvariantsReply::invariants>("invariants", "Every invariant of the server and whether it holds."));
    return info;
}
template <> const TypeInfo& describe<api::InvariantState>() {
    using api::InvariantState;
    static const TypeInfo info = object<InvariantState>(
        "InvariantState", "One invariant.", field<&InvariantState::number>("number", "Its number, I1 to I40."),
        field<&InvariantState::claim>("claim", "What must be true."), field<&InvariantState::state>("state", "ok, violated, or not checkable here."),
        field<&InvariantState::reason>("reason", "Why it is not checkable here."), field<&InvariantState::findings>("findings", "What violates it."));
    return info;
}
template <> const TypeInfo& describe<api::CleanGarbage>() {
    static const TypeInfo info = object<api::CleanGarbage>("CleanGarbage", "Removes what nobody owns.");
    return info;
}
template <> const TypeInfo& describe<api::CleanGarbageReply>() {
    using api::CleanGarbageReply;
    static const TypeInfo info = object<CleanGarbageReply>(
        "CleanGarbageReply", "What was done.", field<&CleanGarbageReply::removed>("removed", "How many things were removed."),
        field<&CleanGarbageReply::waiting>("waiting", "How many have been seen and may be removed at a later look."),
        field<&CleanGarbageReply::wait_seconds>("waitSeconds", "How long a thing must have been seen; clean again after it."));
    return info;
}
template <> const TypeInfo& describe<api::VerifyMemoryImages>() {
    static const TypeInfo info = object<api::VerifyMemoryImages>("VerifyMemoryImages", "Reads all captured memory.");
    return info;
}
template <> const TypeInfo& describe<api::VerifyMemoryImagesReply>() {
    using api::VerifyMemoryImagesReply;
    static const TypeInfo info = object<VerifyMemoryImagesReply>(
        "VerifyMemoryImagesReply", "What was read.", field<&VerifyMemoryImagesReply::verified>("verified", "How many memory images were read."),
        field<&VerifyMemoryImagesReply::damaged>("damaged", "Those that are not what was captured, and what of them."));
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
                                  .response_example = R"({"findings":[],"invariants":[{"number":"I20","claim":"an address is given once",)"
                                                      R"("state":"ok"}],"success":true})",
                                  .make = &make_request<CheckInvariants>};
    return info;
}
template <> const MessageInfo& message<CleanGarbage>() {
    static const MessageInfo info{.name = "CleanGarbage",
                                  .category = "Settings/Maintenance",
                                  .method = Method::put,
                                  .path = "/doctor/actions",
                                  .body_key = "cleanGarbage",
                                  .completion = Completion::async,
                                  .access = Access::admin,
                                  .doc =
                                      "Removes files, processes and network devices that nobody owns. What was not seen before is only noted: it is "
                                      "removed by a call that comes garbage.secondLook later.",
                                  .since = "ramet 0.1",
                                  .reply_key = "*",
                                  .request = &describe<CleanGarbage>,
                                  .reply = &describe<CleanGarbageReply>,
                                  .request_example = "{}",
                                  .response_example = R"({"removed":1,"waiting":0,"waitSeconds":30})",
                                  .make = &make_request<CleanGarbage>};
    return info;
}

template <> const MessageInfo& message<VerifyMemoryImages>() {
    static const MessageInfo info{
        .name = "VerifyMemoryImages",
        .category = "Settings/Maintenance",
        .method = Method::put,
        .path = "/doctor/actions",
        .body_key = "verifyMemoryImages",
        .completion = Completion::async,
        .access = Access::admin,
        .doc =
            "Reads what was captured of VMs' memory and holds it against its checksums. Damaged memory shows in the doctor's "
            "findings from then on, and clones from it are refused.",
        .since = "ramet 0.1",
        .reply_key = "*",
        .request = &describe<VerifyMemoryImages>,
        .reply = &describe<VerifyMemoryImagesReply>,
        .request_example = "{}",
        .response_example = R"({"verified":2,"damaged":[]})",
        .make = &make_request<VerifyMemoryImages>};
    return info;
}

}  // namespace api
}  // namespace ramet
