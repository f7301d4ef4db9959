// What belongs to jobs beside their steps. Both kinds of rows go with their job.
#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaJobs = R"sql(
CREATE TABLE idempotency_key (
    uuid TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    jobUuid TEXT NOT NULL REFERENCES job ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    createDate INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_key_job ON idempotency_key (jobUuid);

CREATE TABLE web_hook (
    jobUuid TEXT NOT NULL PRIMARY KEY REFERENCES job ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    tries INTEGER NOT NULL,
    createDate INTEGER NOT NULL
) STRICT;
)sql";

}  // namespace ramet::store::sqlite
