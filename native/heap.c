/*
 * glibc maps what is larger than a threshold, and raises the threshold to the size of each such memory that is freed, up to 32 MiB
 * (mallopt(3), M_MMAP_THRESHOLD). After a device was made anew, tables and rows of megabytes would come out of the heap, between
 * small pieces that stay: the heap grew by 100 MiB in 30 times, and most of it was never given back. A threshold that is set stays.
 */
#include "heap.h"

#include <features.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* glibc's own before it adapts. */
#define MAPPED_BYTES (128 << 10)

void heap_map_large(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
#endif
}
