#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaIdentity = R"sql(
CREATE TABLE vm_identity (
    vmInstanceUuid TEXT NOT NULL PRIMARY KEY REFERENCES vm_instance DEFERRABLE INITIALLY DEFERRED,
    mode TEXT NOT NULL,
    sourceUuid TEXT,
    instanceId TEXT NOT NULL,
    hostName TEXT,
    sourceValues TEXT NOT NULL,
    facts TEXT NOT NULL,
    trouble TEXT
) STRICT;
)sql";

}  // namespace ramet::store::sqlite
