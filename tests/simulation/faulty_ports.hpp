// The four ports with the seam in every call. What stands behind them is the simulated machine's.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "hypervisor/hypervisor.hpp"
#include "hypervisor/plumbing.hpp"
#include "simulation/seam.hpp"
#include "storage/primary_storage.hpp"
#include "store/database.hpp"

namespace ramet::sim {

class FaultyStorage final : public storage::PrimaryStorage {
public:
    FaultyStorage(Seam& seam, std::shared_ptr<storage::PrimaryStorage> inner, const bool& claims_to_share_blocks)
        : seam_(seam),
          inner_(std::move(inner)),
          claims_to_share_blocks_(claims_to_share_blocks) {}
    const std::string& root() const override { return inner_->root(); }
    Result<storage::Capacity> capacity() override {
        return call("capacity", {}, [&] { return inner_->capacity(); });
    }
    Result<void> create_empty(const std::string& path, std::int64_t size, storage::Provisioning provisioning) override {
        return writing("create_empty", path, {}, [&] { return inner_->create_empty(path, size, provisioning); });
    }
    Result<void> create_overlay(const std::string& path, const storage::Place& backing, std::int64_t size) override {
        return writing("create_overlay", path, {}, [&] { return inner_->create_overlay(path, backing, size); });
    }
    Result<void> set_backing(const std::string& path, const std::optional<storage::Place>& backing) override {
        return call("set_backing", path, [&] { return inner_->set_backing(path, backing); });
    }
    Result<void> full_copy(const std::vector<storage::Place>& chain, const std::string& path, std::int64_t size, storage::Provisioning provisioning,
                           const storage::CopyObserver& observer, std::stop_token stop, storage::Throttle* throttle) override {
        return writing("full_copy", path, stop, [&] { return inner_->full_copy(chain, path, size, provisioning, observer, stop, throttle); });
    }
    Result<void> reflink_copy(const std::vector<storage::Place>& chain, const std::string& path, std::int64_t size,
                              const storage::CopyObserver& observer, std::stop_token stop) override {
        return writing("reflink_copy", path, stop, [&] {
            if (!claims_to_share_blocks_) return inner_->reflink_copy(chain, path, size, observer, stop);
            return inner_->full_copy(chain, path, size, storage::Provisioning::thin, observer, stop, nullptr);
        });
    }
    Result<storage::CopyEstimate> estimate_copy(const std::vector<storage::Place>& chain, std::int64_t size,
                                                storage::Provisioning provisioning) override {
        return call("estimate_copy", {}, [&] { return inner_->estimate_copy(chain, size, provisioning); });
    }
    Result<storage::CopyEstimate> estimate_reflink(const std::vector<storage::Place>& chain, std::int64_t size) override {
        return call("estimate_reflink", {}, [&] {
            if (!claims_to_share_blocks_) return inner_->estimate_reflink(chain, size);
            return inner_->estimate_copy(chain, size, storage::Provisioning::thin);
        });
    }
    Result<storage::CopySpeed> copy_speed() override {
        return call("copy_speed", {}, [&] { return inner_->copy_speed(); });
    }
    Result<void> merge_layers(const storage::MergeSpec& spec, const storage::CopyObserver& observer, std::stop_token stop) override {
        return writing("merge_layers", spec.path, stop, [&] { return inner_->merge_layers(spec, observer, stop); });
    }
    Result<void> import_file(const std::string& source, const std::string& path, const storage::CopyObserver& observer,
                             std::stop_token stop) override {
        return writing("import_file", path, stop, [&] { return inner_->import_file(source, path, observer, stop); });
    }
    Result<void> seal(const std::string& path) override {
        return call("seal", path, [&] { return inner_->seal(path); });
    }
    Result<void> unseal(const std::string& path) override {
        return call("unseal", path, [&] { return inner_->unseal(path); });
    }
    Result<void> remove(const std::string& path) override {
        return call("remove", path, [&] { return inner_->remove(path); });
    }
    Result<void> move(const std::string& from, const std::string& to) override {
        return call("move", from, [&] { return inner_->move(from, to); });
    }
    Result<std::int64_t> allocated_bytes(const std::string& path) override {
        return call("allocated_bytes", path, [&] { return inner_->allocated_bytes(path); });
    }
    Result<bool> exists(const std::string& path) override {
        return call("exists", path, [&] { return inner_->exists(path); });
    }
    Result<std::vector<storage::StoredFile>> list() override {
        return call("list", {}, [&] { return inner_->list(); });
    }

private:
    template <class Effect>
    auto call(std::string_view operation, const std::string& about, const Effect& effect) -> decltype(effect()) {
        return seam_.call({Port::storage, operation, about}, effect);
    }
    template <class Effect>
    Result<void> writing(std::string_view operation, const std::string& path, std::stop_token stop, const Effect& effect) {
        Call call{Port::storage, operation, path, true, std::move(stop), [&] { tear(path); }};
        return seam_.call(call, effect);
    }
    // As a copy leaves it that was cut off: under its provisional name, with anything in it.
    void tear(const std::string& path) {
        if (inner_->exists(path).value_or(false)) return;  // nothing is written where a whole file is
        const std::filesystem::path partial = inner_->root() + "/" + path + ".partial";
        std::filesystem::create_directories(partial.parent_path());
        std::ofstream(partial) << "half a file";
    }
    Seam& seam_;
    std::shared_ptr<storage::PrimaryStorage> inner_;
    const bool& claims_to_share_blocks_;  // the machine's
};

class FaultyStorages final : public storage::PrimaryStorages {
public:
    FaultyStorages(Seam& seam, storage::PrimaryStorages& inner, const bool& claims_to_share_blocks)
        : seam_(seam),
          inner_(inner),
          claims_to_share_blocks_(claims_to_share_blocks) {}
    Result<std::shared_ptr<storage::PrimaryStorage>> open(const std::string& root) override {
        const std::lock_guard lock(mutex_);
        auto& known = open_[root];
        if (known != nullptr) return known;
        TRY_ASSIGN(std::shared_ptr<storage::PrimaryStorage> inner, inner_.open(root));
        known = std::make_shared<FaultyStorage>(seam_, std::move(inner), claims_to_share_blocks_);
        return known;
    }

private:
    Seam& seam_;
    storage::PrimaryStorages& inner_;
    const bool& claims_to_share_blocks_;
    std::mutex mutex_;
    std::map<std::string, std::shared_ptr<storage::PrimaryStorage>> open_;
};

class FaultyPlumbing final : public hypervisor::Plumbing {
public:
    FaultyPlumbing(Seam& seam, hypervisor::Plumbing& inner) : seam_(seam), inner_(inner) {}
    bool privileged() const override { return inner_.privileged(); }
    Result<void> ensure_network(const hypervisor::NetworkSpec& network) override {
        return call("ensure_network", network.l3.text(), [&] { return inner_.ensure_network(network); });
    }
    Result<void> remove_network(const L3NetworkId& l3) override {
        return call("remove_network", l3.text(), [&] { return inner_.remove_network(l3); });
    }
    Result<void> plug(const hypervisor::PortSpec& port) override {
        return call("plug", port.tap, [&] { return inner_.plug(port); });
    }
    Result<void> unplug(const hypervisor::PortSpec& port) override {
        return call("unplug", port.tap, [&] { return inner_.unplug(port); });
    }
    Result<void> set_port(const std::string& tap, bool enabled) override {
        return call("set_port", tap, [&] { return inner_.set_port(tap, enabled); });
    }
    Result<bool> answers(const hypervisor::PortSpec& port) override {
        return call("answers", port.tap, [&] { return inner_.answers(port); });
    }
    Result<std::vector<std::string>> taps() override {
        return call("taps", {}, [&] { return inner_.taps(); });
    }
    Result<std::vector<std::string>> ports() override {
        return call("ports", {}, [&] { return inner_.ports(); });
    }
    Result<std::vector<L3NetworkId>> networks() override {
        return call("networks", {}, [&] { return inner_.networks(); });
    }
    Result<void> remove_all() override {
        return call("remove_all", {}, [&] { return inner_.remove_all(); });
    }

private:
    template <class Effect>
    auto call(std::string_view operation, const std::string& about, const Effect& effect) -> decltype(effect()) {
        return seam_.call({Port::plumbing, operation, about}, effect);
    }
    Seam& seam_;
    hypervisor::Plumbing& inner_;
};

class FaultyDatabase final : public store::Database {
public:
    FaultyDatabase(Seam& seam, store::Database& inner) : seam_(seam), inner_(inner) {}
    using Database::write;
    Result<void> write(const Work& work, Durability durability) override {
        return seam_.call({Port::database, "write", {}, false}, [&] {
            if (!seam_.leaves_out && !seam_.mutation.statements) return inner_.write(work, durability);
            const Mutation::OfStatements here = seam_.mutation.statements ? seam_.mutation.statements() : Mutation::OfStatements();
            bool rolled_back = false;
            const Work filtered = [&](store::Transaction& transaction) -> Result<void> {
                Filter filter(seam_, transaction, here);
                TRY(work(filter));
                rolled_back = here.rolls_back && here.rolls_back();
                if (rolled_back) return fail(ErrorCode::internal, "a mutant's transaction");
                return {};
            };
            const Result<void> written = inner_.write(filtered, durability);
            return rolled_back ? Result<void>() : written;
        });
    }
    Result<void> read(const Work& work) override {
        return seam_.call({Port::database, "read", {}}, [&] { return inner_.read(work); });
    }
    Result<std::vector<std::string>> check() override { return inner_.check(); }

private:
    class Filter final : public store::Transaction {
    public:
        Filter(Seam& seam, store::Transaction& inner, const Mutation::OfStatements& mutation) : seam_(seam), inner_(inner), mutation_(mutation) {}
        Result<std::vector<store::Values>> query(std::string_view sql, const store::Values& parameters) override {
            return inner_.query(sql, parameters);
        }
        Result<std::int64_t> execute(std::string_view sql, const store::Values& parameters) override {
            if (seam_.leaves_out && seam_.leaves_out(sql)) return 1;
            if (mutation_.statement) return mutation_.statement(inner_, sql, parameters);
            return inner_.execute(sql, parameters);
        }

    private:
        Seam& seam_;
        store::Transaction& inner_;
        const Mutation::OfStatements& mutation_;
    };
    Seam& seam_;
    store::Database& inner_;
};

}  // namespace ramet::sim
