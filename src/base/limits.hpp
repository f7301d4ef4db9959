// Every bound of the server: the value, its unit in the name, the reason on the line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ramet::limits {

inline constexpr std::int64_t kKiB = 1024;
inline constexpr std::int64_t kMiB = 1024 * kKiB;
inline constexpr std::int64_t kGiB = 1024 * kMiB;
inline constexpr std::int64_t kTiB = 1024 * kGiB;

// --- requests
inline constexpr std::size_t kBodyBytesMax = 4 * kMiB;          // 1000 names with tags and NIC parameters fit in 1 MiB
inline constexpr std::size_t kHeaderBytesMax = 16 * kKiB;       // ordinary clients send under 2 KiB
inline constexpr std::size_t kJsonDepthMax = 32;                // the deepest message has 6 levels
inline constexpr std::size_t kConnectionsMax = 4096;            // file descriptors
inline constexpr std::size_t kRequestQueueMax = 1024;           // beyond it: 503 with Retry-After
inline constexpr std::size_t kRequestThreads = 24;              // handlers block on the database
inline constexpr std::chrono::seconds kRequestReadTimeout{30};  // slow senders are cut off
inline constexpr std::chrono::seconds kKeepAliveTimeout{75};
inline constexpr std::size_t kEventStreamsMax = 256;          // a connection and a look twice a second each
inline constexpr std::chrono::milliseconds kEventPause{500};  // between two looks at a watched job
inline constexpr std::chrono::seconds kEventKeepAlive{15};    // proxies cut off what is silent for a minute
inline constexpr int kKeyWaitsMax = 16;                       // turns a call waits for others with its Idempotency-Key
inline constexpr std::chrono::seconds kJobWaitMax{55};        // a plain asynchronous request is held this long, then 202 (Go clients give up at 60)
inline constexpr std::chrono::seconds kJobTimeout{1800};      // apiTimeout of the 202 answer

// --- messages
inline constexpr std::size_t kNamesMax = 1000;           // clones of one call
inline constexpr std::size_t kNameCharactersMax = 255;   // ZStack's column width
inline constexpr std::size_t kTextCharactersMax = 2048;  // descriptions, tags
inline constexpr std::size_t kTagsMax = 64;              // per request and placement
inline constexpr std::size_t kNicParamsMax = 64;
inline constexpr std::int64_t kQueryLimitDefault = 1000;  // contract 6.1
inline constexpr std::int64_t kQueryLimitMax = 100'000;   // memory of one reply
inline constexpr std::size_t kQueryConditionsMax = 64;    // SQL expression depth
inline constexpr std::size_t kQueryNestingMax = 6;        // dots in a field name

// --- sessions
inline constexpr std::chrono::seconds kSessionTimeout{7200};  // sliding
inline constexpr std::int64_t kSessionsPerAccountMax = 500;
inline constexpr std::chrono::seconds kLoginWindow{60};  // failures are counted per account and address in this window
inline constexpr int kLoginFailuresMax = 10;
inline constexpr std::chrono::seconds kJobKept{10800};  // finished jobs can be polled this long

// --- virtual machines
inline constexpr std::int64_t kCpuMax = 64;
inline constexpr std::int64_t kSeedBytes = 128 * kKiB;  // seed disks are multiples of it, so that a captured one fits any other
inline constexpr std::int64_t kMemoryBytesMin = 16 * kMiB;
inline constexpr std::int64_t kMemoryBytesMax = 4 * kTiB;
inline constexpr std::int64_t kDataVolumesPerVmMax = 24;  // contract 9.4
inline constexpr std::int64_t kNicsPerVmMax = 16;
inline constexpr std::int64_t kSnapshotDistanceMax = 128;  // ZStack's bound on a line of snapshots; a layer each
inline constexpr std::int64_t kVolumeBytesMin = 1 * kMiB;
inline constexpr std::int64_t kVolumeBytesMax = 64 * kTiB;       // qcow2 with 64 KiB clusters, L1 of 1 MiB
inline constexpr std::int64_t kStorageReservedBytes = 1 * kGiB;  // contract 9.2
inline constexpr std::chrono::seconds kGracefulStopTimeout{60};  // then the power button is replaced by the plug
inline constexpr std::chrono::seconds kQmpTimeout{20};           // one monitor command
inline constexpr std::chrono::seconds kAgentTimeout{5};          // one guest-agent command
inline constexpr std::chrono::milliseconds kAgentProbe{500};     // a capture waits this long to learn that an agent hangs
inline constexpr std::chrono::seconds kAgentSilenceKept{10};     // and does not ask again for this long
inline constexpr std::chrono::milliseconds kFreezeBudget{2000};  // from the first word to the agent to "frozen"; then there is no freeze
inline constexpr std::chrono::milliseconds kFrozenMax{4000};     // after the freeze was sent the guard thaws unasked; Windows gives 10 s
inline constexpr std::chrono::milliseconds kThawPatience{1000};  // for the agent to confirm a thaw; then it is sent again, by keyboard too
inline constexpr std::chrono::seconds kLifeline{6};       // then the guest thaws itself, where it could be asked to: before 8 s, after all of that
inline constexpr std::chrono::seconds kThawTriedFor{60};  // an agent that comes back within this time is told
inline constexpr std::size_t kFreezeReplyBytesMax = 64 * kKiB;  // the longest honest answer has under 1 KiB
inline constexpr std::size_t kAgentReplyBytesMax = 16 * kMiB;   // a guest can send anything
inline constexpr std::size_t kQmpReplyBytesMax = 16 * kMiB;
inline constexpr std::int64_t kUefiMemoryBytesMin = 256 * kMiB;   // below it OVMF does not come up
inline constexpr std::int64_t kFirmwareStateBytesMax = 8 * kMiB;  // a copy goes through memory; UEFI variables take 528 KiB, a TPM 12 KiB
inline constexpr std::size_t kIdentityReportsInJobMax = 50;       // whole identity reports in one job's detail: some 3 KiB each

