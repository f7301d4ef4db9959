// What stands on what: lineage (ramet's own), and the calls that make a VM or volume stand alone (contract 4.1, 4.6).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/message.hpp"
#include "model/vm.hpp"

namespace ramet::api {

struct FlattenVmInstance {
    VmId uuid;
    bool full = true;
    bool dry_run = false;
};
struct FlattenVolume {
    VolumeId uuid;
    bool dry_run = false;
};

struct GetLineage {};
struct GetVmLineage {
    VmId uuid;
};
struct LineageLayer {
    LayerId uuid;
    std::optional<LayerId> parent_uuid;
    PrimaryStorageId primary_storage_uuid;
    std::string kind;  // image, sealed, top
    std::optional<ImageId> image_uuid;
    std::int64_t bytes = 0, depth = 1;
    std::int64_t volumes = 0, foreign_volumes = 0;
    Timestamp create_date;
};
struct LineageVolume {
    VolumeId uuid;
    std::string name;
    VolumeType type = VolumeType::root;
    LayerId top_layer_uuid;
    std::int64_t depth = 1, own_bytes = 0, shared_bytes = 0;
};
struct LineageVm {
    VmId uuid;
    std::string name;
    VmState state = VmState::created;
    std::int64_t depth = 0, own_bytes = 0, shared_bytes = 0;
    std::vector<LineageVolume> volumes;
};
struct LineageReply {
    std::vector<LineageVm> vms;
    std::vector<LineageVolume> volumes;  // attached to no VM
    std::vector<LineageLayer> layers;
    std::int64_t total_bytes = 0;
};

std::vector<const MessageInfo*> lineage_messages();

}  // namespace ramet::api

namespace ramet {

RAMET_DECLARE_MESSAGE(FlattenVmInstance)
RAMET_DECLARE_MESSAGE(FlattenVolume)
RAMET_DECLARE_MESSAGE(GetLineage)
RAMET_DECLARE_MESSAGE(GetVmLineage)
template <> const TypeInfo& describe<api::LineageLayer>();
template <> const TypeInfo& describe<api::LineageVolume>();
template <> const TypeInfo& describe<api::LineageVm>();
template <> const TypeInfo& describe<api::LineageReply>();

}  // namespace ramet
