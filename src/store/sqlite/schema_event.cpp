#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaEvent = R"sql(
CREATE TABLE event (
    uuid TEXT NOT NULL PRIMARY KEY,
    name TEXT COLLATE NOCASE NOT NULL,
    severity TEXT COLLATE NOCASE NOT NULL,
    accountUuid TEXT,
    resourceUuid TEXT,
    resourceName TEXT COLLATE NOCASE,
    message TEXT COLLATE NOCASE NOT NULL,
    createDate INTEGER NOT NULL
) STRICT;
CREATE INDEX event_create_date ON event (createDate, uuid);
CREATE INDEX event_resource ON event (resourceUuid);

CREATE TABLE garbage (
    uuid TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    root TEXT NOT NULL,
    what TEXT NOT NULL,
    state TEXT NOT NULL,
    movedTo TEXT,
    firstSeen INTEGER NOT NULL,
    quarantineDate INTEGER
) STRICT;

ALTER TABLE vm_instance ADD COLUMN leaseEndDate INTEGER;
CREATE INDEX vm_instance_lease_end ON vm_instance (leaseEndDate) WHERE leaseEndDate IS NOT NULL;
)sql";

}  // namespace ramet::store::sqlite
