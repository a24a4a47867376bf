/*
 * A thread that sleeps until one of the control thread's descriptors is readable, then calls into the event loop: libuv can
 * watch descriptors of this kind, but Node shows it no way to. It reads nothing; EPOLLONESHOT makes each call wait for the
 * last one's work to be done (watch_again).
 */
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "values.h"

struct watch {
  int epoll_fd, stop_fd;
  int fds[WATCH_FDS_MAX];
  int fd_count;
  pthread_t thread;
  napi_threadsafe_function call;
};

static void *sleep_and_call(void *data) {
  const struct watch *watch = data;
  pthread_setname_np(pthread_self(), "weft-watch");
  for (;;) {
    struct epoll_event event;
    int count = epoll_wait(watch->epoll_fd, &event, 1, -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 || event.data.fd == watch->stop_fd) return NULL;
    if (napi_call_threadsafe_function(watch->call, NULL, napi_tsfn_nonblocking) == napi_closing) return NULL;
  }
}

/* 0 or -errno */
static int open_descriptors(struct watch *watch) {
  watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (watch->epoll_fd < 0 || watch->stop_fd < 0) return -errno;
  struct epoll_event stop = {.events = EPOLLIN, .data.fd = watch->stop_fd};
  if (epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->stop_fd, &stop) < 0) return -errno;
  for (int i = 0; i < watch->fd_count; i++) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = watch->fds[i]};
    if (epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->fds[i], &event) < 0) return -errno;
  }
  return 0;
}

/* The process's signals are for the other threads. 0 or -errno */
static int start_thread(struct watch *watch) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&watch->thread, NULL, sleep_and_call, watch);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -error;
}

static void free_watch(struct watch *watch) {
  if (watch->epoll_fd >= 0) close(watch->epoll_fd);
  if (watch->stop_fd >= 0) close(watch->stop_fd);
  free(watch);
}

struct watch *watch_start(napi_env env, const int *fds, int fd_count, napi_value call) {
  struct watch *watch = calloc(1, sizeof *watch);
  if (!watch) return throw_system(env, "watch", -ENOMEM), NULL;
  watch->epoll_fd = watch->stop_fd = -1;
  watch->fd_count = fd_count;
  for (int i = 0; i < fd_count; i++) watch->fds[i] = fds[i];
  int error = open_descriptors(watch);
  napi_value name = make_string(env, "weft-watch");
  if (error == 0 &&
      napi_create_threadsafe_function(env, call, NULL, name, 1, 1, NULL, NULL, NULL, NULL, &watch->call) != napi_ok) {
    error = -EINVAL;
  }
  if (error == 0) {
    napi_unref_threadsafe_function(env, watch->call);
    error = start_thread(watch);
    if (error) napi_release_threadsafe_function(watch->call, napi_tsfn_abort);
  }
  if (error == 0) return watch;
  free_watch(watch);
  return throw_system(env, "watch", error), NULL;
}

void watch_again(struct watch *watch) {
  for (int i = 0; i < watch->fd_count; i++) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.fd = watch->fds[i]};
    epoll_ctl(watch->epoll_fd, EPOLL_CTL_MOD, watch->fds[i], &event);
  }
}

void watch_end(struct watch *watch) {
  eventfd_write(watch->stop_fd, 1);
  pthread_join(watch->thread, NULL);
  napi_release_threadsafe_function(watch->call, napi_tsfn_abort);
  free_watch(watch);
}
