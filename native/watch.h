/* Wakes the control thread when a descriptor becomes readable (watch.c). */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <node_api.h>

#define WATCH_FDS_MAX 4

struct watch;

/* `call` runs in this environment's thread, once, when one of the descriptors is readable, and again after each watch_again.
 * It does not keep the process alive. NULL with an exception pending. */
struct watch *watch_start(napi_env env, const int *fds, int fd_count, napi_value call);
void watch_again(struct watch *watch);
/* Ends its thread and frees it; the descriptors stay open. */
void watch_end(struct watch *watch);

#endif
