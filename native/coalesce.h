/* Rows -> super-packets -> TUN (coalesce.c). */
#ifndef WEFT_COALESCE_H
#define WEFT_COALESCE_H

#include "rows.h"

/* 0 or -errno. */
int coalescer_create(struct engine *e);
void coalescer_destroy(struct engine *e);
/* Writes rows 0..count-1 of tun_out to the TUN: merges what may be merged (reference: Linux GRO rules), order kept within a
 * flow, everything flushed before it returns. Rows of length 0 are skipped. Failed rows get ROW_RESULT.
 * Rows with a gso type go out alone with that vnet header; GSO_NEEDS_CSUM rows without gso type keep their partial checksum.
 * Returns the number of failed rows. */
int tun_send(struct engine *e, int link, int count);

#endif
