#include "model/vo_types.hpp"

#include <array>

#include "model/account.hpp"
#include "model/resources.hpp"
#include "model/vm.hpp"

namespace ramet {

const TypeInfo* type_of_vo(std::string_view vo_type) {
    static const std::array kTypes{&describe<Zone>(),        &describe<Cluster>(),          &describe<Host>(),         &describe<PrimaryStorage>(), &describe<BackupStorage>(),
                                   &describe<Image>(),       &describe<InstanceOffering>(), &describe<DiskOffering>(), &describe<L2Network>(),      &describe<L3Network>(),
                                   &describe<IpRange>(),     &describe<UsedIp>(),           &describe<VmInstance>(),   &describe<VmNic>(),          &describe<Volume>(),
                                   &describe<SystemTag>(),   &describe<UserTag>(),          &describe<Account>()};
    for (const TypeInfo* type : kTypes) {
        if (type->vo_type == vo_type) return type;
    }
    return nullptr;
}

}  // namespace ramet
