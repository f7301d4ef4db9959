// What is run inside a guest to give it an identity and to read it back, and the reading of what it answers. The answer is a guest's word:
// every line is bounded and checked by its identifier's own alphabet; what does not fit is left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/messages_identity_report.hpp"
#include "guest/identity_record.hpp"

namespace ramet::guest {

// The script's exit code while the guest is still at work on its own identity (cloud-init, DHCP, SSH keys): ask again.
inline constexpr int kTryAgainLater = 75;

// For the guest's /bin/sh.
//   $1 the instance-id, 32 hex digits: also the machine-id   $2 the host name   $3 reset | keep: keep changes nothing but a host name given
//   $4 "address": one is expected from DHCP
// It changes only what still bears another identity, so it may run twice; what it did is remembered in the guest, so that the second run
// still tells who set what.
std::string_view identity_script();

// One fact per line "identifier<TAB>means<TAB>value" that holds.
std::vector<api::IdentityFact> read_answer(std::string_view answer);

}  // namespace ramet::guest
