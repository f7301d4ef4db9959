// Who comes first at the disk: a caller waits for a commit or for a small file to be whole, nobody waits for the next piece of a long copy. A
// commit among a copy's pieces would take their time as well as its own.
//
// Thread rules: from any thread.
#pragma once

#include <chrono>
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

// Somebody makes calls that take milliseconds: more of them may come in a moment, and each will want the disk.
void expect_urgent_disk_use();

// The turn of one piece of a copy. There are three at most, of all copies together; while urgent uses are expected there is one, and the disk
// rests after it for three times as long as it took: what a caller wants from the disk waits behind so much at most.
//
// The constructor returns when it is this piece's turn, nothing urgent is under way and nothing was a moment ago (one call has several such uses
// shortly after one another), or `stop` is requested. It does not wait longer than a small part of a second for what is urgent: a copy goes on
// slowly even beside callers that never pause. The destructor rests, for no longer than that either. `stop` must outlive it.
class CopyTurn {
public:
    explicit CopyTurn(const std::stop_token& stop);
    ~CopyTurn();
    CopyTurn(const CopyTurn&) = delete;
    CopyTurn& operator=(const CopyTurn&) = delete;

private:
    const std::stop_token& stop_;
    bool rests_ = false;  // urgent uses are expected
    std::chrono::steady_clock::time_point begun_;
};

}  // namespace ramet
