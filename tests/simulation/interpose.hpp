// The C library's own functions, past the simulation.
#pragma once

#include <pthread.h>
#include <time.h>

namespace ramet::sim {

struct RealFunctions {
    int (*create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    int (*join)(pthread_t, void**);
    int (*lock)(pthread_mutex_t*);
    int (*detach)(pthread_t);
    pthread_t (*self)();
    int (*try_lock)(pthread_mutex_t*);
    int (*unlock)(pthread_mutex_t*);
    int (*wait)(pthread_cond_t*, pthread_mutex_t*);
    int (*timed_wait)(pthread_cond_t*, pthread_mutex_t*, const timespec*);
    int (*clock_wait)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*);
    int (*signal)(pthread_cond_t*);
    int (*broadcast)(pthread_cond_t*);
    int (*clock_gettime)(clockid_t, timespec*);
    int (*nanosleep)(const timespec*, timespec*);
    int (*clock_nanosleep)(clockid_t, int, const timespec*, timespec*);
    int (*sched_yield)();
    long (*system_call)(long, ...);
};
const RealFunctions& real();
void draw_from_seed();  // the random numbers alone
void simulate_from_now_on();

}  // namespace ramet::sim
