/* Rows of tun_in made of a fuzzer's bytes, sent through segmentation; what would go to the sockets is checked instead (rows.c). */
#ifndef WEFT_FUZZ_ROWS_H
#define WEFT_FUZZ_ROWS_H

#include "../rows.h"
#include "input.h"

/* One engine with one link and memory of its own, made at the first call. */
struct engine *fuzz_engine(void);

/*
 * Fills rows from the input, sends them and checks each datagram: borders, lengths, checksums, order, and that nothing of a row that
 * did not fail is missing. With a seal on the link each is opened first.
 */
void send_rows(struct engine *e, struct input *in);

#endif
