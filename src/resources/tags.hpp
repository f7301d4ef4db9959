#pragma once

#include "api/messages_resources.hpp"
#include "identity/caller.hpp"
#include "resources/parts.hpp"

namespace ramet::resources {

// Each answers with the JSON body of the reply. A tag may be read and changed by the owner of its resource and by admins.
Result<std::string> create_system_tag(Parts& parts, const identity::Caller& caller, const api::CreateSystemTag& request);
Result<std::string> create_system_tags(Parts& parts, const identity::Caller& caller, const api::CreateSystemTags& request);
// The new text must be of the old one's pattern.
Result<std::string> update_system_tag(Parts& parts, const identity::Caller& caller, const api::UpdateSystemTag& request);
Result<std::string> create_user_tag(Parts& parts, const identity::Caller& caller, const api::CreateUserTag& request);
// Inherent tags are refused; a uuid that names nothing is success.
Result<std::string> delete_tag(Parts& parts, const identity::Caller& caller, const api::DeleteTag& request);

}  // namespace ramet::resources
