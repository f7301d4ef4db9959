// What every hypervisor promises, fake or real. An adapter's test instantiates the suite with its own subjects:
//   INSTANTIATE_TEST_SUITE_P(Qemu, HypervisorContract, testing::Values(HypervisorSubject{...}), hypervisor_subject_name);
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "support/hypervisor_subject.hpp"

namespace ramet::test {

class HypervisorContract : public testing::TestWithParam<HypervisorSubject> {
protected:
    void SetUp() override {
        under_test_ = GetParam().make();
        if (!under_test_->why.empty()) GTEST_SKIP() << under_test_->why;
    }
    hypervisor::Hypervisor& vms() { return under_test_->hypervisor(); }
    hypervisor::DomainSpec started() {
        hypervisor::DomainSpec spec = under_test_->idle_vm();
        const Result<void> result = vms().start(spec);
        if (!result.has_value()) ADD_FAILURE() << result.error().message << " | " << result.error().detail;
        return spec;
    }
    hypervisor::DomainState state(const VmId& vm) { return vms().state(vm).value(); }
    bool runs(const VmId& vm) { return std::ranges::count(vms().running_domains().value(), vm) == 1; }
    void stop(const VmId& vm) { EXPECT_TRUE(vms().stop(vm, hypervisor::StopMode::cold, {}).has_value()); }
    std::string top(const VmId& vm, const VolumeId& volume) {
        const auto tops = vms().disk_tops(vm);
        if (!tops.has_value()) return "error";
        for (const hypervisor::DiskTop& entry : *tops) {
            if (entry.volume == volume) return entry.place.path;
        }
        return "";
    }
    std::unique_ptr<HypervisorUnderTest> under_test_;
};

TEST_P(HypervisorContract, StartsAndStopsAndBothMayBeRepeated) {
    const hypervisor::DomainSpec spec = started();
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    EXPECT_TRUE(runs(spec.vm));
    EXPECT_TRUE(vms().start(spec).has_value());
    EXPECT_TRUE(runs(spec.vm));
    stop(spec.vm);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::shut_off);
    EXPECT_FALSE(runs(spec.vm));
    stop(spec.vm);
    EXPECT_TRUE(vms().start(spec).has_value());
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    stop(spec.vm);
}

TEST_P(HypervisorContract, AVmItNeverSawIsOff) {
    const VmId stranger = VmId::random();
    EXPECT_EQ(state(stranger), hypervisor::DomainState::shut_off);
    stop(stranger);
    EXPECT_TRUE(vms().forget(stranger).has_value());
    EXPECT_TRUE(vms().disk_tops(stranger).value().empty());
}

TEST_P(HypervisorContract, PausesAndResumes) {
    const hypervisor::DomainSpec spec = started();
    for (int again = 0; again < 2; ++again) {
        EXPECT_TRUE(vms().pause(spec.vm).has_value());
        EXPECT_EQ(state(spec.vm), hypervisor::DomainState::paused);
    }
    EXPECT_TRUE(runs(spec.vm)) << "a paused VM has its process";
    for (int again = 0; again < 2; ++again) {
        EXPECT_TRUE(vms().resume(spec.vm).has_value());
        EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    }
    EXPECT_TRUE(vms().reset(spec.vm).has_value());
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    stop(spec.vm);
}

TEST_P(HypervisorContract, TheGenerationIdIsThatOfItsGeneration) {
    hypervisor::DomainSpec spec = under_test_->idle_vm();
    std::set<std::string> ids;
    for (const char* generation : {"", "one", "other"}) {
        spec.generation = generation;
        ASSERT_TRUE(vms().start(spec).has_value());
        ids.insert(vms().generation_id(spec.vm).value_or("none"));
        stop(spec.vm);
    }
    EXPECT_EQ(ids.size(), 3U);
    EXPECT_FALSE(ids.contains("none"));
}

