/* Runs inside a test guest. Its tasks:
 *   writer stall FILE REPORT            appends to FILE and fsyncs every 10 ms; REPORT gets "LONGEST_STALL_MS WRITES" after each write
 *   writer order DISK_A DISK_B REPORT   writes an ever larger number to sector 0 of A, fsyncs, then of B, fsyncs; REPORT gets the number
 *   writer instant DISK... REPORT       as order, on up to eight disks or files, and what it last wrote to each must be what it reads from the disks
 *                                       themselves before each write: else REPORT gets "-NUMBER READ" for the last time. So memory and disks that
 *                                       are not of one instant are seen.
 *   writer tick PORT                    waits for a datagram, then sends its sender one every half millisecond: TICK, and the microseconds since the
 *                                       last one by the guest's clock, which stands while the VM does (two numbers, lowest byte first)
 *   writer random BYTES                 shows the next random bytes of the kernel (getrandom), and ends
 * REPORT must lie on a file system that is never frozen (tmpfs). The others run until they are killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DISKS_MAX = 8 };

static int64_t now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000) + time.tv_nsec / 1000;
}

static int64_t now_ms(void) { return now_us() / 1000; }

static int open_or_die(const char* path, int flags) {
    const int file = open(path, flags | O_CLOEXEC, 0600);
    if (file < 0) {
        perror(path);
        exit(1);
    }
    return file;
}

static void report(int file, int64_t first, int64_t second) {
    char text[64];
    const int size = snprintf(text, sizeof text, "%-20" PRId64 " %-20" PRId64 "\n", first, second);
    if (pwrite(file, text, (size_t)size, 0) != size) exit(2);
}

static void stall(const char* path, int report_file) {
    const int file = open_or_die(path, O_WRONLY | O_CREAT | O_APPEND);
    int64_t longest = 0, writes = 0;
    for (;;) {
        const int64_t before = now_ms();
        char line[32];
        const int size = snprintf(line, sizeof line, "%" PRId64 "\n", before);
        if (write(file, line, (size_t)size) != size || fsync(file) != 0) exit(3);
        const int64_t took = now_ms() - before;
        if (took > longest) longest = took;
        report(report_file, longest, ++writes);
        usleep(10000);
    }
}

static void put_number(int disk, int64_t number) {
    static char sector[4096] __attribute__((aligned(4096)));
    memset(sector, 0, sizeof sector);
    memcpy(sector, &number, sizeof number);
    if (pwrite(disk, sector, sizeof sector, 0) != (ssize_t)sizeof sector || fsync(disk) != 0) exit(4);
}

static void order(const char* first, const char* second, int report_file) {
    const int a = open_or_die(first, O_WRONLY), b = open_or_die(second, O_WRONLY);
    for (int64_t number = 1;; ++number) {
        put_number(a, number);
        put_number(b, number);
        report(report_file, number, now_ms());
    }
}

/* O_DIRECT: what the page cache knows is memory too. */
static void require_number(int disk, int64_t number, int64_t at, int report_file) {
    static char sector[4096] __attribute__((aligned(4096)));
    int64_t found;
    if (pread(disk, sector, sizeof sector, 0) != (ssize_t)sizeof sector) exit(4);
    memcpy(&found, sector, sizeof found);
    if (found == number) return;
    report(report_file, -at, found);
    exit(5);
}

static void instant(char* const* paths, int count, int report_file) {
    int disks[DISKS_MAX];
    for (int i = 0; i < count; ++i) {
        disks[i] = open_or_die(paths[i], O_RDWR | O_CREAT | O_DIRECT);
        put_number(disks[i], 0);
    }
    for (int64_t number = 1;; ++number) {
        for (int next = 0; next < count; ++next) {
            for (int i = 0; i < count; ++i) require_number(disks[i], i < next ? number : number - 1, number, report_file);
            put_number(disks[next], number);
        }
        report(report_file, number, now_ms());
    }
}

static void tick(uint16_t port) {
    const int channel = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    char first[16];
    if (bind(channel, (struct sockaddr*)&address, size) != 0 || recvfrom(channel, first, sizeof first, 0, (struct sockaddr*)&address, &size) < 0 ||
        connect(channel, (struct sockaddr*)&address, size) != 0) {
        perror("tick");
        exit(5);
    }
    int64_t last = now_us();
    for (int64_t number = 0;; ++number) {
        const int64_t now = now_us(), said[2] = {number, now - last};
        last = now;
        (void)!send(channel, said, sizeof said, 0); /* nobody may be listening, now or any more */
        usleep(500);
    }
}

static int show_random(size_t count) {
    while (count > 0) {
        unsigned char bytes[256]; /* so many come in one piece */
        const size_t wanted = count < sizeof bytes ? count : sizeof bytes;
        if (getrandom(bytes, wanted, 0) != (ssize_t)wanted) return 5;
        for (size_t i = 0; i < wanted; ++i) printf("%02x", bytes[i]);
        count -= wanted;
    }
    return fflush(stdout) == 0 ? 0 : 6;
}

int main(int argc, char** argv) {
    if (argc == 4 && strcmp(argv[1], "stall") == 0) stall(argv[2], open_or_die(argv[3], O_WRONLY | O_CREAT));
    if (argc == 5 && strcmp(argv[1], "order") == 0) order(argv[2], argv[3], open_or_die(argv[4], O_WRONLY | O_CREAT));
    if (argc >= 4 && argc <= 3 + DISKS_MAX && strcmp(argv[1], "instant") == 0) {
        instant(argv + 2, argc - 3, open_or_die(argv[argc - 1], O_WRONLY | O_CREAT));
    }
    if (argc == 3 && strcmp(argv[1], "tick") == 0) tick((uint16_t)atoi(argv[2]));
    if (argc == 3 && strcmp(argv[1], "random") == 0) return show_random(strtoul(argv[2], NULL, 10));
    fprintf(stderr, "see the head of writer.c\n");
    return 2;
}
