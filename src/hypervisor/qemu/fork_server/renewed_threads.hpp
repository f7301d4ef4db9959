// The threads of a template machine: a fork has its main thread alone, and begins the others again.
#pragma once

namespace ramet::hypervisor {

bool find_threads();       // what this needs of QEMU 7.2 is there
void remember_threads();   // from now on; before QEMU's main()
bool end_pool_threads();   // those of QEMU's thread pool, which is made anew when it is needed
void allow_fork_of_rcu();  // QEMU's own handler begins the RCU thread again in forks from now on
bool threads_wait();       // the others do nothing and hold nothing; false: they do not come to rest
int renew_threads();       // in the fork; 0, or the errno of what failed
void forget_threads();     // in the fork, before: threads are its own from now on

}  // namespace ramet::hypervisor