TEST_P(HypervisorContract, RefusesWhatNeedsARunningVm) {
    const hypervisor::DomainSpec spec = under_test_->idle_vm();
    const auto refused = [](const auto& result) { return !result.has_value() && result.error().code == ErrorCode::wrong_state; };
    EXPECT_TRUE(refused(vms().pause(spec.vm)));
    EXPECT_TRUE(refused(vms().resume(spec.vm)));
    EXPECT_TRUE(refused(vms().reset(spec.vm)));
    EXPECT_TRUE(refused(vms().generation_id(spec.vm)));
    EXPECT_TRUE(refused(vms().disks_untouched(spec.vm)));
    EXPECT_TRUE(refused(vms().snapshot_disks(spec.vm, {})));
    EXPECT_TRUE(refused(vms().shorten_disk(spec.vm, {spec.disks[0].volume, std::nullopt, 0}, {}, {})));
    EXPECT_TRUE(refused(vms().capture_memory(spec.vm, {}, under_test_->memory_place(), {})));
    EXPECT_TRUE(refused(vms().swap_nic(spec.vm, spec.nics[0])));
    EXPECT_TRUE(refused(vms().attach_disk(spec.vm, spec.disks[0])));
    EXPECT_TRUE(refused(vms().detach_disk(spec.vm, spec.disks[0].volume)));
    EXPECT_TRUE(refused(vms().set_link(spec.vm, spec.nics[0].nic, true)));
    EXPECT_TRUE(refused(vms().console_socket(spec.vm)));
    EXPECT_TRUE(refused(vms().agent_answers(spec.vm)));
    EXPECT_TRUE(refused(vms().agent_ping(spec.vm, std::chrono::milliseconds(50))));
}

TEST_P(HypervisorContract, RefusesADescriptionThatCannotBe) {
    hypervisor::DomainSpec spec = under_test_->idle_vm();
    spec.disks.clear();
    const Result<void> result = vms().start(spec);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
    EXPECT_FALSE(runs(spec.vm));
}

TEST_P(HypervisorContract, CutsTheDisksOfARunningVmAndDoesItOnce) {
    const hypervisor::DomainSpec spec = started();
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), spec.disks[0].chain_top_first[0].path);
    EXPECT_TRUE(vms().disks_untouched(spec.vm).value());
    const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
    const auto facts = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_GT(facts->paused.count(), 0);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), overlay.path);
    EXPECT_TRUE(vms().disks_untouched(spec.vm).value());
    EXPECT_TRUE(vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}).has_value());
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), overlay.path);
    stop(spec.vm);
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), overlay.path) << "what a stopped VM stood on is still known";
}

TEST_P(HypervisorContract, LeavesAPausedVmPausedWhenCuttingItsDisks) {
    const hypervisor::DomainSpec spec = started();
    ASSERT_TRUE(vms().pause(spec.vm).has_value());
    const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
    const auto facts = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_EQ(facts->paused.count(), 0);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::paused);
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), overlay.path);
    stop(spec.vm);
}

TEST_P(HypervisorContract, CutsWithoutAFreezeWhereNoAgentAnswersAndSaysWhy) {
    const hypervisor::DomainSpec spec = started();
    const storage::Place first = under_test_->overlay_for(spec.disks[0]);
    auto facts = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, first}}, hypervisor::Quiesce::automatic);
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_EQ(facts->freeze.consistency, hypervisor::Consistency::crash);
    EXPECT_FALSE(facts->freeze.reason.empty());
    EXPECT_EQ(facts->freeze.file_systems, 0);
    const storage::Place second = under_test_->overlay_for({spec.disks[0].volume, 0, {first}});
    facts = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, second}}, hypervisor::Quiesce::never);
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_EQ(facts->freeze.consistency, hypervisor::Consistency::crash);
    EXPECT_EQ(vms().agent_answers(spec.vm).error().code, ErrorCode::timeout);
    stop(spec.vm);
}

