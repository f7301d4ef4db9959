// A call of the fake hypervisor that is to fail.
#pragma once

#include <string>

#include "base/result.hpp"

namespace ramet::test {

struct HypervisorFault {
    std::string operation;  // a method's name, or empty for any
    int nth = 1;            // counted from the moment the fault is planted
    ErrorCode code = ErrorCode::operation_failed;
    bool after_effect = false;  // the answer is lost, the work is done
};

}  // namespace ramet::test
