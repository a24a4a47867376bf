/* The keeper itself. */
#ifndef WEFT_KEEPER_KEEP_H
#define WEFT_KEEPER_KEEP_H

#include <stdbool.h>

struct keep_options {
  const char *socket_path;
  int max;           /* descriptors, 1 to STORE_MAX; 0: as many as that and the limit of open files allow */
  long long hold_ms; /* how long it keeps what nobody uses */
  bool is_verbose;   /* prints every message */
};

/* Until SIGTERM or SIGINT; the result is the exit code. */
int keep(const struct keep_options *options);

#endif