TEST_P(HypervisorContract, CutsNothingWhenARequiredFreezeCannotBeHad) {
    const hypervisor::DomainSpec spec = started();
    for (const bool paused : {false, true}) {
        if (paused) { ASSERT_TRUE(vms().pause(spec.vm).has_value()); }
        const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
        const auto refused = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}, hypervisor::Quiesce::required);
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, ErrorCode::operation_failed);
        EXPECT_NE(refused.error().message.find("quiesce"), std::string::npos) << refused.error().message;
        EXPECT_EQ(state(spec.vm), paused ? hypervisor::DomainState::paused : hypervisor::DomainState::running);
        EXPECT_EQ(top(spec.vm, spec.disks[0].volume), spec.disks[0].chain_top_first[0].path);
    }
    const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
    const auto facts = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, overlay}}, hypervisor::Quiesce::automatic);
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_EQ(facts->freeze.consistency, hypervisor::Consistency::paused);
    stop(spec.vm);
}

TEST_P(HypervisorContract, RefusesToCutADiskThatIsNotAttached) {
    const hypervisor::DomainSpec spec = started();
    const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
    EXPECT_FALSE(vms().snapshot_disks(spec.vm, {{VolumeId::random(), overlay}}).has_value());
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), spec.disks[0].chain_top_first[0].path);
    stop(spec.vm);
}

TEST_P(HypervisorContract, ShortensTheChainOfARunningVmOnceAndCutsItAgainAfterwards) {
    const hypervisor::DomainSpec spec = started();
    hypervisor::DiskSpec disk = spec.disks[0];
    for (int layers = 0; layers < 4; ++layers) {
        const storage::Place overlay = under_test_->overlay_for(disk);
        ASSERT_TRUE(vms().snapshot_disks(spec.vm, {{disk.volume, overlay}}).has_value());
        disk.chain_top_first.insert(disk.chain_top_first.begin(), overlay);
    }
    const hypervisor::ShortenSpec shorten{disk.volume, disk.chain_top_first[4], 0};
    for (int again = 0; again < 2; ++again) {
        const Result<void> shortened = vms().shorten_disk(spec.vm, shorten, {}, {});
        ASSERT_TRUE(shortened.has_value()) << shortened.error().message << " | " << shortened.error().detail;
        EXPECT_EQ(top(spec.vm, disk.volume), disk.chain_top_first[0].path);
    }
    const hypervisor::ShortenSpec gone{disk.volume, disk.chain_top_first[2], 0};
    EXPECT_EQ(vms().shorten_disk(spec.vm, gone, {}, {}).error().code, ErrorCode::wrong_state) << "that layer was let go of";
    under_test_->restart_server();
    ASSERT_TRUE(vms().reattach().has_value());
    const storage::Place last = under_test_->overlay_for(disk);
    const auto facts = vms().snapshot_disks(spec.vm, {{disk.volume, last}});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    const Result<void> alone = vms().shorten_disk(spec.vm, {disk.volume, std::nullopt, 0}, {}, {});
    ASSERT_TRUE(alone.has_value()) << alone.error().message << " | " << alone.error().detail;
    EXPECT_TRUE(vms().shorten_disk(spec.vm, {disk.volume, std::nullopt, 0}, {}, {}).has_value());
    EXPECT_EQ(top(spec.vm, disk.volume), last.path);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    stop(spec.vm);
}

TEST_P(HypervisorContract, AShorteningThatIsStoppedChangesNothing) {
    const hypervisor::DomainSpec spec = started();
    const VolumeId volume = spec.disks[0].volume;
    const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
    ASSERT_TRUE(vms().snapshot_disks(spec.vm, {{volume, overlay}}).has_value());
    std::stop_source ended;
    ended.request_stop();
    EXPECT_EQ(vms().shorten_disk(spec.vm, {volume, std::nullopt, 0}, {}, ended.get_token()).error().code, ErrorCode::cancelled);
    EXPECT_FALSE(vms().shorten_disk(spec.vm, {VolumeId::random(), std::nullopt, 0}, {}, {}).has_value());
    EXPECT_TRUE(vms().shorten_disk(spec.vm, {volume, spec.disks[0].chain_top_first[0], 0}, {}, {}).has_value()) << "it still stands on that";
    EXPECT_EQ(top(spec.vm, volume), overlay.path);
    stop(spec.vm);
}

