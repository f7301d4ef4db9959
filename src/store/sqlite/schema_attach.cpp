#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaAttach = R"sql(
ALTER TABLE volume ADD COLUMN attachJobUuid TEXT;
)sql";

const std::string_view kSchemaHookSchema = R"sql(
ALTER TABLE job ADD COLUMN webHookHasSchema INTEGER NOT NULL DEFAULT 0;
)sql";

}  // namespace ramet::store::sqlite
