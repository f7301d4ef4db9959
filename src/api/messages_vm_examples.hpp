// Example bodies shared by the VM messages' explorer pages and mock answers.
#pragma once

#include <string_view>

namespace ramet::api::examples {

inline constexpr std::string_view kVmReply =
    R"({"inventory":{"uuid":"327b60d6b8cd31489ade6f4830bcec16","name":"web01","description":"web server VM","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","clusterUuid":"f6f07dff7ede3b8cac7c8595a1698832","imageUuid":"3b7ff22eb60d38318835817ba6a2b6a2","hostUuid":"70c0f5223d083dfea2f1a02f69906306","lastHostUuid":"70c0f5223d083dfea2f1a02f69906306","rootVolumeUuid":"c8be7ec6a8573d98a580b457a7245141","platform":"Linux","architecture":"x86_64","defaultL3NetworkUuid":"2ac50b85591b3e87b2686c529cf062f9","type":"UserVm","hypervisorType":"KVM","memorySize":134217728,"reservedMemorySize":0,"cpuNum":1,"cpuSpeed":0,"allocatorStrategy":"LastHostPreferredAllocatorStrategy","state":"Running","vmNics":[],"allVolumes":[],"vmCdRoms":[],"createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"}})";

inline constexpr std::string_view kVolumeReply =
    R"({"inventory":{"uuid":"c8be7ec6a8573d98a580b457a7245141","name":"data-1","primaryStorageUuid":"c2a27c5268493a5cba84b94e37b86b4d","type":"Data","format":"qcow2","size":1073741824,"actualSize":16384,"state":"Enabled","status":"Ready","isShareable":false,"createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"}})";

inline constexpr std::string_view kEmptyReply = "{}";

inline constexpr std::string_view kCloneRequest = R"({"strategy":"InstantStart","names":["web02"],"full":false})";

inline constexpr std::string_view kCloneReply =
    R"({"result":{"numberOfClonedVm":1,"inventories":[{"inventory":{"uuid":"327b60d6b8cd31489ade6f4830bcec16","name":"web02","description":"web server VM","zoneUuid":"d886a09330e13282b7a320a98d0a53ec","clusterUuid":"f6f07dff7ede3b8cac7c8595a1698832","imageUuid":"3b7ff22eb60d38318835817ba6a2b6a2","hostUuid":"70c0f5223d083dfea2f1a02f69906306","lastHostUuid":"70c0f5223d083dfea2f1a02f69906306","instanceOfferingUuid":"001537d10c433857a7a98ae0a362c910","rootVolumeUuid":"c8be7ec6a8573d98a580b457a7245141","platform":"Linux","defaultL3NetworkUuid":"2ac50b85591b3e87b2686c529cf062f9","type":"UserVm","hypervisorType":"KVM","memorySize":8589934592,"cpuNum":1,"allocatorStrategy":"LastHostPreferredAllocatorStrategy","createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM","state":"Running","allVolumes":[{"uuid":"c8be7ec6a8573d98a580b457a7245141","name":"Root-Volume-For-VM-327b60d6b8cd31489ade6f4830bcec16","primaryStorageUuid":"c2a27c5268493a5cba84b94e37b86b4d","vmInstanceUuid":"327b60d6b8cd31489ade6f4830bcec16","rootImageUuid":"3b7ff22eb60d38318835817ba6a2b6a2","installPath":"/var/lib/ramet/primary/rootVolumes/acct-36c27e8ff05c4780bf6d2fa65700f22e/vol-c8be7ec6a8573d98a580b457a7245141/c8be7ec6a8573d98a580b457a7245141.qcow2","type":"Root","format":"qcow2","size":107374182400,"actualSize":16384,"deviceId":0,"state":"Enabled","status":"Ready","createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"}]}}],"capture":{"sourceState":"Running","consistency":"filesystem","frozenFileSystems":2,"frozenMicroseconds":41000,"pausedMicroseconds":9000,"layersReused":false}}})";

}  // namespace ramet::api::examples
