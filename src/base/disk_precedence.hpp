// Who comes first at the disk: a caller waits for a commit or for a small file to be whole, nobody waits for the next piece of a long copy. A
// commit among a copy's pieces would take their time as well as its own.
//
// Thread rules: from any thread.
#pragma once

#include <stop_token>

namespace ramet {

// While one exists, a caller waits for the disk.
class UrgentDiskUse {
public:
    UrgentDiskUse();
    ~UrgentDiskUse();
    UrgentDiskUse(const UrgentDiskUse&) = delete;
    UrgentDiskUse& operator=(const UrgentDiskUse&) = delete;
};

// Returns when nothing urgent is under way and nothing was a moment ago (one call has several such uses shortly after one another), or `stop` is
// requested. Not later than a small part of a second: a copy goes on slowly even beside callers that never pause.
void give_precedence(const std::stop_token& stop);

}  // namespace ramet
