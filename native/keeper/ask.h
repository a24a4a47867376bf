/* The other side: what asks a keeper. */
#ifndef WEFT_KEEPER_ASK_H
#define WEFT_KEEPER_ASK_H

#include "store.h"

/*
 * Sends the request and takes the whole answer into the empty `store`. Returns the number that the keeper says, or -1 with errno: ENOENT or
 * ECONNREFUSED when no keeper is there, ETIMEDOUT, EPROTO when the answer is not whole; then the store is empty.
 */
int ask(const char *socket_path, const char *request, struct store *store);

#endif
