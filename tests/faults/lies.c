// Tells a program another time, and another address of one name, than the machine would. The tests put it before the C library
// (LD_PRELOAD); the program itself is as it is shipped.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// The file LIES, which the test writes while the program runs.
struct lies {
    int64_t seconds;      // added to the time of day
    uint32_t addresses[2]; // of the name LIES_NAME, in turn
    uint32_t asked;
};

static volatile struct lies *lies;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("LIES");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(0, sizeof *lies, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) lies = shared;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int outcome = (int)syscall(SYS_clock_gettime, clock, now);
    if (outcome == 0 && clock == CLOCK_REALTIME && lies) now->tv_sec += lies->seconds;
    return outcome;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char text[INET_ADDRSTRLEN];
    const char *ours = getenv("LIES_NAME");
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (lies && ours && name && strcmp(name, ours) == 0) {
        struct in_addr address = {lies->addresses[__sync_fetch_and_add(&lies->asked, 1) % 2]};
        name = inet_ntop(AF_INET, &address, text, sizeof text);
    }
    return real(name, service, hints, found);
}
