// Functions and variables of QEMU and of the libraries it is linked with, by their names.
#pragma once

#include <dlfcn.h>

namespace ramet::hypervisor {

// False, and none: the process has no such symbol.
template <typename Symbol>
bool find(Symbol& symbol, const char* name) {
    symbol = reinterpret_cast<Symbol>(::dlsym(RTLD_DEFAULT, name));
    return symbol != nullptr;
}

}  // namespace ramet::hypervisor
