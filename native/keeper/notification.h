/* What a message asks for: sd_notify(3)'s words for the descriptor store, and the two of weft-keeper's own commands. */
#ifndef WEFT_KEEPER_NOTIFICATION_H
#define WEFT_KEEPER_NOTIFICATION_H

#include <stdbool.h>
#include <stddef.h>

/* Names of weftd have some ten bytes; a terminating zero is one of these. */
#define NAME_BYTES 64

/* What `run` and `drop` ask, with a socket for the answer; see docs/adr/0016-keeper.md. */
#define ASK_FETCH "WEFT_FETCH=1"
#define ASK_DROP "WEFT_DROP=1"
/* The end of an answer: a number follows. */
#define ANSWER_END "WEFT_FDS="

struct notification {
  bool stores, removes, fetches, drops;
  char name[NAME_BYTES]; /* "stored" where the message has none */
};

/* False for a text that is not what sd_notify(3) sends: a zero byte inside, or a name that LISTEN_FDNAMES can't hold. */
bool notification_read(const char *text, size_t length, struct notification *result);

/* Whether it can stand in LISTEN_FDNAMES: 1 to 63 printable ASCII characters, none of them a colon. */
bool is_name(const char *text, size_t length);

#endif
