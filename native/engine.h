/*
 * An engine's life (engine.c): what one thread moves packets with. Policy is not here: C never knows what a subnet or a lease is.
 * Nothing allocates after engine_create and engine_seal_link. Every function runs on the thread that owns the engine.
 */
#ifndef WEFT_ENGINE_H
#define WEFT_ENGINE_H

#include "rows.h"
#include "seal.h"

/* Takes the views and wake_fd of `memory`; the caller keeps them alive until engine_destroy. 0 or -errno. */
int engine_create(const struct engine *memory, struct engine **created);
/* Adds the link's TUN queue and receiving socket to the epoll set. The link's index, or -errno (ENOSPC: LINKS_MAX). */
int engine_attach_link(struct engine *e, const struct link *link);
/* From now on `seal` closes and opens the link's datagrams, in the place of the seal that was there; none leaves through the TAP.
 * The engine destroys it when another comes and at its own end. 0 or -errno (then it is still the caller's). */
int engine_seal_link(struct engine *e, int link, struct seal *seal);
/* Closes the epoll descriptor and frees what create allocated; other descriptors stay open. */
void engine_destroy(struct engine *e);

#endif
