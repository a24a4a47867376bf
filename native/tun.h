/* The TUN device (tun.c): opens a queue or takes one over, reads it. Writing is coalesce.h. */
#ifndef WEFT_TUN_H
#define WEFT_TUN_H

#include "rows.h"

/* Opens one queue: IFF_TUN|IFF_NO_PI|IFF_VNET_HDR|IFF_MULTI_QUEUE, O_NONBLOCK|O_CLOEXEC, then TUNSETOFFLOAD with what
 * `wanted` (FEATURE_TUN_*) asks for and the kernel grants. *granted gets the FEATURE_TUN_* bits. fd or -errno. */
int tun_open(const char *name, uint32_t wanted, uint32_t *granted);
/* Takes over an attached queue of the device `name` as tun_open would have opened it. 0 or -errno (EINVAL: another device or kind,
 * EBADFD: its device is gone); the descriptor stays the caller's either way. */
int tun_adopt(int fd, const char *name, uint32_t wanted, uint32_t *granted);
/* The device of an attached queue, 16 bytes. 0 or -errno. */
int tun_device(int fd, char *name);
/* Whether the device outlives its last queue. 0 or -errno. */
int tun_persist(int fd, bool on);
/* Reads up to TUN_IN_ROWS packets (1 without FEATURE_BATCH) into slots 0.., at SLOT_HEADROOM, and fills their tun_in rows
 * (offset, length, gso, gso_size, csum_start, csum_offset from the vnet header; result 0; the rest untouched).
 * Stops early after about 256 KiB so that a batch stays in the cache. Number of rows, or -errno. */
int tun_receive(struct engine *e, int link);

#endif
