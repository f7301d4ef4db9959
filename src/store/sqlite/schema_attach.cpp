#include "store/sqlite/schema.hpp"

namespace ramet::store::sqlite {

const std::string_view kSchemaAttach = R"sql(
ALTER TABLE volume ADD COLUMN attachJobUuid TEXT;
)sql";

}  // namespace ramet::store::sqlite
