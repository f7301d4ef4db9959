// A database whose reads all run twice, as a store may run them: what the first run handed out must not be in the second's way.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/database.hpp"

namespace ramet::test {

class ReadsTwice final : public store::Database {
public:
    explicit ReadsTwice(std::unique_ptr<store::Database> inner) : inner_(std::move(inner)) {}
    using store::Database::write;
    Result<void> write(const Work& work, Durability durability) override { return inner_->write(work, durability); }
    Result<void> read(const Work& work) override {
        TRY(inner_->read(work));
        return inner_->read(work);
    }
    Result<std::vector<std::string>> check() override { return inner_->check(); }

private:
    std::unique_ptr<store::Database> inner_;
};

}  // namespace ramet::test
