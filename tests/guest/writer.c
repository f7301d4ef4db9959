/* Runs inside a test guest. Two tasks:
 *   writer stall FILE REPORT            appends to FILE and fsyncs every 10 ms; REPORT gets "LONGEST_STALL_MS WRITES" after each write
 *   writer order DISK_A DISK_B REPORT   writes an ever larger number to sector 0 of A, fsyncs, then of B, fsyncs; REPORT gets the number
 * REPORT must lie on a file system that is never frozen (tmpfs). Both run until they are killed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000) + time.tv_nsec / 1000000;
}

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

int main(int argc, char** argv) {
    if (argc == 4 && strcmp(argv[1], "stall") == 0) stall(argv[2], open_or_die(argv[3], O_WRONLY | O_CREAT));
    if (argc == 5 && strcmp(argv[1], "order") == 0) order(argv[2], argv[3], open_or_die(argv[4], O_WRONLY | O_CREAT));
    fprintf(stderr, "see the head of writer.c\n");
    return 2;
}
