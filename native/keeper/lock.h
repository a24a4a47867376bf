/*
 * Who is there: locks on a file beside the socket. A lock belongs to an open file, so it goes through exec into weftd, ends with it
 * however that comes, and is seen from every pod that has the folder, while process ids are not.
 */
#ifndef WEFT_KEEPER_LOCK_H
#define WEFT_KEEPER_LOCK_H

#include <stdbool.h>

/* Each is one byte of the file. */
enum lock_owner { LOCK_KEEPER, LOCK_USER };

/* Opens `<socket>.lock`; its descriptor closes at exec. Returns it or -1 with errno. */
int lock_open(const char *socket_path);

/* 0, or -1 with errno: EAGAIN when another has it. */
int lock_take(int fd, enum lock_owner owner);

/* Whether another has it. */
bool lock_is_taken(int fd, enum lock_owner owner);

#endif
