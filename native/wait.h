/* The one place where a worker waits (wait.c). */
#ifndef WEFT_WAIT_H
#define WEFT_WAIT_H

#include "rows.h"

/* Waits until a descriptor is readable or timeout_ms passed (0 = look only). Bits of layout.h, or -errno. EINTR = 0.
 * With FEATURE_SPIN on a link it looks again and again for some microseconds before it sleeps, unless others need the CPU.
 * Writes the clock words and STAT_WAIT_NS; drains the eventfd when it fired. */
int engine_wait(struct engine *e, int timeout_ms);

#endif