TEST_P(HypervisorContract, GoesOnFromACapturedInstant) {
    const hypervisor::DomainSpec source = started();
    const hypervisor::OverlaySpec overlay{source.disks[0].volume, under_test_->overlay_for(source.disks[0])};
    const hypervisor::MemoryPlace place = under_test_->memory_place();
    EXPECT_FALSE(vms().capture_memory(source.vm, {}, place, {}).has_value()) << "memory goes with all disks only";
    const auto facts = vms().capture_memory(source.vm, {overlay}, place, {});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_GT(facts->capture.paused.count(), 0);
    EXPECT_EQ(state(source.vm), hypervisor::DomainState::running);
    EXPECT_EQ(top(source.vm, source.disks[0].volume), overlay.overlay.path);
    EXPECT_FALSE(vms().capture_memory(source.vm, {overlay}, under_test_->memory_place(), {}).has_value()) << "memory has moved on";
    hypervisor::DomainSpec clone = source;
    clone.vm = VmId::random();
    clone.disks[0].volume = VolumeId::random();
    clone.disks[0].chain_top_first.insert(clone.disks[0].chain_top_first.begin(), under_test_->overlay_for(source.disks[0]));
    clone.nics[0].nic = NicId::random();
    hypervisor::DomainSpec other = clone;
    other.nics.clear();
    const Result<void> differs = vms().start_from_memory(other, place, facts->layout, 1);
    ASSERT_FALSE(differs.has_value());
    EXPECT_EQ(differs.error().code, ErrorCode::invalid_argument);
    vms().in_background(clone.vm, true);
    for (int again = 0; again < 2; ++again) {
        const Result<void> gone_on = vms().start_from_memory(clone, place, facts->layout, 1);
        ASSERT_TRUE(gone_on.has_value()) << gone_on.error().message << " | " << gone_on.error().detail;
        EXPECT_EQ(state(clone.vm), hypervisor::DomainState::running);
    }
    for (const bool wanted : {true, false}) {
        vms().in_background(clone.vm, wanted);
        EXPECT_EQ(state(clone.vm), hypervisor::DomainState::running);
    }
    EXPECT_TRUE(vms().set_link(clone.vm, clone.nics[0].nic, true).has_value());
    EXPECT_TRUE(vms().reset(clone.vm).has_value());
    EXPECT_EQ(state(clone.vm), hypervisor::DomainState::running);
    stop(clone.vm);
    for (int again = 0; again < 2; ++again) EXPECT_TRUE(vms().remove_memory(place).has_value());
    EXPECT_FALSE(vms().start_from_memory(clone, place, facts->layout, 1).has_value());
    stop(source.vm);
}

TEST_P(HypervisorContract, CapturesTheMemoryOfAPausedVmAndLeavesItPaused) {
    const hypervisor::DomainSpec spec = started();
    ASSERT_TRUE(vms().pause(spec.vm).has_value());
    const hypervisor::MemoryPlace place = under_test_->memory_place();
    const auto facts = vms().capture_memory(spec.vm, {{spec.disks[0].volume, under_test_->overlay_for(spec.disks[0])}}, place, {});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_EQ(facts->capture.paused.count(), 0);
    EXPECT_FALSE(facts->live);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::paused);
    EXPECT_TRUE(vms().resume(spec.vm).has_value());
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    stop(spec.vm);
    EXPECT_TRUE(vms().remove_memory(place).has_value());
}

