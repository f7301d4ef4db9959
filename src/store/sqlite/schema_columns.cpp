#include "store/sqlite/schema.hpp"

// Columns that came later.
namespace ramet::store::sqlite {

const std::string_view kSchemaAttach = R"sql(
ALTER TABLE volume ADD COLUMN attachJobUuid TEXT;
)sql";

const std::string_view kSchemaHookSchema = R"sql(
ALTER TABLE job ADD COLUMN webHookHasSchema INTEGER NOT NULL DEFAULT 0;
)sql";

const std::string_view kSchemaGroupMemory = R"sql(
ALTER TABLE volume_snapshot_group ADD COLUMN memoryImageUuid TEXT;
ALTER TABLE volume_snapshot_group ADD COLUMN machine TEXT;
)sql";

const std::string_view kSchemaRevert = R"sql(
ALTER TABLE vm_instance ADD COLUMN revertJobUuid TEXT;
)sql";

}  // namespace ramet::store::sqlite
