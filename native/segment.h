/* Rows -> datagrams -> messages (segment.c). */
#ifndef WEFT_SEGMENT_H
#define WEFT_SEGMENT_H

#include "rows.h"

/* 0 or -errno. */
int segmenter_create(struct engine *e);
void segmenter_destroy(struct engine *e);
/* Allocates the room for sealed datagrams, once. 0 or -errno. */
int segmenter_make_sealed(struct engine *e);
/* Sends rows 0..count-1 of tun_in to the UDP sockets: completes checksums, cuts super-packets, seals, packs equal sizes.
 * Order kept within (peer, socket). Everything flushed before it returns. Failed rows get ROW_RESULT.
 * Returns the number of failed rows. */
int udp_send(struct engine *e, int link, int count);

#endif
