#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaMemory = R"sql(
CREATE TABLE memory_image (
    uuid TEXT NOT NULL PRIMARY KEY,
    sourceVmUuid TEXT NOT NULL,
    directory TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    memorySize INTEGER NOT NULL,
    allocatedSize INTEGER NOT NULL,
    stateSize INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    layout TEXT NOT NULL,
    hypervisorVersion TEXT NOT NULL,
    sourceMacs TEXT NOT NULL,
    agent INTEGER NOT NULL,
    ownerJobUuid TEXT,
    deleting INTEGER NOT NULL,
    createDate INTEGER NOT NULL
) STRICT;

CREATE TABLE memory_image_user (
    vmUuid TEXT NOT NULL PRIMARY KEY,
    memoryImageUuid TEXT NOT NULL REFERENCES memory_image DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX memory_image_user_image ON memory_image_user (memoryImageUuid);
)sql";

}  // namespace ramet::store::sqlite
