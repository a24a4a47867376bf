/*
 * Moves the wall clock of one process: loaded by LD_PRELOAD, adds the number of seconds in a file to what CLOCK_REALTIME says.
 * The file is that of WEFT_CLOCK_FILE: 8 bytes, a signed integer of this machine, mapped once, so that whoever writes it moves a
 * running process and no thread needs a system call for it. Other clocks, and timers that wait on them, are not touched.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real_clock_gettime)(clockid_t clock, struct timespec *now);
static const _Atomic int64_t *offset_seconds;

__attribute__((constructor)) static void begin(void) {
  *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("WEFT_CLOCK_FILE");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *page = mmap(NULL, sizeof *offset_seconds, PROT_READ, MAP_SHARED, fd, 0);
  if (page != MAP_FAILED) offset_seconds = page;
  close(fd);
}

static int64_t offset(void) { return offset_seconds ? atomic_load(offset_seconds) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = real_clock_gettime(clock, now);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec exact;
  int result = clock_gettime(CLOCK_REALTIME, &exact);
  if (result == 0) *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
  return result;
}

time_t time(time_t *copy) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (copy) *copy = now.tv_sec;
  return now.tv_sec;
}
