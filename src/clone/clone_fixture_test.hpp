// For tests of clone jobs: alice's web01 runs on the fake hypervisor, its disk is on the fake storage, and its host and storage are connected.
#pragma once

#include "clone/clone_vm.hpp"
#include "lifecycle/lifecycle_fixture_test.hpp"

namespace ramet::clone {

class CloneFixture : public lifecycle::LifecycleFixture {
protected:
    CloneFixture() {
        register_clone_saga(engine, parts);
        run_web();
    }
    JobId clone(const std::string& name, const std::function<void(api::CloneVmInstance&)>& edit) {
        api::CloneVmInstance message;
        message.vm_instance_uuid = pool.web.uuid;
        message.names = {name};
        edit(message);
        const Result<JobId> job = clone_vm(parts, request(), message);
        EXPECT_TRUE(job.has_value()) << job.error().message << " " << job.error().detail;
        return job.value_or(JobId{});
    }
};

}  // namespace ramet::clone