// --- chains of layers (docs/decisions/0010)
inline constexpr std::size_t kChainDepthMax = 8;                 // reads cost the same up to about ten layers
inline constexpr std::size_t kChainWalkMax = 512;                // a longer chain is a loop or a bug
inline constexpr std::size_t kChainDepthMergeAt = 6;             // from here on a chain is merged in the background
inline constexpr std::size_t kChainDepthMerged = 5;              // a merge leaves at most this many layers
inline constexpr std::size_t kFoldDepthMin = 4;                  // shorter chains are not worth a copy
inline constexpr std::int64_t kFoldBytesMax = 256 * kMiB;        // of layers with one user that are folded into what stands on them
inline constexpr std::int64_t kMergeBytesPerSecond = 64 * kMiB;  // in the background: guests come first
inline constexpr std::chrono::milliseconds kMergeSettle{200};    // from the end of a job to a look at the chains
inline constexpr std::chrono::seconds kMergePause{60};           // between two looks when nothing happened
inline constexpr std::chrono::seconds kMergeRetryYielded{5};     // after a job of a user's needed the VM
inline constexpr std::chrono::seconds kMergeRetryDone{1};        // a merge that did not help is not begun again at once
inline constexpr std::chrono::seconds kMergeRetryFailed{600};

// --- leases, events, garbage
inline constexpr std::chrono::milliseconds kLeaseLook{500};    // how often ended leases are looked for: an end is acted on within 2 s
inline constexpr std::chrono::seconds kProcessLook{2};         // how often VMs whose process has stopped or ended by itself are looked for
inline constexpr std::chrono::seconds kKeeperRetry{30};        // before what a job of a keeper's failed at is tried again
inline constexpr std::int64_t kLeaseSecondsMax = 315'360'000;  // ten years
inline constexpr std::int64_t kClockStepMilliseconds = 1500;   // a wall clock that is this far off was set, it did not drift
inline constexpr std::size_t kEventsMax = 10'000;              // the newest are kept
inline constexpr std::chrono::hours kEventKept{24 * 30};
inline constexpr std::size_t kGarbagePerLookMax = 1000;  // things put aside or removed in one look; the rest waits for the next

// --- images
inline constexpr std::int64_t kImageVirtualBytesMax = 64 * kTiB;
inline constexpr std::int64_t kImageFileBytesMax = 16 * kTiB;
inline constexpr std::int64_t kQcow2L1BytesMax = 32 * kMiB;  // QEMU's own bound
inline constexpr int kDownloadRedirectsMax = 5;
inline constexpr std::chrono::seconds kDownloadStall{60};  // no byte for this long ends a download

// --- engine
inline constexpr std::size_t kSagaThreads = 8;                      // jobs at work; those that wait for a lock or for branches have no thread
inline constexpr std::size_t kSlowSagaThreads = 32;                 // graceful stops and downloads, which mostly sleep
inline constexpr std::size_t kVmsAskedAtOnce = 16;                  // they wait for each other's QEMU only when it hangs
inline constexpr std::size_t kBranchThreads = 8;                    // clones spawned side by side in all
inline constexpr std::size_t kSlowBranchThreads = 4;                // clones copied side by side in all: more would only share the disk
inline constexpr std::size_t kJobQueueMax = 100'000;                // jobs waiting for a thread: memory
inline constexpr std::chrono::milliseconds kShortJob{100};          // whoever asked for it waits for its syncs; a copy takes longer
inline constexpr std::chrono::milliseconds kProgressInterval{500};  // a job's progress is written at most this often
inline constexpr std::size_t kStepRetryMax = 12;                    // undo is tried this often, in some ten seconds, before a job is stuck

}  // namespace ramet::limits
