// For tests of clone jobs: alice's web01 runs on the fake hypervisor, its disk is on the fake storage, and its host and storage are connected.
#pragma once

#include "clone/clone_vm.hpp"
#include "lifecycle/lifecycle_fixture_test.hpp"
#include "support/toy_saga.hpp"

namespace ramet::clone {

class CloneFixture : public lifecycle::LifecycleFixture {
protected:
    CloneFixture() {
        register_clone_saga(engine, parts);
        std::filesystem::create_directories(pool.folder() / "seeds");
        storages.at(pool.storage.url)->put("web01.qcow2", {DiskFormat::qcow2, kDiskBytes, kDiskBytes, false, {}});
        test::TestDatabase::must((*pool).write([this](store::Transaction& transaction) { return make_ready(transaction); }));
        hypervisor.change(pool.web.uuid, [this](auto& domain) {
            domain.state = hypervisor::DomainState::running;
            domain.spec.disks.push_back({*pool.web.root_volume_uuid, 0, {{pool.storage.url, "web01.qcow2", DiskFormat::qcow2}}});
            domain.spec.nics.emplace_back();
        });
    }
    lifecycle::Request request() const { return {pool.admin, JobId::random(), std::nullopt, std::nullopt}; }
    JobId clone(const std::string& name, const std::function<void(api::CloneVmInstance&)>& edit) {
        api::CloneVmInstance message;
        message.vm_instance_uuid = pool.web.uuid;
        message.names = {name};
        edit(message);
        const Result<JobId> job = clone_vm(parts, request(), message);
        EXPECT_TRUE(job.has_value()) << job.error().message << " " << job.error().detail;
        return job.value_or(JobId{});
    }
    Job end_of(const Result<JobId>& job) {
        EXPECT_TRUE(job.has_value());
        return engine.wait(*job, test::kHarnessPatience).value_or(Job{});
    }

private:
    static constexpr std::int64_t kDiskBytes = 1 << 20;
    Result<void> make_ready(store::Transaction& transaction) {
        TRY_ASSIGN(Volume volume, store::get<Volume>(transaction, pool.web.root_volume_uuid->text()));
        volume.install_path = pool.storage.url + "/web01.qcow2";
        volume.size = kDiskBytes;
        TRY(store::update(transaction, volume));
        TRY_ASSIGN(Layer layer, store::get<Layer>(transaction, volume.top_layer_uuid->text()));
        layer.size = kDiskBytes;
        TRY(store::update(transaction, layer));
        pool.storage.status = pool.host.status = Connection::connected;
        pool.host.cpu_num = 4;
        TRY(store::update(transaction, pool.host));
        return store::update(transaction, pool.storage);
    }
};

}  // namespace ramet::clone
