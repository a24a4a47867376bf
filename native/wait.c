/*
 * The one place where a worker waits: epoll over its links' descriptors and the eventfd. Stages: look; spin; sleep; drain the
 * eventfd, write the clock words, hand back the ready bits (they are the epoll data).
 *
 * Spinning: falling asleep and being woken costs more than a packet does, above all in a virtual machine, where an idle CPU is given
 * back to the host. So a worker looks again for SPIN_NS before it sleeps, and lets others have the CPU at each turn. When they keep it
 * for long the machine is busy: then sleeping is better for all, and spinning stays off for a while.
 */
#include "wait.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "udp.h"

/* A lost wake-up may delay a shutdown by this much, never block it. */
#define WAIT_MAX_MS 1000
#define DROPS_EVERY_MS 250
#define EVENTS_MAX (2 * LINKS_MAX + 1)

#define SPIN_NS 40000
#define YIELD_LONG_NS 300000
#define SPIN_OFF_NS 5000000

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool may_spin(const struct engine *e) {
  for (int i = 0; i < e->link_count; i++) {
    if (e->links[i].features & FEATURE_SPIN) return true;
  }
  return false;
}

/* Number of events, or -errno. */
static int look(const struct engine *e, struct epoll_event *events, int timeout_ms) {
  int count = epoll_wait(e->epoll_fd, events, EVENTS_MAX, timeout_ms);
  return count < 0 ? -errno : count;
}

/* Events found while spinning, 0 when it is time to sleep, or -errno. */
static int spin(struct engine *e, struct epoll_event *events) {
  int64_t begin = now_ns(), now = begin;
  if (now < e->spin_again_ns) return 0;
  while (now - begin < SPIN_NS) {
    sched_yield();
    int64_t back = now_ns();
    if (back - now > YIELD_LONG_NS) e->spin_again_ns = back + SPIN_OFF_NS;
    now = back;
    int count = look(e, events, 0);
    if (count != 0) return count;
  }
  return 0;
}

static int wait_for_events(struct engine *e, struct epoll_event *events, int timeout_ms) {
  int count = look(e, events, 0);
  if (count == 0 && timeout_ms > 0 && may_spin(e)) count = spin(e, events);
  return count == 0 && timeout_ms > 0 ? look(e, events, timeout_ms) : count;
}

static void write_clock(struct engine *e, int64_t now) {
  e->clock[0] = (int32_t)(uint32_t)((uint64_t)now / 1000000);
  e->clock[1] = (int32_t)(now % 1000000);
}

int engine_wait(struct engine *e, int timeout_ms) {
  if (timeout_ms < 0 || timeout_ms > WAIT_MAX_MS) timeout_ms = WAIT_MAX_MS;
  struct epoll_event events[EVENTS_MAX];
  int64_t begin = now_ns();
  int count = wait_for_events(e, events, timeout_ms);
  int64_t end = now_ns();
  write_clock(e, end);
  e->stats[STAT_WAIT_NS] += (double)(end - begin);
  if ((uint32_t)e->clock[0] - (uint32_t)e->drops_counted_ms >= DROPS_EVERY_MS) {
    e->drops_counted_ms = e->clock[0];
    udp_count_drops(e);
  }
  if (count < 0) return count == -EINTR ? 0 : count;

  uint32_t ready = 0;
  for (int i = 0; i < count; i++) ready |= events[i].data.u32;
  if (ready & WAIT_WAKE) {
    uint64_t wakes;
    if (read(e->wake_fd, &wakes, sizeof wakes) < 0 && errno != EAGAIN && errno != EINTR) return -errno;
  }
  return (int)ready;
}
