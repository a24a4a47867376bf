/*
 * The one place where a worker sleeps: epoll over its links' descriptors and the eventfd. Stages: wait, drain the
 * eventfd, write the clock word, hand back the ready bits (they are the epoll data).
 */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

/* A lost wake-up may delay a shutdown by this much, never block it. */
#define WAIT_MAX_MS 1000
#define DROPS_EVERY_MS 250
#define EVENTS_MAX (2 * LINKS_MAX + 1)

static void write_clock(struct engine *e) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *e->clock_ms = (int32_t)(uint32_t)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

int engine_wait(struct engine *e, int timeout_ms) {
  if (timeout_ms < 0 || timeout_ms > WAIT_MAX_MS) timeout_ms = WAIT_MAX_MS;
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(e->epoll_fd, events, EVENTS_MAX, timeout_ms);
  int failure = count < 0 ? errno : 0;
  write_clock(e);
  if ((uint32_t)*e->clock_ms - (uint32_t)e->drops_counted_ms >= DROPS_EVERY_MS) {
    e->drops_counted_ms = *e->clock_ms;
    udp_count_drops(e);
  }
  if (failure) return failure == EINTR ? 0 : -failure;

  uint32_t ready = 0;
  for (int i = 0; i < count; i++) ready |= events[i].data.u32;
  if (ready & WAIT_WAKE) {
    uint64_t wakes;
    if (read(e->wake_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN && errno != EINTR) return -errno;
  }
  return (int)ready;
}
