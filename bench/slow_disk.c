/* A disk whose flushes take 5 ms longer: loaded into both servers by LD_PRELOAD.
 *
 * Covers the calls that flush. Files opened with O_SYNC or O_DSYNC are not slowed: neither server opens any.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LONGER_MS 5

static void wait_longer(void) {
    int told = errno;
    struct timespec left = {0, LONGER_MS * 1000000L};
    while (nanosleep(&left, &left) && errno == EINTR) {}
    errno = told;
}

#define SLOW(name, taken, given)                     \
    int name taken {                                 \
        int (*real) taken = dlsym(RTLD_NEXT, #name); \
        int answer = real given;                     \
        wait_longer();                               \
        return answer;                               \
    }

SLOW(fsync, (int file), (file))
SLOW(fdatasync, (int file), (file))
SLOW(syncfs, (int file), (file))
SLOW(msync, (void *start, size_t octets, int flags), (start, octets, flags))
SLOW(sync_file_range, (int file, off_t start, off_t octets, unsigned flags), (file, start, octets, flags))