TEST_P(HypervisorContract, LeavesNothingOfACancelledMemoryCapture) {
    const hypervisor::DomainSpec spec = started();
    std::stop_source cancel;
    cancel.request_stop();
    const hypervisor::MemoryPlace place = under_test_->memory_place();
    const hypervisor::OverlaySpec overlay{spec.disks[0].volume, under_test_->overlay_for(spec.disks[0])};
    EXPECT_FALSE(vms().capture_memory(spec.vm, {overlay}, place, cancel.get_token()).has_value());
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    EXPECT_FALSE(vms().start_from_memory(spec, place, "", 1).has_value());
    stop(spec.vm);
}

TEST_P(HypervisorContract, AttachesADiskToARunningVmOnce) {
    const hypervisor::DomainSpec spec = started();
    const hypervisor::DiskSpec disk = under_test_->data_disk(1);
    for (int again = 0; again < 2; ++again) {
        const Result<void> attached = vms().attach_disk(spec.vm, disk);
        EXPECT_TRUE(attached.has_value()) << attached.error().message << " | " << attached.error().detail;
    }
    EXPECT_EQ(top(spec.vm, disk.volume), disk.chain_top_first[0].path);
    EXPECT_FALSE(vms().attach_disk(spec.vm, under_test_->data_disk(1)).has_value()) << "the place is taken";
    const storage::Place root_overlay = under_test_->overlay_for(spec.disks[0]), data_overlay = under_test_->overlay_for(disk);
    EXPECT_TRUE(vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, root_overlay}, {disk.volume, data_overlay}}).has_value());
    EXPECT_EQ(top(spec.vm, disk.volume), data_overlay.path);
    EXPECT_TRUE(vms().detach_disk(spec.vm, VolumeId::random()).has_value()) << "what is not attached is detached";
    stop(spec.vm);
}

TEST_P(HypervisorContract, SetsTheLinkOfANic) {
    const hypervisor::DomainSpec spec = started();
    EXPECT_TRUE(vms().set_link(spec.vm, spec.nics[0].nic, false).has_value());
    EXPECT_TRUE(vms().set_link(spec.vm, spec.nics[0].nic, true).has_value());
    const Result<void> unknown = vms().set_link(spec.vm, NicId::random(), true);
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
    stop(spec.vm);
}

TEST_P(HypervisorContract, TellsOfAnEndThatNobodyAskedFor) {
    std::atomic<int> told = 0;
    vms().on_exit([&](const VmId&) { ++told; });
    const hypervisor::DomainSpec spec = started();
    under_test_->crash(spec.vm);
    EXPECT_TRUE(eventually([&] { return told == 1; }));
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::shut_off);
    EXPECT_TRUE(vms().start(spec).has_value());
    stop(spec.vm);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::shut_off);
    EXPECT_EQ(told, 1);
    vms().on_exit({});
}

TEST_P(HypervisorContract, TakesUpWhatOutlivedTheServer) {
    const hypervisor::DomainSpec spec = started();
    const storage::Place first = under_test_->overlay_for(spec.disks[0]);
    ASSERT_TRUE(vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, first}}).has_value());
    under_test_->restart_server();
    const auto running = vms().reattach();
    ASSERT_TRUE(running.has_value());
    EXPECT_EQ(std::ranges::count(*running, spec.vm), 1);
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), first.path);
    EXPECT_TRUE(vms().start(spec).has_value());
    const storage::Place second = under_test_->overlay_for({spec.disks[0].volume, 0, {first}});
    const auto facts = vms().snapshot_disks(spec.vm, {{spec.disks[0].volume, second}});
    ASSERT_TRUE(facts.has_value()) << facts.error().message << " | " << facts.error().detail;
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), second.path);
    std::atomic<int> told = 0;
    vms().on_exit([&](const VmId&) { ++told; });
    under_test_->crash(spec.vm);
    EXPECT_TRUE(eventually([&] { return told == 1; })) << "its end is noticed though it is nobody's child";
    vms().on_exit({});
}

