/*
 * An engine's life: create (memory and epoll set), attach links, destroy. It owns its epoll descriptor and what it
 * allocated; every other descriptor and all views belong to the caller.
 */
#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "coalesce.h"
#include "segment.h"
#include "udp.h"

static int watch(struct engine *e, int fd, uint32_t bits) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = bits};
  return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int engine_open(struct engine *e) {
  e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (e->epoll_fd < 0) return -errno;
  int error = e->wake_fd >= 0 ? watch(e, e->wake_fd, WAIT_WAKE) : 0;
  if (!error) error = segmenter_create(e);
  if (!error) error = coalescer_create(e);
  if (!error) error = receiver_create(e);
  return error;
}

int engine_create(const struct engine *memory, struct engine **created) {
  struct engine *e = calloc(1, sizeof *e);
  if (!e) return -ENOMEM;
  e->pool = memory->pool;
  e->pool_bytes = memory->pool_bytes;
  e->tun_in = memory->tun_in;
  e->udp_in = memory->udp_in;
  e->tun_out = memory->tun_out;
  e->stats = memory->stats;
  e->clock = memory->clock;
  e->wake_fd = memory->wake_fd;
  int error = engine_open(e);
  if (error) {
    engine_destroy(e);
    return error;
  }
  *created = e;
  return 0;
}

int engine_attach_link(struct engine *e, const struct link *link) {
  if (e->link_count == LINKS_MAX) return -ENOSPC;
  int index = e->link_count;
  int error = watch(e, link->tun_fd, (uint32_t)WAIT_TUN << (WAIT_LINK_SHIFT * index));
  if (error) return error;
  error = watch(e, link->udp_fd, (uint32_t)WAIT_UDP << (WAIT_LINK_SHIFT * index));
  if (error) {
    epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, link->tun_fd, NULL);
    return error;
  }
  e->links[index] = *link;
  e->link_count++;
  return index;
}

static void drop_seal(struct link *link) {
  if (link->seal) link->seal->destroy(link->seal);
  link->seal = NULL;
}

int engine_seal_link(struct engine *e, int link, struct seal *seal) {
  if (seal->tail_bytes < 0 || seal->tail_bytes > SEAL_TAIL_MAX) return -EINVAL;
  int error = segmenter_make_sealed(e);
  if (error) return error;
  drop_seal(&e->links[link]);
  e->links[link].seal = seal;
  e->links[link].features &= ~(uint32_t)FEATURE_TUNNEL_GSO;
  return 0;
}

void engine_destroy(struct engine *e) {
  for (int i = 0; i < e->link_count; i++) drop_seal(&e->links[i]);
  if (e->segmenter) segmenter_destroy(e);
  if (e->coalescer) coalescer_destroy(e);
  if (e->receiver) receiver_destroy(e);
  if (e->epoll_fd >= 0) close(e->epoll_fd);
  free(e);
}
