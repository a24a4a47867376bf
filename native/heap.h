/* How this process's malloc treats large memories. */
#ifndef WEFT_HEAP_H
#define WEFT_HEAP_H

/*
 * Large memories are mapped one by one from now on, and unmapped when they are freed. Once for the process, before it makes any;
 * again is harmless. Packet pools, tables and rows are V8's shared buffers, which come from malloc.
 */
void heap_map_large(void);

#endif