TEST_P(HypervisorContract, ForgetsOnlyWhatIsOff) {
    const hypervisor::DomainSpec spec = started();
    const Result<void> refused = vms().forget(spec.vm);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::wrong_state);
    stop(spec.vm);
    for (int again = 0; again < 2; ++again) EXPECT_TRUE(vms().forget(spec.vm).has_value());
    EXPECT_TRUE(vms().disk_tops(spec.vm).value().empty());
}

TEST_P(HypervisorContract, SaysWhereTheConsoleIsAndThatNoAgentAnswers) {
    const hypervisor::DomainSpec spec = started();
    EXPECT_EQ(vms().console_socket(spec.vm).value().front(), '/');
    const Result<void> silent = vms().agent_ping(spec.vm, std::chrono::milliseconds(50));
    ASSERT_FALSE(silent.has_value());
    EXPECT_EQ(silent.error().code, ErrorCode::timeout);
    const auto unknown = vms().agent_addresses(spec.vm, std::chrono::milliseconds(50));
    ASSERT_FALSE(unknown.has_value());
    EXPECT_EQ(unknown.error().code, ErrorCode::timeout);
    stop(spec.vm);
}

TEST_P(HypervisorContract, CallsBackWhileTheVmStandsAndFailsWithIt) {
    const hypervisor::DomainSpec spec = started();
    const storage::Place overlay = under_test_->overlay_for(spec.disks[0]);
    const std::vector<hypervisor::OverlaySpec> overlays{{spec.disks[0].volume, overlay}};
    int calls = 0;
    const auto refuse = [&]() -> Result<void> {
        ++calls;
        return fail(ErrorCode::storage_full, "no room");
    };
    EXPECT_FALSE(vms().snapshot_disks(spec.vm, overlays, hypervisor::Quiesce::never, refuse).has_value());
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(top(spec.vm, spec.disks[0].volume), spec.disks[0].chain_top_first[0].path) << "nothing was cut";
    EXPECT_EQ(state(spec.vm), hypervisor::DomainState::running);
    const auto accept = [&]() -> Result<void> {
        ++calls;
        return {};
    };
    EXPECT_TRUE(vms().snapshot_disks(spec.vm, overlays, hypervisor::Quiesce::never, accept).has_value());
    EXPECT_EQ(calls, 2);
    EXPECT_TRUE(vms().snapshot_disks(spec.vm, overlays, hypervisor::Quiesce::never, accept).has_value());
    EXPECT_EQ(calls, 2) << "a repeated snapshot stops nothing";
    stop(spec.vm);
}

TEST_P(HypervisorContract, ATpmLivesAsLongAsItsVm) {
    if (!vms().capabilities().tpm_missing.empty()) GTEST_SKIP() << vms().capabilities().tpm_missing;
    hypervisor::DomainSpec spec = under_test_->idle_vm();
    spec.tpm_state = under_test_->state_path("tpm");
    const auto has_tpm = [&] {
        const auto tpms = vms().running_tpms();
        return tpms.has_value() && std::ranges::find(*tpms, spec.vm) != tpms->end();
    };
    EXPECT_FALSE(has_tpm());
    for (int again = 0; again < 2; ++again) {
        const Result<void> result = vms().start(spec);
        ASSERT_TRUE(result.has_value()) << result.error().message << " | " << result.error().detail;
        EXPECT_TRUE(has_tpm());
        under_test_->restart_server();
        EXPECT_TRUE(vms().reattach().has_value());
        EXPECT_TRUE(has_tpm());
        stop(spec.vm);
        EXPECT_TRUE(eventually([&] { return !has_tpm(); }));
    }
    ASSERT_TRUE(vms().start(spec).has_value());
    under_test_->crash(spec.vm);
    EXPECT_TRUE(eventually([&] { return !has_tpm(); })) << "a TPM whose VM has crashed ends by itself";
    EXPECT_TRUE(vms().forget(spec.vm).has_value());
}

}  // namespace ramet::test
