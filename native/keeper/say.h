/* Lines for people, on stderr, each behind the program's name. */
#ifndef WEFT_KEEPER_SAY_H
#define WEFT_KEEPER_SAY_H

/* sysexits.h; docs/operations/exit-codes.md has the same. */
enum { EXIT_CODE_FAILURE = 1, EXIT_CODE_USAGE = 64, EXIT_CODE_AGAIN = 75, EXIT_CODE_COMMAND = 127 };

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* At most one line a second, for what others can cause as often as they like; the next line says how many were left out. */
void say_seldom(const char *text);

/* Milliseconds that never go back. */
long long now_ms(void);

#endif
